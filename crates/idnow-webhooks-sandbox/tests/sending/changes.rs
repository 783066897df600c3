//! Endpoints that change, rest or go, and dead letters that come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use idnow_webhooks_sandbox::model::{Delivery, DeliveryState, EndpointChange, Header, TokenPlace};
use idnow_webhooks_sandbox::{Error, Sandbox};

use crate::support::{Reply, Sink, World, eventually};

/// Answers with what it is told to.
async fn obedient(code: u16) -> (Sink, Arc<AtomicU16>) {
    let code = Arc::new(AtomicU16::new(code));
    let told = Arc::clone(&code);
    (Sink::start(move |_| Reply::Status(told.load(Ordering::SeqCst))).await, code)
}

fn enable(enabled: bool) -> EndpointChange {
    EndpointChange { enabled: Some(enabled), ..EndpointChange::default() }
}

fn waits_again(delivery: &Delivery) -> bool {
    delivery.state == DeliveryState::Waiting && delivery.attempts > 0
}

#[tokio::test]
async fn a_change_applies_to_the_next_attempt() {
    let world = World::start(Sandbox::builder().time_scale(2.0)).await;
    let (old, new) = (Sink::start(|_| Reply::Status(500)).await, Sink::ok().await);
    let endpoint = world.endpoint(&old.url("/old")).await;
    world.event().await;
    world.delivery_when(endpoint.id, waits_again).await;
    let change = EndpointChange {
        url: Some(new.url("/new")),
        headers: Some(vec![Header { name: "X-Auth-Token".into(), value: "fresh".into() }]),
        token_place: Some(TokenPlace::Header),
        ..EndpointChange::default()
    };
    world.sandbox.change_endpoint(endpoint.id, change).await.unwrap();
    let (delivery, attempts) = world.end_of_one(&endpoint).await;
    assert_eq!(delivery.state, DeliveryState::Delivered);
    let (first, last) = (attempts.first().unwrap(), attempts.last().unwrap());
    assert_eq!((first.url.as_str(), last.url.as_str()), (old.url("/old").as_str(), new.url("/new").as_str()));
    let received = new.received();
    assert_eq!(received[0].headers["x-auth-token"], "fresh");
    assert_eq!(received[0].claims()["aud"], new.url("/new"));
    assert_eq!(received[0].data("eventDeliverId"), delivery.attempts.to_string());
    assert!(received[0].headers.contains_key("x-idnow-signature"));
    // What was sent before is shown as it was sent.
    let claims = world.sandbox.claims(delivery.id, 1).await.unwrap();
    assert_eq!(claims["aud"], old.url("/old"));
}

#[tokio::test]
async fn nothing_is_made_for_a_disabled_endpoint() {
    let (world, sink) = (World::hasty().await, Sink::ok().await);
    let endpoint = world.endpoint(&sink.url("/")).await;
    world.send_one(&endpoint).await;
    world.sandbox.change_endpoint(endpoint.id, enable(false)).await.unwrap();
    world.event().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((sink.count(), world.deliveries(endpoint.id).await.len()), (1, 1));
    world.sandbox.change_endpoint(endpoint.id, enable(true)).await.unwrap();
    world.event().await;
    eventually("the new one is delivered", async || world.delivered(endpoint.id).await == 2).await;
}

#[tokio::test]
async fn a_retry_is_held_while_its_endpoint_is_disabled() {
    let world = World::start(Sandbox::builder().time_scale(5.0)).await;
    let (sink, code) = obedient(500).await;
    let endpoint = world.endpoint(&sink.url("/")).await;
    world.event().await;
    world.delivery_when(endpoint.id, waits_again).await;
    world.sandbox.change_endpoint(endpoint.id, enable(false)).await.unwrap();
    let before = sink.count();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(sink.count(), before, "a disabled endpoint was sent something");
    let held = world.deliveries(endpoint.id).await;
    assert_eq!(held[0].state, DeliveryState::Waiting);

    code.store(200, Ordering::SeqCst);
    world.sandbox.change_endpoint(endpoint.id, enable(true)).await.unwrap();
    world.delivery_in(endpoint.id, DeliveryState::Delivered).await;
}

#[tokio::test]
async fn deleting_an_endpoint_ends_its_deliveries_for_all_to_see() {
    let world = World::start(Sandbox::builder().time_scale(10.0)).await;
    let (sink, _) = obedient(500).await;
    let endpoint = world.endpoint(&sink.url("/")).await;
    world.event().await;
    let delivery = world.delivery_when(endpoint.id, waits_again).await;
    world.sandbox.delete_endpoint(endpoint.id).await.unwrap();
    let ended = world.sandbox.delivery(delivery.id).await.unwrap();
    assert_eq!((ended.state, ended.next_attempt_at), (DeliveryState::EndpointDeleted, None));
    assert!(ended.finished_at.is_some());
    let before = sink.count();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(sink.count(), before, "something was sent to a deleted endpoint");
    assert_eq!(world.attempts(delivery.id).await.len(), before, "the history is gone");
    assert_eq!(world.sandbox.delivery(delivery.id).await.unwrap(), ended);
    let again = world.sandbox.retrigger(delivery.id).await;
    assert!(matches!(again, Err(Error::Conflict { .. })), "{again:?}");
}

