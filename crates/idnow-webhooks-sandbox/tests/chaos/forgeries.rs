//! What no receiver should accept.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream;
use http::Method;
use idnow_webhooks_core::keys::{KeySet, StaticKeys};
use idnow_webhooks_core::{EventRouter, Head, Receiver, Verifier};
use idnow_webhooks_sandbox::chaos::{Fault, ForgeryCount};
use idnow_webhooks_sandbox::model::{Answer, DeliveryState, TokenPlace};
use idnow_webhooks_sandbox::{Chaos, Sandbox};

use crate::support::{Reply, Seen, Sink, World};

const FORGED: [Fault; 4] = [Fault::Corrupt, Fault::Expired, Fault::Unknown, Fault::Future];

async fn count(world: &World, fault: Fault) -> ForgeryCount {
    *world.report().await.forgeries.iter().find(|count| count.fault == fault).unwrap()
}

/// What our own receiver says.
async fn says(world: &World, request: &Seen) -> String {
    let jwks = world.sandbox.jwks().await.unwrap().to_string();
    let verifier = Verifier::builder().issuer(world.sandbox.issuer()).audience(&world.endpoint.url);
    let keys = StaticKeys::new(KeySet::from_jwks(jwks.as_bytes()).unwrap());
    let receiver = Receiver::builder(verifier.build().unwrap(), keys).handlers(EventRouter::new());
    let receiver = receiver.build().unwrap();
    let head = Head { method: &Method::POST, headers: &request.headers, peer: None };
    let body = stream::iter([Ok::<_, Infallible>(Bytes::from(request.body.clone()))]);
    receiver.receive(head, body).await.code().to_owned()
}

#[tokio::test]
async fn each_is_sent_before_the_genuine_one_and_is_what_it_is_called() {
    for (fault, expected) in
        FORGED.into_iter().zip(["false_signature", "expired", "unknown_key", "not_yet_valid"])
    {
        for place in [TokenPlace::Body, TokenPlace::Header] {
            let sink = Sink::start(|count, _| if count == 0 { 401.into() } else { 200.into() }).await;
            let builder = Sandbox::builder().time_scale(100.0).chaos(Chaos::new(7).with(fault, 1.0));
            let world = World::start(builder, &sink, |new| new.token_place = place).await;
            let attempts = world.deliver_one().await;
            let seen = sink.seen();
            assert_eq!((attempts.len(), seen.len()), (1, 2), "{fault}: its answer of 401 decides nothing");
            let (forged, genuine) = (&seen[0], &seen[1]);
            assert_eq!(says(&world, forged).await, expected, "{fault}");
            assert_eq!(says(&world, genuine).await, "handled", "{fault}");
            assert_eq!(forged.data("eventId"), genuine.data("eventId"));

            let (iat, right) =
                (forged.claims()["iat"].as_i64().unwrap(), genuine.claims()["iat"].as_i64().unwrap());
            let away = match fault {
                Fault::Expired => -7200,
                Fault::Future => 86_400,
                _ => 0,
            };
            assert_eq!((iat - right, forged.claims()["exp"].as_i64().unwrap()), (away, iat + 3600));
            assert_eq!(forged.kid() == genuine.kid(), fault != Fault::Unknown);
            if fault == Fault::Corrupt {
                assert_eq!(
                    forged.token().rsplit_once('.').unwrap().0,
                    genuine.token().rsplit_once('.').unwrap().0
                );
            }

            let inflicted = &attempts[0].faults;
            assert_eq!((inflicted.len(), inflicted[0].fault), (1, fault));
            assert!(matches!(inflicted[0].answer, Some(Answer::Status { code: 401, .. })), "{inflicted:?}");
            let counted = count(&world, fault).await;
            assert_eq!((counted.sent, counted.refused, counted.accepted, counted.unanswered), (1, 1, 0, 0));
            assert_eq!(world.report().await.forgeries_accepted, 0);
        }
    }
}

#[tokio::test]
async fn a_receiver_that_accepts_everything_sets_off_the_alarm() {
    let sink = Sink::ok().await;
    let chaos = FORGED.into_iter().fold(Chaos::new(7), |chaos, fault| chaos.with(fault, 1.0));
    let world = World::hasty(&sink, chaos).await;
    for _ in 0..5 {
        world.event().await;
    }
    let deliveries = world.ended(5).await;
    assert!(deliveries.iter().all(|delivery| delivery.state == DeliveryState::Delivered));
    for fault in FORGED {
        let counted = count(&world, fault).await;
        assert_eq!((counted.sent, counted.refused, counted.accepted), (5, 0, 5), "{fault}");
    }
    assert_eq!(world.report().await.forgeries_accepted, 20);
    assert_eq!(world.sandbox.counts().await.unwrap().forgeries_accepted, 20);
    let overview = reqwest::get(world.sandbox.base_url()).await.unwrap().text().await.unwrap();
    assert!(
        overview.contains("Forgeries were accepted") && overview.contains("seed=7,corrupt=1"),
        "{overview}"
    );
    let delivery = format!("{}/deliveries/{}", world.sandbox.base_url(), deliveries[0].id);
    let delivery = reqwest::get(delivery).await.unwrap().text().await.unwrap();
    assert!(delivery.contains("Chaos: before it, a token that had expired, answered"), "{delivery}");

    // The counts stay when chaos ends, and begin anew with it.
    let report = world.sandbox.set_chaos(None).await.unwrap();
    assert_eq!((report.settings, report.forgeries_accepted), (None, 20));
    world.event().await;
    world.ended(6).await;
    assert_eq!(sink.seen().len(), 26);
    let report = world.sandbox.set_chaos(Chaos::new(1)).await.unwrap();
    assert_eq!((report.settings, report.forgeries_accepted), (Some(Chaos::new(1)), 0));
}

