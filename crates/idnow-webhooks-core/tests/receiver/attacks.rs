//! Requests that no honest sender makes.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use idnow_webhooks_core::event::RawEvent;
use idnow_webhooks_core::store::MemoryStore;
use idnow_webhooks_core::{EventRouter, Head, Outcome, Receiver, Verifier};
use idnow_webhooks_testkit::{Provider, SampleEvent, SigningKey, compact};

use crate::scripted::{Refresh, ScriptedKeys, set};
use crate::{DEADLINE, headers, post, whole};

type Ids = Arc<Mutex<Vec<String>>>;

fn noting() -> (EventRouter, Ids) {
    let ids = Ids::default();
    let noted = Arc::clone(&ids);
    let router = EventRouter::new().on_any(move |event: RawEvent| {
        noted.lock().unwrap().push(event.id);
        async { Ok(()) }
    });
    (router, ids)
}

#[tokio::test]
async fn only_what_is_signed_is_believed() {
    let provider = Provider::new();
    let (router, ids) = noting();
    let receiver = provider.receiver().handlers(router).build().unwrap();
    let (genuine, other) = (SampleEvent::completed(), SampleEvent::aborted());
    let token = provider.token(&genuine);
    let forged = provider.clone().with_key(SigningKey::shared_other()).token(&other);
    for (lines, body) in [
        (
            vec![("x-idnow-signature", &*token), ("content-type", "application/json")],
            other.data().to_string(),
        ),
        (
            vec![("X-IDNOW-SIGNATURE", &*token), ("content-type", "APPLICATION/JSON; charset=utf-8")],
            String::new(),
        ),
        (vec![("x-idnow-signature", &*token)], "not json at all".to_owned()),
        (vec![("content-type", "Application/JWT ;x=y"), ("content-encoding", "Identity")], token.clone()),
    ] {
        let outcome = post(&receiver, &lines, body).await;
        assert!(outcome.is_accepted(), "{lines:?} {outcome:?}");
    }
    // A forged token in the header is not saved by a loose body.
    let outcome = post(&receiver, &[("x-idnow-signature", &*forged)], other.data().to_string()).await;
    assert_eq!(outcome.code(), "unknown_key");
    assert_eq!(*ids.lock().unwrap(), [genuine.event_id()]);
}

