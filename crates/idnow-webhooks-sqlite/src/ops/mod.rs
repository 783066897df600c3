//! What the store does, in SQL.

mod append;
mod begin;
mod choice;
mod claim;
mod insert;
mod operators;
mod parked;
mod read;
mod settle;

use std::time::Duration;

pub(crate) use append::MOST_ROWS;
pub(crate) use begin::Begin;
pub(crate) use claim::ClaimEvents;
pub(crate) use insert::{NewRow, insert, insert_new};
pub(crate) use operators::{Check, Forget, ReplayDead, ReplayOne, STEP};
pub(crate) use parked::{Park, Unpark, parked};
pub(crate) use read::{backlog, completed, get, list};
pub(crate) use settle::{Settle, Settlement};

pub(crate) const WAITING: i64 = 0;
pub(crate) const RUNNING: i64 = 1;
pub(crate) const COMPLETED: i64 = 2;
pub(crate) const DEAD: i64 = 3;

/// As microseconds, as far as they go.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A number of SQLite's, which knows no unsigned ones.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// Nobody else can have come in between.
fn cannot_append() -> sqlx::Error {
    let reason = "a new event could not be appended: the store's tables were changed by hand, or there are no positions \
                  left";
    sqlx::Error::Protocol(reason.into())
}