/// It retires a key by itself, once no attempt can still be signed with it.
#[tokio::test]
async fn a_retired_key_is_one_that_was_published_and_counts_apart() {
    let sink = Sink::ok().await;
    let builder = Sandbox::builder().time_scale(100.0).answer_deadline(Duration::from_millis(500));
    let world = World::start(builder.chaos(Chaos::new(7).with(Fault::Retired, 1.0)), &sink, |_| {}).await;
    let first = world.sandbox.keys().await.unwrap().remove(0).id;
    world.event().await;
    world.ended(1).await;
    assert_eq!((count(&world, Fault::Retired).await.sent, world.sandbox.keys().await.unwrap().len()), (0, 2));
    world.event().await;
    world.ended(2).await;
    assert_eq!(count(&world, Fault::Retired).await.sent, 0, "too soon");
    // Until then, a late attempt of the key before could be under way.
    tokio::time::sleep(Duration::from_secs(12)).await;
    world.event().await;
    world.ended(3).await;
    let seen = sink.seen();
    assert_eq!((seen.len(), seen[2].kid() == first), (4, true));
    assert_eq!(says(&world, &seen[2]).await, "unknown_key", "the key is not among those that are published");
    let counted = count(&world, Fault::Retired).await;
    assert_eq!((counted.sent, counted.refused, counted.accepted), (1, 0, 1));
    assert_eq!(world.report().await.forgeries_accepted, 0);
    let jwks = world.sandbox.jwks().await.unwrap();
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_forgery_that_nobody_answers_is_neither() {
    let sink = Sink::ok().await;
    let builder =
        Sandbox::builder().time_scale(100.0).max_retries(0).chaos(Chaos::new(7).with(Fault::Corrupt, 1.0));
    let world = World::start(builder, &sink, |new| new.url = "http://127.0.0.1:1/".into()).await;
    world.event().await;
    world.ended(1).await;
    let counted = count(&world, Fault::Corrupt).await;
    assert_eq!((counted.sent, counted.refused, counted.accepted, counted.unanswered), (1, 0, 0, 1));
}

#[tokio::test]
async fn the_time_that_an_attempt_took_is_that_of_the_genuine_request() {
    let sink = Sink::start(|_, _| Reply(200, Duration::from_millis(400))).await;
    let chaos = Chaos::new(7).with(Fault::Corrupt, 1.0).with(Fault::Expired, 1.0).with(Fault::Future, 1.0);
    let builder = Sandbox::builder().time_scale(100.0).answer_deadline(Duration::from_secs(1)).chaos(chaos);
    let world = World::start(builder, &sink, |_| {}).await;
    let attempts = world.deliver_one().await;
    assert_eq!(sink.seen().len(), 4);
    assert!((400..1000).contains(&attempts[0].duration_ms), "{attempts:?}");
}

#[tokio::test]
async fn after_forgeries_that_were_answered_late_the_genuine_token_is_of_its_own_time() {
    // Each takes its time, but for the genuine one.
    let sink = Sink::start(|count, _| Reply(200, Duration::from_millis(if count < 3 { 1800 } else { 0 })));
    let sink = sink.await;
    let chaos = Chaos::new(7).with(Fault::Corrupt, 1.0).with(Fault::Expired, 1.0).with(Fault::Future, 1.0);
    let world = World::hasty(&sink, chaos).await;
    let attempts = world.deliver_one().await;
    let [corrupt, .., genuine] = &sink.seen()[..] else { unreachable!() };
    let created = |seen: &Seen| seen.data("createdAt").parse::<DateTime<Utc>>().unwrap();
    assert!((created(genuine) - created(corrupt)).num_seconds() >= 5);
    let age = DateTime::<Utc>::from(genuine.time) - created(genuine);
    assert!(age.num_seconds() < 2, "{age}");
    assert_eq!(attempts[0].started_at.timestamp_millis(), created(genuine).timestamp_millis());
    assert_eq!(world.sandbox.claims(1, 1).await.unwrap(), genuine.claims());
}
