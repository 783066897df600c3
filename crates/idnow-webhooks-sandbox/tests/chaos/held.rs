//! Attempts that do not begin at once.

use std::time::{Duration, Instant, UNIX_EPOCH};

use idnow_webhooks_sandbox::chaos::Fault;
use idnow_webhooks_sandbox::model::DeliveryState;
use idnow_webhooks_sandbox::{Chaos, Sandbox};

use crate::support::{Sink, World};

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
