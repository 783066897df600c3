#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod backlog;
mod batches;
mod claiming;
mod connections;
mod failures;
mod notices;
mod outages;
mod passwords;
mod proxy;
mod retention;
mod schema;
mod support;
mod transactions;
