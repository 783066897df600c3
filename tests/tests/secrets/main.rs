//! No secret is told: not by the log of any program, at any level, nor by `Debug` and `Display` of what holds one.
//!
//! The suites of adapters and stores watch their own logs in the same way: see `watch` in `tests/src`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "tests")]

mod errors;
#[path = "../programs/process.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod process;
mod programs;
mod sandbox;
mod types;
mod watched;

use idnow_webhooks_conformance::watch::MARK;

/// A secret that is long enough for everything, and not like any other.
fn secret(name: &str) -> String {
    format!("{name}-{MARK}-0123456789-0123456789-0123456789")
}
