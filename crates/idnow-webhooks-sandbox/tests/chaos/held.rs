//! Attempts that do not begin at once.

use std::time::{Duration, Instant, UNIX_EPOCH};

use chrono::{DateTime, TimeDelta, Utc};
use idnow_webhooks_sandbox::chaos::Fault;
use idnow_webhooks_sandbox::model::{DeliveryState, EndpointChange};
use idnow_webhooks_sandbox::{Chaos, Sandbox};

use crate::support::{Reply, Seen, Sink, World};

#[tokio::test]
async fn the_next_event_of_a_session_overtakes_the_one_before() {
    // Also with a single place, which the event that is held does not take.
    for concurrency in [1, 16] {
        let sink = Sink::ok().await;
        let builder = Sandbox::builder().chaos(Chaos::new(7).with(Fault::Reorder, 1.0));
        let world = World::start(builder, &sink, |new| new.concurrency = concurrency).await;
        let mut sessions = Vec::new();
        for _ in 0..20 {
            sessions.push(world.event().await);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(sink.seen().len(), 0, "nothing has overtaken them yet");
        for session in &sessions {
            world.complete(*session).await;
        }
        let deliveries = world.ended(40).await;
        assert!(deliveries.iter().all(|one| one.state == DeliveryState::Delivered && one.attempts == 1));
        let seen = sink.seen();
        let place = |session: &str, sequence: &str| {
            let at = seen.iter().position(|seen| {
                let data = &seen.claims()["data"];
                data["payload"]["sessionId"] == session && data["eventSequence"] == sequence
            });
            at.unwrap()
        };
        for session in sessions.iter().map(ToString::to_string) {
            assert!(place(&session, "2") < place(&session, "1"), "{session}");
        }
        assert_eq!(world.count(Fault::Reorder).await, 20);
        if concurrency == 1 {
            assert_eq!(seen.iter().map(|seen| seen.under_way).max(), Some(1), "the limit holds");
        }
    }
}

#[tokio::test]
async fn what_nothing_overtakes_is_late_and_no_more() {
    let sink = Sink::ok().await;
    let world = World::hasty(&sink, Chaos::new(7).with(Fault::Reorder, 1.0)).await;
    let begun = Instant::now();
    let attempts = world.deliver_one().await;
    // A minute, a hundred times as fast.
    assert!((590..5000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert_eq!(attempts[0].faults[0].fault, Fault::Delay);
    assert_eq!((world.count(Fault::Reorder).await, world.count(Fault::Delay).await), (0, 1));
}

#[tokio::test]
async fn a_delay_is_of_any_length_up_to_ten_seconds_of_the_provider() {
    let sink = Sink::ok().await;
    let builder = Sandbox::builder().time_scale(10.0).chaos(Chaos::new(3).with(Fault::Delay, 1.0));
    let world = World::start(builder, &sink, |new| new.concurrency = 1).await;
    let begun = Instant::now();
    for _ in 0..20 {
        world.event().await;
    }
    world.ended(20).await;
    let mut waits: Vec<Duration> = sink.seen().iter().map(|seen| seen.at.duration_since(begun)).collect();
    waits.sort_unstable();
    assert!(waits[0] < Duration::from_millis(600), "{waits:?}");
    assert!((Duration::from_millis(500)..Duration::from_secs(3)).contains(&waits[19]), "{waits:?}");
    assert_eq!(world.count(Fault::Delay).await, 20);
}

#[tokio::test]
async fn a_burst_leaves_at_one_moment() {
    let sink = Sink::ok().await;
    let builder = Sandbox::builder().time_scale(5.0).chaos(Chaos::new(7).with(Fault::Burst, 1.0));
    let world = World::start(builder, &sink, |_| {}).await;
    for _ in 0..8 {
        world.event().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.ended(8).await;
    for seen in sink.seen() {
        let now = seen.time.duration_since(UNIX_EPOCH).unwrap().as_millis();
        assert!(now % 2000 < 500, "{} ms after a full ten seconds of the provider", now % 2000);
    }
    assert_eq!(world.count(Fault::Burst).await, 8);
}

#[tokio::test]
async fn what_is_held_survives_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sandbox.db");
    let sink = Sink::ok().await;
    let builder = || Sandbox::builder().database(&path);
    let world = World::start(builder().chaos(Chaos::new(7).with(Fault::Reorder, 1.0)), &sink, |_| {}).await;
    world.event().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    world.sandbox.clone().stop().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "nobody waits for what is held");
    assert_eq!(sink.seen().len(), 0);
    let sandbox = builder().start().await.unwrap();
    let world = World { sandbox, ..world };
    let delivery = &world.ended(1).await[0];
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Delivered, 2));
    assert_eq!(sink.seen()[0].data("eventDeliverId"), "2");
}

