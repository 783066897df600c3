//! Requests and tokens that are refused for what they are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use idnow_webhooks_core::keys::{Algorithm, KeySet, KeySource, KeysUnavailable};
use idnow_webhooks_core::{Receiver, Verifier};
use idnow_webhooks_testkit::{SigningKey, compact};
use serde_json::json;

use super::prelude::*;

/// Asserts that a request is refused like this, that no handler ran, and that the server goes on working.
async fn refused(stage: &Stage, request: Request<Body>, status: u16, code: &str) {
    assert_eq!(stage.send(request).await, Answer::refused(status, code));
    assert_eq!(stage.calls.count(), 0);
}

pub(crate) async fn other_methods(on: Target) {
    let stage = Stage::new(on);
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        let mut request = stage.delivery(&SampleEvent::completed());
        *request.method_mut() = method.parse().unwrap();
        if method == "GET" {
            *request.body_mut() = whole("");
        }
        let answer = stage.send(request).await;
        assert_eq!(answer, Answer::refused(405, "method_not_allowed"), "{method}");
    }
    let head = stage.send(request("HEAD", PATH)).await;
    assert_eq!(head, Answer::refused(405, "method_not_allowed").without_body(), "as GET, with its length");
    assert_eq!(stage.calls.count(), 0);
}

pub(crate) async fn compressed_bodies(on: Target) {
    let stage = Stage::new(on);
    for encoding in ["gzip", "br", "identity, gzip", "x"] {
        let mut request = stage.delivery(&SampleEvent::completed());
        set(&mut request, "content-encoding", encoding);
        refused(&stage, request, 415, "unsupported_encoding").await;
    }
}

pub(crate) async fn bodies_that_are_no_token(on: Target) {
    let stage = Stage::new(on);
    let token = stage.provider.token(&SampleEvent::completed());
    let bodies: [Vec<u8>; 6] = [
        vec![],
        b"{}".to_vec(),
        b"a.b".to_vec(),
        b"a.b.c.d".to_vec(),
        vec![0xff, 0xfe, b'.', 0x00, b'.', 0xc3],
        format!("{token}=").into_bytes(),
    ];
    for body in bodies {
        refused(&stage, delivery(body), 400, "malformed_token").await;
    }
}

pub(crate) async fn header_tokens_that_are_none(on: Target) {
    let stage = Stage::new(on);
    let token = stage.provider.token(&SampleEvent::completed());
    refused(&stage, by_header("x-idnow-signature", "", "{}"), 400, "malformed_token").await;
    refused(&stage, by_header("x-idnow-signature", "\u{e9}.\u{e9}.x", "{}"), 400, "malformed_token").await;
    let mut twice = by_header("x-idnow-signature", &token, "{}");
    add(&mut twice, "x-idnow-signature", &token);
    refused(&stage, twice, 400, "malformed_token").await;
    let joined = format!("{token}, {token}");
    refused(&stage, by_header("x-idnow-signature", &joined, "{}"), 400, "malformed_token").await;
}

