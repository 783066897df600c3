//! The faults: what is expected of each, and how it is caused.

mod clock;
mod handlers;
mod keys;
mod parallel;
mod postgres;
mod processes;
mod sqlite;

use crate::row::Group;

/// All of them, in the order of the document.
pub(crate) fn all() -> Vec<Group> {
    vec![
        keys::group(),
        sqlite::group(),
        postgres::group(),
        handlers::queued(),
        handlers::inline(),
        parallel::group(),
        clock::group(),
        processes::group(),
    ]
}
