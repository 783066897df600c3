//! Times, as the database keeps them.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Microseconds since the epoch.
pub(crate) type Micros = i64;

/// The machine's clock.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the machine's clock")]
pub(crate) fn now() -> DateTime<Utc> {
    time(Utc::now().timestamp_micros())
}

/// A time from the database. What no calendar knows becomes the epoch.
pub(crate) fn time(micros: Micros) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

pub(crate) fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}
