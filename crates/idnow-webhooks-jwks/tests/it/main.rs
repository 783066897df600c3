//! The key source over real sockets and files.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod compressed;
mod configuring;
mod fetching;
mod files;
mod observing;
mod proxies;
mod refreshing;
mod support;
mod tls;
