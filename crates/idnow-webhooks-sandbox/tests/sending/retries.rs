//! When it is tried again, and what with.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use idnow_webhooks_sandbox::Sandbox;
use idnow_webhooks_sandbox::model::{DeadReason, DeliveryState};

use crate::support::{Reply, Sink, World};

/// The provider's waits, in seconds: 1,023 in all.
const WAITS: [i64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

#[tokio::test]
async fn ten_retries_follow_the_sequence_and_no_eleventh() {
    let world = World::start(Sandbox::builder().time_scale(100.0)).await;
    let sink = Sink::start(|_| Reply::Status(503)).await;
    let endpoint = world.endpoint(&sink.url("/")).await;
    let (delivery, attempts) = world.send_one(&endpoint).await;
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Dead, 11));
    assert_eq!(delivery.dead_reason, Some(DeadReason::RetriesExhausted));
    assert_eq!(
        attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(),
        (1..=11).collect::<Vec<_>>()
    );
    for (pair, seconds) in attempts.windows(2).zip(WAITS) {
        let answered =
            pair[0].started_at + TimeDelta::milliseconds(i64::try_from(pair[0].duration_ms).unwrap());
        let waited = pair[1].started_at - answered;
        // A hundredth of the provider's. The end of an attempt is known by the millisecond.
        let expected = TimeDelta::milliseconds(seconds * 10);
        let late = waited - expected;
        assert!(
            (TimeDelta::milliseconds(-1)..TimeDelta::milliseconds(250)).contains(&late),
            "waited {waited} instead of {expected} before attempt {}",
            pair[1].number
        );
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(sink.count(), 11);
}

#[tokio::test]
async fn each_attempt_is_a_token_of_its_own_for_the_same_event() {
    let world = World::start(Sandbox::builder().time_scale(1000.0)).await;
    let sink = Sink::start(|request| match request.data("eventDeliverId").as_str() {
        "4" => Reply::Status(200),
        "3" => Reply::Drop,
        _ => Reply::Status(500),
    })
    .await;
    let endpoint = world.endpoint(&sink.url("/")).await;
    let (delivery, attempts) = world.send_one(&endpoint).await;
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Delivered, 4));

    let received = sink.received();
    let numbers: Vec<_> = received.iter().map(|request| request.data("eventDeliverId")).collect();
    assert_eq!(numbers, ["1", "2", "3", "4"]);
    let mut last: Option<DateTime<Utc>> = None;
    for (request, attempt) in received.iter().zip(&attempts) {
        let claims = request.claims();
        assert_eq!(request.data("eventId"), delivery.event_id.to_string());
        assert_eq!(claims["sub"], delivery.event_id.to_string());
        let text = request.data("createdAt");
        assert!(text.len() == 24 && text.ends_with('Z'), "not in milliseconds: {text}");
        let created_at: DateTime<Utc> = text.parse().unwrap();
        assert_eq!(created_at.timestamp_millis(), attempt.started_at.timestamp_millis());
        assert!(last.is_none_or(|last| last < created_at), "createdAt did not move on: {text}");
        assert_eq!(claims["iat"], created_at.timestamp());
        assert_eq!(claims["exp"], created_at.timestamp() + 3600);
        last = Some(created_at);
        assert_eq!(world.sandbox.claims(delivery.id, attempt.number).await.unwrap(), claims);
    }
    let tokens: std::collections::HashSet<_> = received.iter().map(crate::support::Received::token).collect();
    assert_eq!(tokens.len(), 4, "a token was used twice");
}

#[tokio::test]
async fn the_number_of_retries_is_a_setting() {
    for retries in [0, 3] {
        let world = World::start(Sandbox::builder().time_scale(1000.0).max_retries(retries)).await;
        let sink = Sink::start(|_| Reply::Status(500)).await;
        let endpoint = world.endpoint(&sink.url("/")).await;
        let (delivery, _) = world.send_one(&endpoint).await;
        assert_eq!((delivery.attempts, sink.count()), (retries + 1, retries as usize + 1));
        assert_eq!(delivery.dead_reason, Some(DeadReason::RetriesExhausted));
    }
}

#[tokio::test]
async fn a_retry_that_waits_says_until_when() {
    let world = World::start(Sandbox::builder()).await;
    let sink = Sink::start(|request| match request.data("eventDeliverId").as_str() {
        "1" => Reply::Status(500),
        _ => Reply::Silence,
    })
    .await;
    let endpoint = world.endpoint(&sink.url("/")).await;
    world.event().await;
    let waiting = |delivery: &idnow_webhooks_sandbox::model::Delivery| {
        delivery.state == DeliveryState::Waiting && delivery.attempts == 1
    };
    let delivery = world.delivery_when(endpoint.id, waiting).await;
    let attempts = world.attempts(delivery.id).await;
    let wait = delivery.next_attempt_at.unwrap() - attempts[0].started_at;
    let took = TimeDelta::milliseconds(i64::try_from(attempts[0].duration_ms).unwrap());
    let late = wait - took - TimeDelta::seconds(1);
    assert!((TimeDelta::milliseconds(-1)..TimeDelta::milliseconds(250)).contains(&late), "{wait}");
}
