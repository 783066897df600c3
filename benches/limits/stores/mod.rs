//! The durable stores: against bare statements of sqlx on the same tables, and against themselves with a million
//! events in them. Disks of other machines sync faster or slower than this one's, for both sides.

mod drive;
mod postgres;
mod sample;
mod sqlite;
mod volume;

use tokio::runtime::Runtime;

use crate::measure::Effort;
use crate::report::Report;

/// Completed events in a store that is full.
const MANY: u32 = 1_000_000;
const MANY_IF_QUICK: u32 = 20_000;

pub fn sqlite(effort: Effort, report: &mut Report) {
    sqlite::run(effort, report, &runtime());
}

pub fn postgres(effort: Effort, report: &mut Report) {
    postgres::run(effort, report, &runtime());
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn many(effort: Effort) -> u32 {
    match effort {
        Effort::Full => MANY,
        Effort::Quick => MANY_IF_QUICK,
    }
}
