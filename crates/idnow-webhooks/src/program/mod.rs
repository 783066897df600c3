//! What a program around a receiver needs besides the receiver: the feature `program`.
//!
//! | | |
//! |---|---|
//! | [`Log`] | a log on standard error that never stops the program, whether somebody reads it or not |
//! | [`Server`] | serves axum, warp or any other tower service over HTTP/1.1, with or without TLS, and closes silent connections |
//! | [`TimedStream`] | the same time-out for the connections of another HTTP/1.1 server |
//! | [`stop_signal`] | when to stop: Ctrl-C or SIGTERM |
//!
//! The [programs to deploy](https://github.com/idnow-webhooks/idnow-webhooks/tree/main/examples) are made of these. A web
//! server that you have already needs none of them.

mod log;
mod server;
mod stream;

use std::future::pending;

pub use log::{Log, LogError, LogWriter};
pub use server::{Server, Tls};
pub use stream::TimedStream;

/// Waits until the process is asked to stop: by Ctrl-C or, on Unix, by SIGTERM. From its first poll on, neither ends the
/// process by itself.
///
/// It needs a Tokio runtime with I/O, and may be dropped at any time.
pub async fn stop_signal() {
    tokio::select! {
        () = terminated() => {}
        () = interrupted() => {}
    }
}

/// One of the two that cannot be waited for ends the process as it always does.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        pending::<()>().await;
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => drop(terminate.recv().await),
        Err(_) => pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    pending().await;
}