/// A body in the form of a token is the token: then no header plays a part, and neither does the media type.
#[tokio::test]
async fn a_body_that_is_a_token_counts_alone() {
    let provider = Provider::new();
    let (router, ids) = noting();
    let receiver = provider.receiver().handlers(router).max_body_bytes(8000).build().unwrap();
    let (genuine, other) = (SampleEvent::completed(), SampleEvent::aborted());
    let (token, beside) = (provider.token(&genuine), provider.token(&other));
    let giant = "x".repeat(9000);
    let before = ids.lock().unwrap().len();
    for kind in [
        "application/jwt",
        "application/jwt\u{b5}",
        "text/plain",
        "text/plain; charset=utf-8",
        "application/json",
        "application/x-www-form-urlencoded",
        "application/jose",
        "application/octet-stream",
        "application/secevent+jwt",
        "multipart/form-data",
        "",
        "?",
    ] {
        let declared = ("content-type", kind);
        for lines in [
            vec![declared],
            vec![declared, ("content-encoding", "")],
            vec![declared, ("content-encoding", "identity"), ("content-encoding", " , identity")],
            vec![("x-idnow-signature", &*beside), declared],
            vec![("x-idnow-signature", "x"), declared],
            vec![("x-idnow-signature", &giant), declared],
            vec![("x-idnow-signature", &*beside), ("x-idnow-signature", &*beside), declared],
        ] {
            for body in [
                token.clone(),
                format!("{token}\n"),
                format!("\r\n\t {token} \r\n"),
                format!("\"{token}\""),
                format!(" \"{token}\\n\" \n"),
            ] {
                assert!(post(&receiver, &lines, body.clone()).await.is_accepted(), "{lines:?} {body:?}");
            }
        }
    }
    assert_eq!(ids.lock().unwrap().len(), before + 1);
    // The header counts only beside a body that is none.
    for body in ["x", "{}", "", "\"x\"", "a.b", "a.b.c", "a.b.c.d", "{\"a\":\"b.c.d\"}"] {
        assert!(post(&receiver, &[("x-idnow-signature", &beside)], body).await.is_accepted(), "{body:?}");
    }
    let forged = compact(r#"{"alg":"none"}"#, "{}", "");
    assert_eq!(post(&receiver, &[("x-idnow-signature", &beside)], forged).await.code(), "wrong_algorithm");
    assert_eq!(*ids.lock().unwrap(), [genuine.event_id(), other.event_id()]);
}

#[tokio::test]
async fn the_tokens_header_can_be_renamed() {
    let provider = Provider::new();
    let receiver = provider.receiver().token_header(HeaderName::from_static("x-signature")).build().unwrap();
    let token = provider.token(&SampleEvent::created());
    let ours = post(&receiver, &[("x-signature", &token), ("content-type", "application/json")], "{}").await;
    assert_eq!(ours.code(), "handled");
    let theirs = post(&receiver, &[("x-idnow-signature", &token)], "{}").await;
    assert_eq!(theirs.code(), "malformed_token");
}

/// The size limit holds wherever the token stands.
#[tokio::test]
async fn a_giant_token_in_the_header_is_too_large_as_well() {
    let provider = Provider::new();
    let receiver = provider.receiver().max_body_bytes(10_000).build().unwrap();
    let token = provider.token(&SampleEvent::created().set("note", "n".repeat(20_000)));
    let outcome = post(&receiver, &[("x-idnow-signature", &token)], "{}").await;
    assert_eq!((outcome.status().as_u16(), outcome.code()), (413, "body_too_large"));
}

#[tokio::test]
async fn a_token_that_is_no_text_is_malformed() {
    let provider = Provider::new();
    let receiver = provider.receiver().build().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("x-idnow-signature", HeaderValue::from_bytes(b"ey\xff\x80.e30.AA").unwrap());
    let head = Head { method: &Method::POST, headers: &headers, peer: None };
    assert_eq!(receiver.receive(head, whole("{}")).await.code(), "malformed_token");
}

/// A body that is always ready and never gets anywhere must not outlast the deadline.
#[tokio::test]
async fn an_endless_body_of_nothing_ends_at_the_deadline() {
    let provider = Provider::new();
    let receiver = provider.receiver().answer_deadline(std::time::Duration::from_millis(50)).build().unwrap();
    let nothing = stream::repeat(Bytes::new()).map(Ok::<_, std::io::Error>);
    let head = Head { method: &Method::POST, headers: &HeaderMap::new(), peer: None };
    let outcome = tokio::time::timeout(DEADLINE, receiver.receive(head, nothing)).await.unwrap();
    assert_eq!(outcome.code(), "body_incomplete");
}

#[tokio::test]
async fn a_body_in_any_pieces_is_one_body() {
    let provider = Provider::new();
    let receiver = provider.receiver().build().unwrap();
    for size in [1, 7, 100, 100_000] {
        let token = provider.token(&SampleEvent::created());
        let pieces: Vec<_> = token.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
        let body = stream::iter(pieces).flat_map(|piece| stream::iter([Bytes::new(), piece]));
        let lying = headers(&[("content-length", "3")]);
        let head = Head { method: &Method::POST, headers: &lying, peer: None };
        let outcome = receiver.receive(head, body.map(Ok::<_, std::io::Error>)).await;
        assert_eq!(outcome.code(), "handled", "{size}");
    }
}

/// Deduplication comes after verification, or a stranger could burn the ids of events to come.
#[tokio::test]
async fn a_forgery_burns_no_event_id() {
    let provider = Provider::new();
    let receiver = provider.receiver().build().unwrap();
    let event = SampleEvent::completed();
    let forger = SigningKey::shared_other().with_key_id(SigningKey::shared().key_id().unwrap());
    let impostor = provider.clone().with_key(forger);
    assert_eq!(impostor.deliver(&receiver, &event).await.code(), "false_signature");
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "handled");
}

/// The answer tells a stranger nothing about what was expected.
#[tokio::test]
async fn an_answer_repeats_nothing_of_the_request_or_the_settings() {
    let provider = Provider::new();
    let receiver = provider.receiver().build().unwrap();
    let outcome = post(&receiver, &[("content-encoding", "evil<script>")], "x").await;
    let text = String::from_utf8(outcome.response().body().to_vec()).unwrap();
    assert!(!text.contains("evil") && !text.contains("script"), "{text}");
    let audience = provider.clone().with_audience("https://shop.example/<b>");
    let outcome = audience.deliver(&receiver, &SampleEvent::created()).await;
    let text = String::from_utf8(outcome.response().body().to_vec()).unwrap();
    for told in ["shop", "bank", "idnow.dev", "expected", SigningKey::shared().key_id().unwrap()] {
        assert!(!text.contains(told), "{text}");
    }
}

