//! The provider's side, at every level of the log, in this process: a watched one.

use std::time::{Duration, Instant};

use idnow_webhooks_conformance::watch::{assert_no_secret, watch_everything};
use idnow_webhooks_sandbox::model::{
    DeliveryFilter, DeliveryState, Header, NewEndpoint, NewFlow, NewSession, PageRequest,
};
use idnow_webhooks_sandbox::{Client, Sandbox};
use reqwest::{Method, RequestBuilder};

use crate::secret;

const PATIENCE: Duration = Duration::from_mins(1);

async fn answer(request: RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Headers of endpoints, the access token and the client's secret: where they are right, wrong and sent to nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_and_whoever_asks_it() {
    watch_everything();
    let (access, client_secret) = (secret("access"), secret("client"));
    let sandbox = Sandbox::builder().time_scale(1000.0).max_retries(1).access_token(&access);
    let sandbox = sandbox.client(Client::new("me", &client_secret)).start().await.unwrap();
    let flow = NewFlow { name: "flow".into(), session_ttl_seconds: 3600 };
    let flow = sandbox.create_flow(flow).await.unwrap().id;
    // One that answers, with what it was sent, and one that does not.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let echo = format!("http://{}/", listener.local_addr().unwrap());
    let app = axum::Router::new()
        .fallback(async |headers: http::HeaderMap| (http::StatusCode::BAD_REQUEST, format!("{headers:?}")));
    tokio::spawn(async move { axum::serve(listener, app).await });
    for url in [echo.as_str(), "http://127.0.0.1:1/"] {
        let mut endpoint = NewEndpoint::new(flow, "live", url);
        endpoint.headers = vec![
            Header { name: "X-Auth-Token".into(), value: secret("header") },
            Header { name: "Authorization".into(), value: format!("Basic {}", secret("basic")) },
        ];
        sandbox.create_endpoint(endpoint).await.unwrap();
    }
    let session = NewSession::new(flow, "live");
    let session = sandbox.create_session(session).await.unwrap();
    let begun = Instant::now();
    let dead = loop {
        let mut filter = DeliveryFilter::default();
        filter.state = Some(DeliveryState::Dead);
        let dead = sandbox.deliveries(filter, PageRequest { limit: 50, after: None }).await.unwrap().items;
        if dead.len() >= 2 {
            break dead;
        }
        assert!(begun.elapsed() < PATIENCE, "{dead:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };

    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let base = sandbox.base_url().trim_end_matches('/').to_owned();
    let at = |method: Method, path: &str| http.request(method, format!("{base}{path}"));
    let mut answers = Vec::new();
    for (token, status) in [(access.clone(), 200), (secret("wrong"), 401)] {
        for path in ["/manage/v1/endpoints", "/manage/v1/deliveries", "/manage/v1/overview"] {
            let (seen, text) = answer(at(Method::GET, path).bearer_auth(&token)).await;
            assert_eq!(seen, status, "{path}: {text}");
            answers.push(text);
        }
        for delivery in &dead {
            let path = format!("/manage/v1/deliveries/{}/attempts", delivery.id);
            answers.push(answer(at(Method::GET, &path).bearer_auth(&token)).await.1);
        }
        let body = format!(
            r#"{{"eventName":"session.completed","url":"{echo}","headers":[{{"name":"X Y","value":"{}"}}]}}"#,
            secret("bad")
        );
        let request = at(Method::POST, "/manage/v1/triggers").bearer_auth(&token);
        answers.push(answer(request.header("content-type", "application/json").body(body)).await.1);
        answers.push(answer(at(Method::GET, "/").header("accept", "text/html").bearer_auth(&token)).await.1);
    }
    for client_secret in [client_secret, secret("wrong")] {
        let token = at(Method::POST, "/oidc/token").basic_auth("me", Some(&client_secret));
        let form = token.header("content-type", "application/x-www-form-urlencoded");
        let (status, text) = answer(form.body("grant_type=client_credentials")).await;
        if status == 200 {
            // It is what was asked for.
            let token: serde_json::Value = serde_json::from_str(&text).unwrap();
            let token = token["access_token"].as_str().unwrap();
            let path = format!("/api/v1/live/sessions/{}", session.id);
            answers.push(answer(at(Method::GET, &path).bearer_auth(token)).await.1);
        } else {
            answers.push(text);
        }
    }
    for text in answers {
        assert_no_secret("an answer of the sandbox", &text);
    }
    assert_no_secret("Debug", &format!("{dead:?} {sandbox:?}"));
    sandbox.stop().await;
}
