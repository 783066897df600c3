//! What goes wrong on purpose, as a receiver sees it on the wire, and as the sandbox tells it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod forgeries;
mod held;
mod keys;
mod repeatable;
mod support;
mod tokens;
mod wire;
