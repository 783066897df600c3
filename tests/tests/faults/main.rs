//! What happens when something fails: each fault is caused for real, once, and what is observed is compared with what is
//! expected of it and with docs/faults.md, which holds the same table.
//!
//! `scripts/faults` prints the table; `scripts/faults --write` puts it into the document.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

mod child;
mod disk;
mod handler;
mod judge;
mod relay;
mod row;
mod rows;
mod table;
mod words;
mod world;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_table_is_true() {
    quiet();
    let ran = row::run(rows::all()).await;
    let table = table::render(&ran);
    println!("{table}");
    let wrong: Vec<_> = ran
        .iter()
        .filter_map(|row| Some(format!("{}: {}:\n     {}", row.group, row.fault, row.wrong.as_ref()?)))
        .collect();
    let count = wrong.len();
    assert!(wrong.is_empty(), "{count} of {} rows are not as expected:\n{}", ran.len(), wrong.join("\n"));
    // Only then: what is wrong must not get into the document.
    table::compare(&table, &ran).unwrap_or_else(|difference| panic!("{difference}"));
}

/// The part of a row that needs a process of its own: one that is killed, or sees a file system of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the_table_is_true, with arguments"]
async fn process() {
    quiet();
    child::run().await;
}

/// Panics that are part of the plan are not printed.
fn quiet() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload().downcast_ref::<String>();
        if said.is_none_or(|said| said != handler::PANIC) {
            usual(panic);
        }
    }));
}