#[tokio::test]
async fn an_answer_that_comes_after_the_deletion_changes_nothing() {
    for code in [200, 500] {
        let world = World::start(Sandbox::builder().time_scale(1000.0)).await;
        let sink = Sink::start(move |_| Reply::Late(Duration::from_millis(300), code)).await;
        let endpoint = world.endpoint(&sink.url("/")).await;
        world.event().await;
        eventually("it is under way", async || sink.count() == 1).await;
        world.sandbox.delete_endpoint(endpoint.id).await.unwrap();
        let delivery = world.deliveries(endpoint.id).await.remove(0);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let after = world.sandbox.delivery(delivery.id).await.unwrap();
        assert_eq!(after.state, DeliveryState::EndpointDeleted, "answered {code}");
        assert_eq!(sink.count(), 1, "answered {code}");
    }
}

/// Answers 404 at first, so that everything is dead at once.
async fn dead_letters(world: &World, count: usize) -> (Sink, Arc<AtomicU16>, uuid::Uuid, Vec<i64>) {
    let (sink, code) = obedient(404).await;
    let endpoint = world.endpoint(&sink.url("/")).await.id;
    world.events(count).await;
    let dead = async || {
        let deliveries = world.deliveries(endpoint).await;
        deliveries.len() == count && deliveries.iter().all(|delivery| delivery.state == DeliveryState::Dead)
    };
    eventually("all are dead", dead).await;
    let ids = world.deliveries(endpoint).await.iter().map(|delivery| delivery.id).collect();
    code.store(200, Ordering::SeqCst);
    (sink, code, endpoint, ids)
}

#[tokio::test]
async fn one_dead_letter_is_retriggered() {
    let world = World::hasty().await;
    let (sink, _, endpoint, ids) = dead_letters(&world, 3).await;
    let retriggered = world.sandbox.retrigger(ids[1]).await.unwrap();
    assert_eq!((retriggered.id, retriggered.dead_reason), (ids[1], None));
    eventually("it is delivered", async || world.delivered(endpoint).await == 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((world.delivered(endpoint).await, sink.count()), (1, 4));
    let delivery = world.sandbox.delivery(ids[1]).await.unwrap();
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Delivered, 2));
    assert_eq!(sink.received()[3].data("eventDeliverId"), "2", "the numbers go on");
    let again = world.sandbox.retrigger(ids[1]).await;
    assert!(matches!(again, Err(Error::Conflict { .. })), "{again:?}");
    let none = world.sandbox.retrigger(i64::MAX).await;
    assert!(matches!(none, Err(Error::NotFound { .. })), "{none:?}");
}

#[tokio::test]
async fn several_dead_letters_are_retriggered() {
    let world = World::hasty().await;
    let (sink, _, endpoint, ids) = dead_letters(&world, 5).await;
    assert_eq!(world.sandbox.retrigger_many(&[ids[0], ids[2], ids[4]]).await.unwrap(), 3);
    eventually("they are delivered", async || world.delivered(endpoint).await == 3).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(sink.count(), 8);
    let states: Vec<_> = world.deliveries(endpoint).await.iter().map(|delivery| delivery.state).collect();
    let (dead, delivered) = (DeliveryState::Dead, DeliveryState::Delivered);
    assert_eq!(states, [delivered, dead, delivered, dead, delivered]);
}

#[tokio::test]
async fn all_dead_letters_of_an_endpoint_are_retriggered() {
    let world = World::hasty().await;
    let (sink, _, endpoint, _) = dead_letters(&world, 20).await;
    let (others, _, other, _) = dead_letters(&world, 1).await;
    // The second endpoint came later, so its event went to the first one, too.
    eventually("it is delivered", async || world.delivered(endpoint).await == 1).await;
    assert_eq!(world.sandbox.retrigger_endpoint(endpoint).await.unwrap(), 20);
    eventually("they are delivered", async || world.delivered(endpoint).await == 21).await;
    assert_eq!((sink.count(), others.count(), world.delivered(other).await), (41, 1, 0));
}

#[tokio::test]
async fn a_retriggered_delivery_has_all_its_retries_again() {
    let world = World::start(Sandbox::builder().time_scale(1000.0).max_retries(2)).await;
    let (sink, _) = obedient(500).await;
    let endpoint = world.endpoint(&sink.url("/")).await;
    let (delivery, _) = world.send_one(&endpoint).await;
    assert_eq!(delivery.attempts, 3);
    world.sandbox.retrigger(delivery.id).await.unwrap();
    let delivery = world
        .delivery_when(endpoint.id, |delivery| delivery.state == DeliveryState::Dead && delivery.attempts > 3)
        .await;
    assert_eq!(delivery.attempts, 6);
    let numbers: Vec<_> = sink.received().iter().map(|request| request.data("eventDeliverId")).collect();
    assert_eq!(numbers, ["1", "2", "3", "4", "5", "6"]);
}
