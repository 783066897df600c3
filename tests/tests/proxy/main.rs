//! The axum example behind a real nginx, with TLS and the configuration of the production guide, `docs/nginx.conf`.
//!
//! Linux only: elsewhere 127.0.0.1 is the one loopback address, and who delivers could not be told from who must not.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod limits;
mod nginx;
#[path = "../programs/process.rs"]
#[allow(dead_code, reason = "what only tests of programs need")]
mod process;
mod receiver;
mod replicas;
mod sources;

use nginx::Nginx;
use receiver::{PATH, PROVIDER, STRANGER, World};
use reqwest::RequestBuilder;

/// What came back: the status, and the code of the receiver's own answer, if it is one of the receiver's.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    code: Option<String>,
}

impl Answer {
    fn of_the_receiver(status: u16, code: &str) -> Self {
        Self { status, code: Some(code.to_owned()) }
    }

    fn of_nginx(status: u16) -> Self {
        Self { status, code: None }
    }
}

/// A delivery, not sent yet.
fn delivery(client: &reqwest::Client, url: &str, token: String) -> RequestBuilder {
    client.post(url).header("content-type", "application/jwt").body(token)
}

async fn send(request: RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.bytes().await.unwrap();
    let problem = serde_json::from_slice::<serde_json::Value>(&body).ok();
    let code = problem.and_then(|problem| Some(problem.get("code")?.as_str()?.to_owned()));
    Answer { status, code }
}
