//! The store on real files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod common;
mod faults;
#[cfg(target_os = "linux")]
mod media;
mod opening;
mod processes;
mod retention;
mod transactions;
mod writing;
