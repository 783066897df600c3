//! The dashboard: pages for people, rendered here.
//!
//! Everything works without a script: links, and forms that are answered with a redirect. The script that goes
//! with the pages asks for the changed part of the page that is open whenever something changes, which the
//! same template renders, and tells times relative to now.

mod assets;
mod dead_letters;
mod deliveries;
mod errors;
mod failure;
mod faults;
mod fields;
mod flows;
mod json;
mod keys;
mod login;
mod overview;
mod prose;
mod rows;
mod session;
mod sessions;
mod shell;
mod show;
mod visit;
mod webhook_form;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::http::guard::Guard;
use crate::sandbox::Sandbox;

pub(crate) use failure::Failure;

/// All pages, and who may see them: the same as may use the management API.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(sandbox: Sandbox, guard: Arc<Guard>) -> Router<S> {
    let signing = Router::new()
        .route("/login", get(login::form).post(login::sign_in))
        .route("/logout", post(login::sign_out));
    Router::new()
        .route("/", get(overview::page))
        .route("/flows", get(flows::list).post(flows::add))
        .route("/flows/{id}", get(flows::one))
        .route("/flows/{id}/delete", get(flows::confirm).post(flows::delete))
        .route("/flows/{id}/webhooks", post(webhooks::add))
        .route("/flows/{id}/webhooks/new", get(webhooks::blank))
        .route("/webhooks/{id}", get(webhooks::edit).post(webhooks::change))
        .route("/webhooks/{id}/enable", post(webhooks::enable))
        .route("/webhooks/{id}/disable", post(webhooks::disable))
        .route("/webhooks/{id}/delete", get(webhooks::confirm).post(webhooks::delete))
        .route("/sessions", get(sessions::list).post(sessions::start))
        .route("/scenarios", post(sessions::play))
        .route("/sessions/{id}", get(session::one))
        .route("/sessions/{id}/steps", post(session::drive))
        .route("/deliveries", get(deliveries::list))
        .route("/deliveries/{id}", get(deliveries::one))
        .route("/deliveries/{id}/retrigger", post(deliveries::retrigger))
        .route("/dead-letters", get(dead_letters::list))
        .route("/dead-letters/retrigger", post(dead_letters::retrigger))
        .route("/keys", get(keys::list))
        .route("/keys/rotate", post(keys::rotate))
        .route("/keys/retire", post(keys::retire))
        .with_state(sandbox)
        .merge(signing.with_state(Arc::clone(&guard)))
        .layer(from_fn_with_state(guard, login::admitted))
        .merge(assets::router())
}
