//! The status table, row by row, through the real pipeline.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method, Response};
use idnow_webhooks_core::keys::StaticKeys;
use idnow_webhooks_core::{Admission, EventRouter, HandlerError, Head, Outcome, Receiver, RequiredHeader};
use idnow_webhooks_testkit::{Provider, SampleEvent, SigningKey, compact};
use serde_json::{Value, json};

use crate::scripted::{Refresh, ScriptedKeys, ScriptedStore, set};
use crate::{DEADLINE, counting, headers, post, whole};

struct Row {
    name: &'static str,
    outcome: Outcome,
    status: u16,
    code: &'static str,
    /// `Retry-After` in seconds.
    wait: Option<u64>,
}

fn row(name: &'static str, outcome: Outcome, status: u16, code: &'static str) -> Row {
    let wait = (status == 503).then_some(1);
    Row { name, outcome, status, code, wait }
}

async fn handled_by(provider: &Provider, result: fn() -> Result<(), HandlerError>) -> Outcome {
    let (router, _) = counting(move |_| async move { result() });
    let receiver = provider.receiver().handlers(router).build().unwrap();
    provider.deliver(&receiver, &SampleEvent::completed()).await
}

async fn from(receiver: &Receiver, method: Method, peer: Option<&str>, lines: &[(&str, &str)]) -> Outcome {
    let headers = headers(lines);
    let head = Head { method: &method, headers: &headers, peer: peer.map(|peer| peer.parse().unwrap()) };
    receiver.receive(head, whole("never.looked.at")).await
}

async fn accepted(provider: &Provider) -> Vec<Row> {
    let event = SampleEvent::completed();
    let queued = provider.receiver().queued(ScriptedStore::default()).build().unwrap();
    let inline = provider.receiver().handlers(EventRouter::new()).build().unwrap();
    vec![
        row("stored", provider.deliver(&queued, &event).await, 200, "stored"),
        row("stored before", provider.deliver(&queued, &event).await, 200, "duplicate"),
        row("handled", provider.deliver(&inline, &event).await, 200, "handled"),
        row("handled before", provider.deliver(&inline, &event).await, 200, "duplicate"),
    ]
}

async fn before_the_body(provider: &Provider) -> Vec<Row> {
    let admission = Admission::new()
        .allow("192.0.2.0/24".parse().unwrap())
        .trust_proxy("10.0.0.0/8".parse().unwrap())
        .require(RequiredHeader::new("X-Auth-Token", ["s3cret"]).unwrap());
    let guarded = provider.receiver().admission(admission).build().unwrap();
    let open = provider.receiver().build().unwrap();
    let good = ("x-auth-token", "s3cret");
    let inside = Some("192.0.2.1");
    let post = Method::POST;
    let forbidden = "source_not_allowed";
    let mut rows = vec![
        row("no peer", from(&guarded, post.clone(), None, &[good]).await, 503, "source_unknown"),
        row("stranger", from(&guarded, post.clone(), Some("198.51.100.1"), &[good]).await, 403, forbidden),
        row(
            "proxy",
            from(&guarded, post.clone(), Some("10.0.0.1"), &[good, ("x-forwarded-for", "?")]).await,
            503,
            "source_unknown",
        ),
        row("no header", from(&guarded, post.clone(), inside, &[]).await, 401, "unauthorized"),
        row(
            "wrong header",
            from(&guarded, post.clone(), inside, &[("x-auth-token", "S3cret")]).await,
            401,
            "unauthorized",
        ),
        row(
            "repeated header",
            from(&guarded, post.clone(), inside, &[good, good]).await,
            401,
            "unauthorized",
        ),
    ];
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
        rows.push(row("method", from(&open, method, None, &[]).await, 405, "method_not_allowed"));
    }
    for encoding in ["gzip", "br", "deflate", "identity, gzip", "zstd", "x"] {
        let outcome = from(&open, post.clone(), None, &[("content-encoding", encoding)]).await;
        rows.push(row("encoding", outcome, 415, "unsupported_encoding"));
    }
    // Neither of these decides anything: what is missing is a token.
    for lines in [
        ("content-type", "text/plain"),
        ("content-type", ""),
        ("content-encoding", ""),
        ("content-encoding", "identity"),
    ] {
        rows.push(row("no token", from(&open, post.clone(), None, &[lines]).await, 400, "malformed_token"));
    }
    let twice = [("x-idnow-signature", "a.b.c"), ("x-idnow-signature", "a.b.c")];
    rows.push(row("two tokens", from(&open, post, None, &twice).await, 400, "malformed_token"));
    rows
}

