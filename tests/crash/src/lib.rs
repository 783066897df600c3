//! Crash tests: real processes and sockets, and SIGKILL.
//!
//! The program `receiver` is what a user would run: the SDK in an axum server, in queued mode, with a durable store and a
//! worker. [`Load`] plays the provider over many connections and keeps a [`Ledger`] of what was answered 200. The tests
//! kill receivers, and PostgreSQL, at random moments, and then compare the ledger with the [`Database`], which they
//! read by SQL of their own, and with what the handlers did.
//!
//! # What this cannot show
//!
//! SIGKILL ends a process, not the machine: what the process has written is in the memory of the operating system, which
//! lives on. A store that never waits for the disk would pass these tests, and lose events when the power fails. That
//! the stores do wait is checked apart, in `tests/durability.rs`: by the number of times that PostgreSQL has synced
//! its log, by the settings of the connections in which handlers write, and by the system calls of a receiver with SQLite.

#![allow(clippy::missing_panics_doc, reason = "whatever goes wrong here is a failed test")]

mod chance;
mod database;
mod journal;
mod ledger;
mod load;
mod program;
mod runs;
mod verdict;

use std::time::{Duration, Instant};

use idnow_webhooks_core::keys::Algorithm;

pub use chance::Chance;
pub use database::{Database, Row};
pub use journal::{Action, Entry, Journal};
pub use ledger::{LONG, Ledger, Sent, Supply};
pub use load::{Answers, Load};
pub use program::{Handling, Program, Replica};
pub use runs::{Ended, Run, overlaps, runs};
pub use verdict::Verdict;

/// What deliveries are signed with: much quicker than RSA, so that more of the machine is left for the receiver.
pub const ALGORITHM: Algorithm = Algorithm::Es256;

/// Where receivers expect deliveries.
pub const PATH: &str = "/webhooks/idnow";

/// How long a test waits for what must happen, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until something is so.
///
/// # Panics
///
/// When it is not so for very long.
pub async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "waited for {PATIENCE:?} until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
