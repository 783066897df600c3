//! The dashboard in a real browser, headless. `SANDBOX_SCREENSHOTS=folder` keeps pictures of its pages.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod appearance;
mod browser;
mod following;
mod keyboard;
mod pictures;
mod receiver;
mod signing_in;
mod story;
mod without_script;
