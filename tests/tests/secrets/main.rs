//! No secret is told: not by the log of any program, at any level, nor by `Debug` and `Display` of what holds one.
//!
//! The suites of adapters and stores, and the tests of the crates, watch their own logs in the same way: see `tests/watch`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "tests")]

mod errors;
mod forwarder;
#[path = "../programs/process.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod process;
mod programs;
mod receivers;
mod sandbox;
mod types;

/// A secret that is long enough for everything, and not like any other.
fn secret(name: &str) -> String {
    format!("{name}-s3cret-0123456789-0123456789-0123456789")
}
