//! The HTTP side of the sandbox, over real sockets. Every answer is held to the OpenAPI document.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod changes;
mod chaos;
mod connections;
mod coverage;
mod deliveries;
mod document;
mod elsewhere;
mod endpoints;
mod events;
mod flows;
mod health;
mod keys;
mod keys_of_our_client;
mod overview;
mod proxy;
mod refusals;
mod scenarios;
mod session_api;
mod sessions;
mod support;
mod token_endpoint;
