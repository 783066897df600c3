//! Runs the commands that run until they are stopped, and those that talk to them, as a user does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod chaos;
mod completions;
mod elsewhere;
mod forward;
mod health;
mod listen;
mod process;
mod refused;
mod robust;
mod sandbox;
mod stop;
mod target;
mod trigger;
