//! Requests and tokens that are refused for what they are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use idnow_webhooks_core::keys::{KeySet, KeySource, KeysUnavailable};
use idnow_webhooks_core::{Receiver, Verifier};
use idnow_webhooks_testkit::{SigningKey, compact};

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

pub(crate) async fn other_media_types(on: Target) {
    let stage = Stage::new(on);
    for media_type in
        ["application/json", "text/plain", "application/jwtx", "multipart/form-data", "\u{e9}", ""]
    {
        let mut request = stage.delivery(&SampleEvent::completed());
        set(&mut request, "content-type", media_type);
        refused(&stage, request, 415, "unsupported_media_type").await;
    }
}

/// The first line counts, on every server: none of them reorders, joins or drops lines.
pub(crate) async fn the_first_of_two_media_types_counts(on: Target) {
    let stage = Stage::new(on);
    let mut request = stage.delivery(&SampleEvent::completed());
    set(&mut request, "content-type", "text/plain");
    add(&mut request, "content-type", "application/jwt");
    refused(&stage, request, 415, "unsupported_media_type").await;

    let mut request = stage.delivery(&SampleEvent::completed());
    add(&mut request, "content-type", "text/plain");
    assert_eq!(stage.send(request).await, Answer::accepted());
}

pub(crate) async fn compressed_bodies(on: Target) {
    let stage = Stage::new(on);
    for encoding in ["gzip", "br", "identity, gzip", "x"] {
        let mut request = stage.delivery(&SampleEvent::completed());
        set(&mut request, "content-encoding", encoding);
        refused(&stage, request, 415, "unsupported_media_type").await;
    }
}

pub(crate) async fn bodies_that_are_no_token(on: Target) {
    let stage = Stage::new(on);
    let token = stage.provider.token(&SampleEvent::completed());
    let bodies: [Vec<u8>; 9] = [
        vec![],
        b"{}".to_vec(),
        b"a.b".to_vec(),
        b"a.b.c.d".to_vec(),
        vec![0xff, 0xfe, b'.', 0x00, b'.', 0xc3],
        format!("{token}\n").into_bytes(),
        format!(" {token}").into_bytes(),
        format!("{token}=").into_bytes(),
        compact(r#"{"alg":"RS256","crit":["b64"],"b64":false}"#, "{}", "").into_bytes(),
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

/// A header's token decides even when the body holds a genuine one, unless the body is declared to be the token.
pub(crate) async fn a_bad_header_token_beside_a_good_body(on: Target) {
    let stage = Stage::new(on);
    let event = SampleEvent::completed();
    let mut undeclared = stage.delivery(&event);
    undeclared.headers_mut().remove("content-type");
    set(&mut undeclared, "x-idnow-signature", "a.b");
    refused(&stage, undeclared, 400, "malformed_token").await;

    let mut declared = stage.delivery(&event);
    set(&mut declared, "x-idnow-signature", "a.b");
    assert_eq!(stage.send(declared).await, Answer::accepted());
    assert_eq!(stage.calls.ids(), [event.event_id()]);
}

pub(crate) async fn tokens_that_are_not_believed(on: Target) {
    let stage = Stage::new(on);
    let (provider, event) = (&stage.provider, SampleEvent::completed());
    let other_key = SigningKey::shared_other().with_key_id(provider.key().key_id().unwrap());
    let genuine = provider.token(&event);
    let (signed, signature) = genuine.rsplit_once('.').unwrap();
    let (header, _) = signed.split_once('.').unwrap();
    let other = provider.token(&SampleEvent::aborted());
    let other_claims = other.split('.').nth(1).unwrap();
    let tokens = [
        ("wrong key", provider.clone().with_key(other_key).token(&event)),
        ("tampered", format!("{header}.{other_claims}.{signature}")),
        ("unsigned", compact(r#"{"alg":"none"}"#, provider.claims(&event).to_string(), "")),
        (
            "expired",
            provider.token_with(&event, |claims| {
                claims.insert("iat".into(), 1_600_000_000.into());
                claims.insert("exp".into(), 1_600_003_600.into());
            }),
        ),
        ("audience", provider.clone().with_audience("https://shop.example/").token(&event)),
        ("issuer", provider.clone().with_issuer("https://issuer.example").token(&event)),
        ("unknown key", provider.clone().with_key(SigningKey::shared_other()).token(&event)),
    ];
    for (what, token) in tokens {
        let answer = stage.send(delivery(token.clone())).await;
        assert_eq!(answer, Answer::refused(401, "token_refused"), "{what}");
        let by_header = by_header("x-idnow-signature", &token, "{}");
        assert_eq!(stage.send(by_header).await, Answer::refused(401, "token_refused"), "{what}");
    }
    assert_eq!(stage.calls.count(), 0);
    // None of them has used up the event's id.
    assert_eq!(stage.deliver(&event).await, Answer::accepted());
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
    refused(&stage, stage.delivery(&staging), 401, "wrong_environment").await;
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