pub(crate) async fn forged_tokens(on: Target) {
    let stage = Stage::new(on);
    let (provider, event) = (&stage.provider, SampleEvent::completed());
    let known = provider.key().key_id().unwrap();
    let other_key = SigningKey::shared_other().with_key_id(known);
    let genuine = provider.token(&event);
    let (signed, signature) = genuine.rsplit_once('.').unwrap();
    let (header, _) = signed.split_once('.').unwrap();
    let other = provider.token(&SampleEvent::aborted());
    let other_claims = other.split('.').nth(1).unwrap();
    let hmac = SigningKey::from_secret(Algorithm::Hs256, provider.key().public_key_pem()).with_key_id(known);
    for (code, token) in [
        ("false_signature", provider.clone().with_key(other_key).token(&event)),
        ("false_signature", format!("{header}.{other_claims}.{signature}")),
        ("wrong_algorithm", compact(r#"{"alg":"none"}"#, provider.claims(&event).to_string(), "")),
        ("wrong_algorithm", provider.clone().with_key(hmac).token(&event)),
    ] {
        refused_both_ways(&stage, &token, 401, code).await;
    }
    the_event_is_still_new(&stage, &event).await;
}

/// What is not proven to be forged is asked for again.
pub(crate) async fn tokens_that_may_be_genuine(on: Target) {
    let stage = Stage::new(on);
    let (provider, event) = (&stage.provider, SampleEvent::completed());
    let old = provider.token_with(&event, |claims| {
        claims.insert("iat".into(), 1_600_000_000.into());
        claims.insert("exp".into(), 1_600_003_600.into());
    });
    let critical = json!({ "alg": "RS256", "kid": provider.key().key_id(), "crit": ["b64"], "b64": false });
    let critical = critical.to_string();
    for (code, token) in [
        ("expired", old),
        ("wrong_audience", provider.clone().with_audience("https://shop.example/").token(&event)),
        ("wrong_issuer", provider.clone().with_issuer("https://issuer.example").token(&event)),
        ("unusable_claims", provider.token_with(&event, |claims| drop(claims.remove("exp")))),
        (
            "unusable_claims",
            provider.key().sign_raw(critical.as_bytes(), provider.claims(&event).to_string().as_bytes()),
        ),
        ("unknown_key", provider.clone().with_key(SigningKey::shared_other()).token(&event)),
        ("unknown_key", provider.clone().with_key(SigningKey::shared_other().without_key_id()).token(&event)),
    ] {
        refused_both_ways(&stage, &token, 503, code).await;
    }
    the_event_is_still_new(&stage, &event).await;
}

async fn refused_both_ways(stage: &Stage, token: &str, status: u16, code: &str) {
    let expected = match status {
        503 => Answer::refused(status, code).with("retry-after", "1"),
        _ => Answer::refused(status, code),
    };
    assert_eq!(stage.send(delivery(token.to_owned())).await, expected, "{code}");
    let by_header = by_header("x-idnow-signature", token, "{}");
    assert_eq!(stage.send(by_header).await, expected, "{code} in the header");
    assert_eq!(stage.calls.count(), 0);
}

/// No refused token has used up the event's id.
async fn the_event_is_still_new(stage: &Stage, event: &SampleEvent) {
    assert_eq!(stage.deliver(event).await, Answer::accepted());
    assert_eq!(stage.calls.ids(), [event.event_id()]);
}

#[derive(Debug)]
struct NoKeyServer;

#[async_trait]
impl KeySource for NoKeyServer {
    fn current(&self) -> Arc<KeySet> {
        Arc::default()
    }

    async fn refresh(&self, _arrived: Instant) -> Result<Arc<KeySet>, KeysUnavailable> {
        Err(KeysUnavailable::new("the key server is down", Duration::from_millis(6500)))
    }
}

pub(crate) async fn an_unknown_key_while_the_key_server_is_down(on: Target) {
    let calls = Calls::new();
    let provider = Provider::new();
    let verifier =
        Verifier::builder().issuer(provider.issuer()).audience(provider.audience()).build().unwrap();
    let receiver = Receiver::builder(verifier, NoKeyServer).handlers(calls.router());
    let server = on.start(receiver.build().unwrap());
    let token = provider.token(&SampleEvent::completed());
    let answer = on.connect(&server).await.send(delivery(token)).await;
    let expected = Answer::refused(503, "keys_unavailable").with("retry-after", "7");
    assert_eq!(answer, expected);
    assert_eq!(calls.count(), 0);
}

pub(crate) async fn events_for_another_environment(on: Target) {
    let stage = Stage::with(on, |receiver, _| receiver.expected_environment("live"));
    let staging = SampleEvent::completed().with_environment("staging");
    let expected = Answer::refused(503, "wrong_environment").with("retry-after", "1");
    assert_eq!(stage.send(stage.delivery(&staging)).await, expected);
    assert_eq!(stage.calls.count(), 0);
    let live = SampleEvent::completed().with_environment("live");
    assert_eq!(stage.deliver(&live).await, Answer::accepted());
}

pub(crate) async fn unreadable_events(on: Target) {
    let stage = Stage::new(on);
    let event = SampleEvent::completed().remove("eventName");
    refused(&stage, stage.delivery(&event), 503, "event_unreadable").await;
    let nothing = delivery(stage.provider.token_with(&SampleEvent::completed(), |claims| {
        claims.remove("data");
    }));
    refused(&stage, nothing, 503, "event_unreadable").await;
}