#[tokio::test]
async fn verifying_alone_refuses_the_same_and_remembers_nothing() {
    let provider = Provider::new();
    let (router, ids) = noting();
    let receiver = provider
        .receiver()
        .handlers(router)
        .expected_environment("staging")
        .max_body_bytes(4096)
        .build()
        .unwrap();
    let none = HeaderMap::new();
    let verify = async |token: String| {
        let head = Head { method: &Method::POST, headers: &none, peer: None };
        receiver.verify(head, whole(token)).await
    };
    let event = SampleEvent::completed();
    for _ in 0..2 {
        let delivery = verify(provider.token(&event)).await.unwrap();
        assert_eq!(delivery.event.id, event.event_id());
    }
    assert!(ids.lock().unwrap().is_empty());
    for (token, expected) in [
        (provider.token(&SampleEvent::created().with_environment("live")), "wrong_environment"),
        (provider.token(&SampleEvent::created().remove("payload")), "event_unreadable"),
        (provider.clone().with_audience("x").token(&event), "wrong_audience"),
        ("x".repeat(5000), "body_too_large"),
        (String::new(), "malformed_token"),
    ] {
        assert_eq!(Outcome::Refused(verify(token).await.unwrap_err()).code(), expected);
    }
}

/// Only what is verified takes a place among the events in progress.
#[tokio::test]
async fn strangers_cannot_take_the_places_of_genuine_deliveries() {
    let provider = Provider::new();
    let keys = ScriptedKeys::new(set(&[provider.key()]), [Refresh::Hangs]);
    let verifier = Verifier::builder().issuer(Provider::ISSUER).audience(Provider::AUDIENCE).build().unwrap();
    let receiver = Receiver::builder(verifier, keys.clone())
        .handlers(EventRouter::new())
        .max_in_progress(1)
        .build()
        .unwrap();
    let none = HeaderMap::new();
    let head = || Head { method: &Method::POST, headers: &none, peer: None };
    let mut strangers: Vec<_> = ["", "ey", &provider.token(&SampleEvent::completed())]
        .map(|beginning| {
            let body = stream::iter([Ok::<_, std::io::Error>(Bytes::from(beginning.to_owned()))]);
            Box::pin(receiver.receive(head(), body.chain(stream::pending())))
        })
        .into();
    for stranger in &mut strangers {
        assert!(stranger.as_mut().now_or_never().is_none());
    }
    let other_key = provider.clone().with_key(SigningKey::shared_other());
    let event = SampleEvent::completed();
    let mut waiting = Box::pin(other_key.deliver(&receiver, &event));
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!(keys.arrivals().len(), 1, "it waits for its key");
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "handled");
}

/// Nobody reads it, so it must not decide anything.
#[tokio::test]
async fn a_member_of_the_header_whose_name_is_no_text_refuses_nothing_for_good() {
    let provider = Provider::new();
    let receiver = provider.receiver().queued(MemoryStore::new()).build().unwrap();
    let key = provider.key();
    let claims = provider.claims(&SampleEvent::completed()).to_string();
    for member in [r#""\ud83d":1"#, r#""x":1,"x":2"#, r#""x":"\ud83d""#, r#""x":1e400"#] {
        let header = format!(r#"{{"alg":"RS256","kid":"{}",{member}}}"#, key.key_id().unwrap());
        let outcome = post(&receiver, &[], key.sign_raw(header.as_bytes(), claims.as_bytes())).await;
        assert!(!outcome.status().is_client_error(), "{member}: {}", outcome.code());
    }
}

/// A name of a member that nobody reads in the claims: is the event kept?
#[tokio::test]
async fn a_claim_whose_name_is_no_text_loses_no_event() {
    let provider = Provider::new();
    let receiver = provider.receiver().queued(MemoryStore::new()).build().unwrap();
    let key = provider.key();
    let claims = provider.claims(&SampleEvent::completed()).to_string();
    let claims = claims.replacen('{', r#"{"\ud83d":1,"#, 1);
    let header = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, key.key_id().unwrap());
    let outcome = post(&receiver, &[], key.sign_raw(header.as_bytes(), claims.as_bytes())).await;
    assert_eq!(outcome.code(), "stored");
}

/// Text that happens to have two dots beside a genuine token in its header.
#[tokio::test]
async fn a_body_that_is_no_token_does_not_hide_the_header() {
    let provider = Provider::new();
    let receiver = provider.receiver().queued(MemoryStore::new()).build().unwrap();
    let token = provider.token(&SampleEvent::completed());
    for body in ["", "{}", "www.idnow.io", "1.0.0", "\u{feff}{}"] {
        let outcome = post(&receiver, &[("x-idnow-signature", &token)], body).await;
        assert!(outcome.is_accepted(), "{body}: {}", outcome.code());
    }
}
