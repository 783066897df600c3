//! Endpoints do not get into each other's way, and none gets more than it takes.

use std::time::{Duration, Instant};

use idnow_webhooks_sandbox::model::{EndpointChange, EventKind};
use idnow_webhooks_sandbox::{Sandbox, Trigger};

use crate::support::{Reply, Sink, World, eventually};

#[tokio::test]
async fn slow_and_dead_endpoints_hold_back_nobody() {
    let world = World::start(Sandbox::builder().answer_deadline(Duration::from_mins(1))).await;
    let silent = Sink::start(|_| Reply::Silence).await;
    let sick = Sink::start(|_| Reply::Status(500)).await;
    let full = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let full_url = format!("http://{}/", full.local_addr().unwrap());
    for url in [&silent.url("/"), &sick.url("/"), &full_url, &"http://127.0.0.1:9/".to_owned()] {
        world.endpoint_with(url, |new| new.concurrency = 50).await;
    }
    let healthy = Sink::ok().await;
    let endpoint = world.endpoint(&healthy.url("/")).await;
    let started = Instant::now();
    world.events(100).await;
    eventually("all are delivered", async || world.delivered(endpoint.id).await == 100).await;
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    // The silent one has as many as it may, and they are still under way.
    eventually("the silent one is busy", async || silent.count() == 50).await;
    world.sandbox.stop().await;
}

#[tokio::test]
async fn the_limit_of_an_endpoint_is_used_and_never_exceeded() {
    for (limit, events) in [(1, 20), (5, 60)] {
        let world = World::hasty().await;
        let sink = Sink::start(|_| Reply::Late(Duration::from_millis(20), 200)).await;
        let endpoint = world.endpoint_with(&sink.url("/"), |new| new.concurrency = limit).await;
        world.events(events).await;
        eventually("all are delivered", async || world.delivered(endpoint.id).await == events).await;
        assert_eq!(sink.most_under_way(), usize::from(limit));
        assert!(sink.connections() <= usize::from(limit), "{} connections", sink.connections());
    }
}

#[tokio::test]
async fn a_limit_that_changes_applies_to_what_is_under_way() {
    let world = World::start(Sandbox::builder()).await;
    let sink = Sink::start(|_| Reply::Silence).await;
    let endpoint = world.endpoint_with(&sink.url("/"), |new| new.concurrency = 2).await;
    world.events(10).await;
    eventually("two are under way", async || sink.count() == 2).await;
    let change = EndpointChange { concurrency: Some(5), ..EndpointChange::default() };
    world.sandbox.change_endpoint(endpoint.id, change).await.unwrap();
    eventually("five are under way", async || sink.count() == 5).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(sink.count(), 5);
}

#[tokio::test]
async fn each_endpoint_gets_its_own_delivery() {
    let world = World::hasty().await;
    let (one, two) = (Sink::ok().await, Sink::ok().await);
    let first = world.endpoint(&one.url("/")).await;
    let second = world.endpoint(&two.url("/")).await;
    world.events(5).await;
    for endpoint in [&first, &second] {
        eventually("all are delivered", async || world.delivered(endpoint.id).await == 5).await;
    }
    let ids = |sink: &Sink| {
        let mut ids: Vec<_> = sink.received().iter().map(|request| request.data("eventId")).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids(&one), ids(&two));
    assert!(one.received().iter().all(|request| request.data("eventDeliverId") == "1"));
}

#[tokio::test]
async fn stopping_waits_for_what_is_under_way_but_not_for_long() {
    let world = World::start(Sandbox::builder()).await;
    let sink = Sink::start(|_| Reply::Late(Duration::from_millis(300), 200)).await;
    world.endpoint(&sink.url("/")).await;
    let silent = Sink::start(|_| Reply::Silence).await;
    world.endpoint(&silent.url("/")).await;
    world.event().await;
    eventually("both are under way", async || sink.count() == 1 && silent.count() == 1).await;
    let (sandbox, mut changes) = (world.sandbox.clone(), world.sandbox.changes());
    let started = Instant::now();
    sandbox.stop().await;
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    let mut told = Vec::new();
    while let Ok(Some(change)) = tokio::time::timeout(Duration::from_millis(100), changes.next()).await {
        told.push(change);
    }
    assert!(!told.is_empty(), "the end of the first attempt was not noted");
}

#[tokio::test]
async fn after_the_stop_nothing_is_triggered_and_no_change_is_awaited() {
    let (world, sink) = (World::hasty().await, Sink::ok().await);
    let clone = world.sandbox.clone();
    let mut changes = clone.changes();
    world.sandbox.stop().await;
    let trigger = Trigger::new(EventKind::Completed, sink.url("/"));
    let refused = clone.trigger(trigger).await.unwrap_err();
    assert_eq!(refused.to_string(), "the sandbox has stopped");
    assert_eq!(sink.count(), 0);
    let end = async { while changes.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), end).await.expect("the changes end with the sandbox");
}
