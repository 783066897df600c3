//! Whether a store gets slower when it is full.
//!
//! A turn writes enough to include what a store puts off, such as SQLite's copying of its log into the file. Whatever
//! is inserted is handled in the same turn, so that nothing waits when the next one begins.

use tokio::runtime::Runtime;

use super::drive::{CALLERS, Store, each, handle, insert_singly, insert_together, insertions};
use super::sample;
use crate::measure::{Effort, compare};
use crate::report::{Limit, Report};

const ROUNDS: usize = 15;
const TURN: usize = 4096;
const TURN_OF_SINGLE_ONES: usize = 1024;
const LIMIT: Limit = Limit::Ratio(1.3);

/// `empty` takes everything out of the second store, and is not measured.
pub fn run(
    effort: Effort,
    report: &mut Report,
    runtime: &Runtime,
    [full, empty]: [&Store; 2],
    make_empty: impl Fn(),
) {
    let (rounds, many, few) = (effort.rounds(ROUNDS), effort.turn(TURN), effort.turn(TURN_OF_SINGLE_ONES));
    let singly = |store: &Store| {
        let insert = insertions(runtime, few, |events| insert_singly(store, events));
        let took = insert();
        runtime.block_on(handle(store, few));
        took
    };
    let together = |store: &Store| {
        let insert = insertions(runtime, many, |events| insert_together(store, events));
        let took = insert();
        runtime.block_on(handle(store, many));
        took
    };
    let handling = |store: &Store| {
        runtime.block_on(insert_together(store, sample::events(many)));
        runtime.block_on(handle(store, many))
    };
    let mut judge = |name: &str, turn: &dyn Fn(&Store) -> f64| {
        let reference = || {
            let took = turn(empty);
            make_empty();
            took
        };
        report.row(name, &compare(rounds, || turn(full), reference), LIMIT);
    };
    judge("insert, one at a time", &singly);
    judge(&format!("insert, {CALLERS} at a time"), &together);
    judge("claim 16, each event", &|store| each(handling(store).claiming, many));
    judge("complete 16 at a time, each event", &|store| each(handling(store).completing, many));
}
