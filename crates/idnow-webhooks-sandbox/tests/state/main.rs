//! What a sandbox keeps, and what it refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod endpoints;
mod files;
mod history;
mod keys;
mod persistence;
mod plain_http;
mod secrets;
mod sessions;
mod stop;
mod time;

use std::time::Duration;

use idnow_webhooks_sandbox::model::{Endpoint, Flow, NewEndpoint, NewFlow, NewSession, Session};
use idnow_webhooks_sandbox::{Error, Sandbox};
use uuid::Uuid;

/// Nobody listens there, and http is allowed.
const NOBODY: &str = "http://127.0.0.1:9/";

async fn start() -> Sandbox {
    idnow_webhooks_watch::watch();
    Sandbox::start().await.unwrap()
}

async fn flow(sandbox: &Sandbox) -> Flow {
    let new = NewFlow { name: "a flow".into(), session_ttl_seconds: 3600 };
    sandbox.create_flow(new).await.unwrap()
}

/// Disabled, so that nothing is sent.
async fn endpoint(sandbox: &Sandbox, flow: &Flow) -> Endpoint {
    let mut new = NewEndpoint::new(flow.id, "staging", NOBODY);
    new.enabled = false;
    sandbox.create_endpoint(new).await.unwrap()
}

async fn session(sandbox: &Sandbox, flow: Uuid) -> Session {
    let new = NewSession::new(flow, "staging");
    sandbox.create_session(new).await.unwrap()
}

/// Waits until it is so, for ten seconds at most.
async fn until<F: Future<Output = bool>>(is_so: impl Fn() -> F) {
    for _ in 0..1000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it has not come true in ten seconds");
}

fn field(error: &Error) -> &str {
    match error {
        Error::Invalid { field, .. } => field,
        other => panic!("{other:?}"),
    }
}
