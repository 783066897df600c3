//! Many values for one statement.

use std::fmt::{Display, Write as _};

/// An array, for SQLite's `json_each`. The values must be JSON as they are shown.
pub(crate) fn array(values: impl IntoIterator<Item = impl Display>) -> String {
    let mut array = String::from("[");
    for value in values {
        let _ = write!(array, "{}{value}", if array.len() > 1 { "," } else { "" });
    }
    array.push(']');
    array
}
