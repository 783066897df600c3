//! Settings that could never work are refused at the start, and nothing secret shows.

use std::time::Duration;

use http::{HeaderMap, Method};
use idnow_webhooks_core::event::{Event, SessionCompleted};
use idnow_webhooks_core::keys::{Algorithm, KeySet, StaticKeys};
use idnow_webhooks_core::store::MemoryStore;
use idnow_webhooks_core::{
    Admission, EventRouter, Head, Receiver, ReceiverBuilder, ReceiverError, RepeatedHandler, RequiredHeader,
    Secret, Verifier,
};
use idnow_webhooks_testkit::{Provider, SampleEvent};

fn refused(change: impl FnOnce(ReceiverBuilder) -> ReceiverBuilder) -> ReceiverError {
    change(Provider::new().receiver()).build().map(|_| ()).unwrap_err()
}

#[test]
fn limits_of_zero_are_refused_by_name() {
    assert_eq!(refused(|builder| builder.max_body_bytes(0)), ReceiverError::Zero("max_body_bytes"));
    assert_eq!(
        refused(|builder| builder.answer_deadline(Duration::ZERO)),
        ReceiverError::Zero("answer_deadline")
    );
    assert_eq!(
        refused(|builder| builder.handler_limit(Duration::ZERO)),
        ReceiverError::Zero("handler_limit")
    );
    assert_eq!(refused(|builder| builder.max_in_progress(0)), ReceiverError::Zero("max_in_progress"));
    assert_eq!(
        refused(|builder| builder.max_in_progress(0)).to_string(),
        "`max_in_progress` must not be zero"
    );
    let short = |builder: ReceiverBuilder| builder.handler_limit(Duration::from_secs(7));
    assert_eq!(refused(short), ReceiverError::HandlerLimit);
}

#[test]
fn two_handlers_for_one_event_are_refused() {
    let handler = |_: Event<SessionCompleted>| async { Ok(()) };
    let repeated = EventRouter::new().on(handler).on(handler);
    let error = refused(|builder| builder.handlers(repeated.clone()));
    assert_eq!(error, ReceiverError::Handlers(RepeatedHandler("session.completed")));
    // A router that nobody asks must be right all the same: the mode may change tomorrow.
    let error = refused(|builder| builder.handlers(repeated).queued(MemoryStore::new()));
    assert_eq!(error, ReceiverError::Handlers(RepeatedHandler("session.completed")));
}

#[tokio::test]
async fn the_largest_limits_overflow_nothing() {
    let provider = Provider::new();
    let receiver = provider
        .receiver()
        .max_body_bytes(usize::MAX)
        .answer_deadline(Duration::MAX)
        .handler_limit(Duration::MAX)
        .max_in_progress(u32::MAX)
        .build()
        .unwrap();
    assert_eq!(provider.deliver(&receiver, &SampleEvent::created()).await.code(), "handled");
    assert_eq!(
        provider.deliver(&receiver, &SampleEvent::created().remove("payload")).await.code(),
        "event_unreadable"
    );
    receiver.idle().await;
}

#[test]
fn debug_output_of_a_head_names_the_headers_without_their_values() {
    let mut headers = HeaderMap::new();
    headers.append("x-auth-token", "hush-token".parse().unwrap());
    headers.append("authorization", "Basic aHVzaA==".parse().unwrap());
    let head = Head { method: &Method::POST, headers: &headers, peer: Some([192, 0, 2, 1].into()) };
    let shown = format!("{head:?}{head:#?}");
    for told in ["POST", "x-auth-token", "authorization", "192.0.2.1"] {
        assert!(shown.contains(told), "{shown}");
    }
    assert!(!shown.contains("hush") && !shown.contains("aHVzaA"), "{shown}");
}

#[test]
fn debug_output_shows_no_secret() {
    let admission = Admission::new()
        .require(RequiredHeader::new("X-Auth-Token", ["hush-token"]).unwrap())
        .require(RequiredHeader::basic("idnow", "hush-password"));
    let verifier = Verifier::builder()
        .issuer("https://issuer.example")
        .audience("https://bank.example/hook")
        .algorithms([Algorithm::Hs256])
        .build()
        .unwrap();
    let keys = KeySet::from_secrets([&Secret::from("hush-secret-hush-secret-hush-secret")]).unwrap();
    let builder = Receiver::builder(verifier, StaticKeys::new(keys)).admission(admission);
    let shown = format!("{builder:?}{builder:#?}");
    let receiver = builder.build().unwrap();
    let shown = format!("{shown}{receiver:?}{receiver:#?}");
    assert!(shown.contains("x-auth-token") && shown.contains("https://issuer.example"), "{shown}");
    // `104, 117, 115, 104` is how a derived `Debug` of bytes would spell it, `aWRub3c6` is base64 of `idnow:`.
    for secret in ["hush", "104, 117, 115", "aWRub3c6"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