async fn the_body(provider: &Provider) -> Vec<Row> {
    let receiver = provider.receiver().max_body_bytes(100).answer_deadline(DEADLINE).build().unwrap();
    let empty = HeaderMap::new();
    let head = || Head { method: &Method::POST, headers: &empty, peer: None };
    let declared = from(&receiver, Method::POST, None, &[("content-length", "101")]).await;
    let pieces = || stream::repeat(Bytes::from_static(b"0123456789")).map(Ok::<_, io::Error>);
    let broken = stream::iter([Ok(Bytes::from_static(b"ey")), Err(io::Error::other("reset"))]);
    vec![
        row("declared too large", declared, 413, "body_too_large"),
        row("too large", receiver.receive(head(), whole(vec![b'a'; 101])).await, 413, "body_too_large"),
        row("endless", receiver.receive(head(), pieces()).await, 413, "body_too_large"),
        row("broken off", receiver.receive(head(), broken).await, 503, "body_incomplete"),
        row(
            "stalled",
            receiver.receive(head(), pieces().take(3).chain(stream::pending())).await,
            503,
            "body_incomplete",
        ),
        row("empty", receiver.receive(head(), whole("")).await, 400, "malformed_token"),
        row("no token", receiver.receive(head(), whole("{}")).await, 400, "malformed_token"),
    ]
}

