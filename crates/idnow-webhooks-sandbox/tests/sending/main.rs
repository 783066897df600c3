//! What is sent, when, to whom, and what becomes of the answer: with real sockets and real TLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod addresses;
mod answers;
mod changes;
mod headers;
mod lanes;
mod retries;
mod support;
mod tls;
mod tokens;
