//! One suite of deliveries, sent over real sockets to every adapter, to prove that identical requests get
//! identical answers.
//!
//! - [`Subject`] names what is tested, and starts it as a real server from a [`Receiver`].
//! - [`Client`] speaks HTTP/1.1 or HTTP/2 to it; [`raw`] writes the bytes that no honest client would send.
//! - [`Answer`] is the whole of what came back, to be compared with the whole of what is expected.
//! - [`Calls`] notes which events reached a handler.
//!
//! [`stores`] is the same for implementations of the event store, whose cases are in `tests/stores/cases`.
//! What happens in outages is in `tests/faults`, and its table in `docs/faults.md`.
//!
//! The cases are in `tests/conformance/cases`, one function each, written once. What must not appear in logs is
//! in `tests/logs.rs` and `tests/secrets`; and every process that starts a subject [`watch`]es its log for secrets.
//!
//! # Where the answers differ
//!
//! A request that its own server refuses never reaches an adapter. These are all such cases; each is pinned by a
//! test in `tests/conformance/cases/wire.rs`.
//!
#![doc = include_str!("../DIFFERENCES.md")]
//!
//! [`Receiver`]: idnow_webhooks_core::Receiver
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test gives up as soon as something is not as it should be"
)]

mod answer;
mod calls;
mod client;
pub mod raw;
mod request;
mod reserved;
mod servers;
mod stage;
pub mod stores;
mod subject;

pub use answer::Answer;
pub use calls::{Calls, Gate};
pub use client::{Client, ClientError};
pub use idnow_webhooks_watch as watch;
pub use request::{Body, delivery, pieces, request, stalled, whole};
pub use reserved::Reserved;
pub use servers::Running;
pub use stage::Stage;
pub use subject::{HEALTH, PATH, Protocol, Subject, Target};

/// Runs a case to its end, or fails it when it hangs.
pub fn run(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        tokio::time::timeout(PATIENCE, case).await.expect("the case ends in time");
    });
}

/// Longer than any case takes on a busy machine.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);