async fn the_token(provider: &Provider) -> Vec<Row> {
    let receiver = provider.receiver().build().unwrap();
    let event = SampleEvent::completed();
    let stranger = SigningKey::shared_other().with_key_id(SigningKey::shared().key_id().unwrap());
    let unsigned = compact(r#"{"alg":"none"}"#, provider.claims(&event).to_string(), "");
    let known = json!({ "alg": "HS256", "kid": SigningKey::shared().key_id() }).to_string();
    let confused = stranger.sign_raw(known.as_bytes(), provider.claims(&event).to_string().as_bytes());
    let old = |claims: &mut serde_json::Map<String, Value>| {
        claims["iat"] = 1_600_000_000.into();
        claims["exp"] = 1_600_003_600.into();
    };
    let critical =
        json!({ "alg": "RS256", "kid": SigningKey::shared().key_id(), "crit": ["exp"] }).to_string();
    let critical =
        SigningKey::shared().sign_raw(critical.as_bytes(), provider.claims(&event).to_string().as_bytes());
    let mut rows = Vec::new();
    for (token, status, code) in [
        // Proven not to be the provider's.
        (provider.clone().with_key(stranger).token(&event), 401, "false_signature"),
        (unsigned, 401, "wrong_algorithm"),
        (confused, 401, "wrong_algorithm"),
        // Not proven.
        (provider.clone().with_key(SigningKey::shared_other()).token(&event), 503, "unknown_key"),
        // Proven to be the provider's.
        (provider.token_with(&event, old), 503, "expired"),
        (
            provider.token_with(&event, |claims| claims["exp"] = 9_000_000_000_u64.into()),
            503,
            "wrong_lifetime",
        ),
        (provider.clone().with_issuer("https://evil.example").token(&event), 503, "wrong_issuer"),
        (provider.clone().with_audience("https://shop.example/").token(&event), 503, "wrong_audience"),
        (SigningKey::shared().sign(&json!({})), 503, "unusable_claims"),
        (critical, 503, "unusable_claims"),
    ] {
        rows.push(row(code, post(&receiver, &[], token).await, status, code));
    }
    for name in ["iat", "nbf"] {
        let now = provider.claims(&event)["iat"].as_i64().unwrap();
        let early = |seconds: i64| {
            provider.token_with(&SampleEvent::created(), |claims| {
                claims.insert(name.into(), json!(now + seconds));
            })
        };
        rows.push(row(name, post(&receiver, &[], early(90)).await, 503, "not_yet_valid"));
        rows.push(row(name, post(&receiver, &[], early(30)).await, 200, "handled"));
    }
    let live = provider.receiver().expected_environment("live").build().unwrap();
    rows.push(row("environment", provider.deliver(&live, &event).await, 503, "wrong_environment"));
    let flow = provider.receiver().expected_flow("another").build().unwrap();
    rows.push(row("flow", provider.deliver(&flow, &event).await, 503, "wrong_flow"));
    let verifier =
        idnow_webhooks_core::Verifier::builder().issuer(Provider::ISSUER).audience(Provider::AUDIENCE);
    let curves = verifier.algorithms([idnow_webhooks_core::keys::Algorithm::Es256]).build().unwrap();
    let curves = Receiver::builder(curves, StaticKeys::new(provider.key().key_set())).build().unwrap();
    rows.push(row("algorithm", provider.deliver(&curves, &event).await, 503, "algorithm_not_allowed"));

    let keys = ScriptedKeys::new(set(&[]), [Refresh::Fails(Duration::from_millis(7500))]);
    let verifier = idnow_webhooks_core::Verifier::builder()
        .issuer(Provider::ISSUER)
        .audience(Provider::AUDIENCE)
        .build()
        .unwrap();
    let keyless = Receiver::builder(verifier, keys).build().unwrap();
    let mut row = row("no keys", provider.deliver(&keyless, &event).await, 503, "keys_unavailable");
    row.wait = Some(8);
    rows.push(row);
    rows
}

async fn the_intake(provider: &Provider) -> Vec<Row> {
    let event = SampleEvent::completed();
    let store = ScriptedStore::default();
    store.fail_begin(true);
    store.fail_insert(true);
    let inline = provider.receiver().store(store.clone()).build().unwrap();
    let queued = provider.receiver().queued(store.clone()).build().unwrap();
    let (slow, _) = counting(|_| std::future::pending());
    let slow =
        provider.receiver().handlers(slow).answer_deadline(DEADLINE).max_in_progress(2).build().unwrap();
    vec![
        row("retry", handled_by(provider, || Err(io::Error::other("x").into())).await, 503, "handler_failed"),
        row(
            "permanent",
            handled_by(provider, || Err(HandlerError::permanent("x"))).await,
            422,
            "handler_refused",
        ),
        row("panic", handled_by(provider, || panic!("on purpose")).await, 503, "handler_failed"),
        row(
            "unreadable",
            provider.deliver(&inline, &event.clone().remove("payload")).await,
            503,
            "event_unreadable",
        ),
        row("begin", provider.deliver(&inline, &event).await, 503, "store_unavailable"),
        row("insert", provider.deliver(&queued, &event).await, 503, "store_unavailable"),
        row("hanging", provider.deliver(&slow, &event).await, 503, "deadline_exceeded"),
        row("still running", provider.deliver(&slow, &event).await, 503, "in_progress"),
        row("another one", provider.deliver(&slow, &SampleEvent::created()).await, 503, "deadline_exceeded"),
        row("one too many", provider.deliver(&slow, &SampleEvent::expired()).await, 503, "overloaded"),
    ]
}

fn problem_of(row: &Row, response: &Response<Bytes>) {
    let Row { name, status, code, wait, .. } = row;
    assert_eq!(response.status().as_u16(), *status, "{name}: {:?}", row.outcome);
    assert_eq!(row.outcome.code(), *code, "{name}");
    let header =
        |header: &str| response.headers().get(header).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("retry-after"), wait.map(|seconds| seconds.to_string()), "{name}");
    assert_eq!(header("content-length"), Some(response.body().len().to_string()), "{name}");
    assert_eq!(header("cache-control").as_deref(), Some("no-store"), "{name}");
    assert_eq!(header("allow").as_deref(), (*status == 405).then_some("POST"), "{name}");
    assert_eq!(row.outcome.is_accepted(), *status == 200, "{name}");
    if *status == 200 {
        assert!(response.body().is_empty(), "{name}");
        assert_eq!(header("content-type"), None);
        return;
    }
    assert_eq!(header("content-type").as_deref(), Some("application/problem+json"), "{name}");
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 4, "{name}: {body}");
    assert_eq!(body["type"], "about:blank");
    assert_eq!(body["title"], response.status().canonical_reason().unwrap());
    assert_eq!(body["status"], *status);
    assert_eq!(body["code"], *code);
}

#[tokio::test(start_paused = true)]
async fn every_row_of_the_table_is_answered_as_documented() {
    let provider = Provider::new();
    let mut rows = accepted(&provider).await;
    rows.extend(before_the_body(&provider).await);
    rows.extend(the_body(&provider).await);
    rows.extend(the_token(&provider).await);
    rows.extend(the_intake(&provider).await);
    for row in &rows {
        problem_of(row, &row.outcome.response());
    }
    // The provider never tries again after a 4xx, so nothing that may pass is one.
    assert!(rows.len() > 50);
}
