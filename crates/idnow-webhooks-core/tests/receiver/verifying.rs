//! Deliveries that are only verified: watched like all others.

use std::io;

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderMap, Method};
use idnow_webhooks_core::{Head, Receiver, Refusal, VerifiedDelivery};
use idnow_webhooks_testkit::{Provider, SampleEvent};
use tokio::time::{Instant, timeout};
use tracing::Level;

use crate::capture::Capture;
use crate::{DEADLINE, whole};

pub(crate) async fn verify(
    receiver: &Receiver,
    body: impl Stream<Item = Result<Bytes, io::Error>>,
) -> Result<VerifiedDelivery, Refusal> {
    let head = Head { method: &Method::POST, headers: &HeaderMap::new(), peer: Some([192, 0, 2, 1].into()) };
    receiver.verify(head, body).await
}

#[tokio::test]
async fn each_is_one_line_that_says_what_became_of_it() {
    let (capture, _guard) = Capture::start();
    let provider = Provider::new();
    let receiver = provider.receiver().expected_environment("staging").build().unwrap();
    let event = SampleEvent::completed();
    verify(&receiver, whole(provider.token(&event))).await.unwrap();
    let (level, fields) = capture.only();
    assert_eq!((level, &*fields["outcome"]), (Level::INFO, "verified"));
    assert!(!fields.contains_key("status"), "the answer is the caller's");
    assert_eq!((&*fields["event_id"], &*fields["event_name"]), (event.event_id(), "session.completed"));
    assert_eq!((&*fields["source"], &*fields["attempt"]), ("192.0.2.1", "1"));
    fields["elapsed_us"].parse::<u64>().unwrap();

    for (token, outcome, status, expected, reason) in [
        ("x".to_owned(), "malformed_token", "400", Level::WARN, "three segments"),
        (
            provider.clone().with_audience("x").token(&event),
            "wrong_audience",
            "503",
            Level::ERROR,
            "expected one of",
        ),
        (
            provider.token(&event.clone().with_environment("live")),
            "wrong_environment",
            "503",
            Level::ERROR,
            "live",
        ),
        (provider.token(&event.clone().remove("payload")), "event_unreadable", "503", Level::WARN, "payload"),
    ] {
        verify(&receiver, whole(token)).await.unwrap_err();
        let (level, fields) = capture.only();
        assert_eq!((level, &*fields["outcome"]), (expected, outcome));
        assert_eq!(&*fields["status"], status);
        assert!(fields["reason"].contains(reason), "{fields:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_whose_body_never_ends_is_refused_at_the_deadline() {
    let (capture, _guard) = Capture::start();
    let receiver = Provider::new().receiver().answer_deadline(DEADLINE).build().unwrap();
    let started = Instant::now();
    let refusal = verify(&receiver, stream::pending()).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Incomplete), "{refusal:?}");
    assert_eq!((refusal.status().as_u16(), refusal.code()), (503, "body_incomplete"));
    assert_eq!(started.elapsed(), DEADLINE);
    assert_eq!(capture.only().1["outcome"], "body_incomplete");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_is_noted() {
    let (capture, _guard) = Capture::start();
    let receiver = Provider::new().receiver().answer_deadline(DEADLINE).build().unwrap();
    timeout(DEADLINE / 2, verify(&receiver, stream::pending())).await.unwrap_err();
    let (level, fields) = capture.only();
    assert_eq!((level, &*fields["outcome"]), (Level::WARN, "client_gone"));
}