#[tokio::test]
async fn what_is_held_for_a_deleted_endpoint_is_not_sent() {
    let sink = Sink::ok().await;
    let world = World::start(
        Sandbox::builder().time_scale(60.0).chaos(Chaos::new(7).with(Fault::Reorder, 1.0)),
        &sink,
        |_| {},
    );
    let world = world.await;
    world.event().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.sandbox.delete_endpoint(world.endpoint.id).await.unwrap();
    assert_eq!(world.ended(1).await[0].state, DeliveryState::EndpointDeleted);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(sink.seen().len(), 0);
}

#[tokio::test]
async fn what_is_held_goes_by_what_its_endpoint_is_when_it_is_sent() {
    let (old, new) = (Sink::ok().await, Sink::ok().await);
    let builder = Sandbox::builder().time_scale(10.0).chaos(Chaos::new(7).with(Fault::Delay, 1.0));
    let world = World::start(builder, &old, |_| {}).await;
    for _ in 0..5 {
        world.event().await;
    }
    let change = EndpointChange { enabled: Some(false), url: Some(new.url.clone()), ..Default::default() };
    world.sandbox.change_endpoint(world.endpoint.id, change).await.unwrap();
    let before = old.seen().len();
    // The longest delay is over by then.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let counts = world.sandbox.counts().await.unwrap().deliveries;
    assert_eq!((counts.sending, new.seen().len()), (0, 0), "nothing is sent to a disabled endpoint");
    let change = EndpointChange { enabled: Some(true), ..Default::default() };
    world.sandbox.change_endpoint(world.endpoint.id, change).await.unwrap();
    world.ended(5).await;
    assert_eq!((old.seen().len(), new.seen().len()), (before, 5 - before), "it has another URL now");
    assert!(new.seen().iter().all(|seen| seen.claims()["aud"] == new.url));
}

fn age(seen: &Seen) -> TimeDelta {
    let created: DateTime<Utc> = seen.data("createdAt").parse().unwrap();
    DateTime::<Utc>::from(seen.time) - created
}

/// With one place and a slow receiver, what was held waits once more.
#[tokio::test]
async fn what_is_held_is_signed_when_it_is_sent() {
    let sink = Sink::start(|_, _| Reply(200, Duration::from_millis(150))).await;
    let builder = Sandbox::builder().time_scale(10.0).chaos(Chaos::new(7).with(Fault::Delay, 1.0));
    let world = World::start(builder, &sink, |new| new.concurrency = 1).await;
    for _ in 0..30 {
        world.event().await;
    }
    let deliveries = world.ended(30).await;
    let seen = sink.seen();
    let oldest = seen.iter().map(age).max().unwrap();
    assert!(oldest < TimeDelta::milliseconds(900), "{oldest}");
    // What is told of an attempt is what was sent.
    for delivery in deliveries {
        let sent = seen.iter().find(|seen| seen.data("eventId") == delivery.event_id.to_string());
        let sent = sent.unwrap().claims();
        assert_eq!(world.sandbox.claims(delivery.id, 1).await.unwrap(), sent);
    }
}

#[tokio::test]
async fn a_thousand_that_are_held_do_not_stall_the_rest() {
    let sink = Sink::ok().await;
    let builder = Sandbox::builder().time_scale(10.0).chaos(Chaos::new(7).with(Fault::Reorder, 1.0));
    let world = World::start(builder, &sink, |_| {}).await;
    let first = world.event().await;
    for _ in 0..1020 {
        world.event().await;
    }
    let begun = Instant::now();
    world.complete(first).await;
    let has_arrived = |sequence: &str| {
        let mut seen = sink.seen().into_iter();
        seen.any(|seen| {
            let data = &seen.claims()["data"];
            data["payload"]["sessionId"] == first.to_string() && data["eventSequence"] == sequence
        })
    };
    while !has_arrived("1") {
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", sink.seen().len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(has_arrived("2"), "which has overtaken it");
}
