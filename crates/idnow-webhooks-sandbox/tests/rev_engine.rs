#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, clippy::all, clippy::pedantic, reason = "tests")]
#![allow(unused, dead_code)]
#[path = "chaos/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use idnow_webhooks_core::keys::KeySet;
use idnow_webhooks_sandbox::chaos::Fault;
use idnow_webhooks_sandbox::model::{DeliveryState, EndpointChange};
use idnow_webhooks_sandbox::{Chaos, Sandbox};
use support::{Sink, World};
use support::sink::Reply;

/// Rotations pile up: what chaos does every 15 s.
#[tokio::test(flavor = "multi_thread")]
async fn rev_1_rotations_do_not_outgrow_receivers() {
    let sandbox = Sandbox::start().await.unwrap();
    let begun = Instant::now();
    for _ in 0..100 {
        sandbox.rotate_keys().await.unwrap();
    }
    println!("100 rotations took {:?}", begun.elapsed());
    let jwks = sandbox.jwks().await.unwrap().to_string();
    println!("jwks: {} bytes", jwks.len());
    KeySet::from_jwks(jwks.as_bytes()).expect("our own receiver can read the keys");
}

/// What is held by chaos when its endpoint is disabled and changed.
#[tokio::test]
async fn rev_2_held_attempts_go_by_the_endpoint_as_it_is() {
    let (old, new) = (Sink::ok().await, Sink::ok().await);
    let builder = Sandbox::builder().time_scale(10.0).chaos(Chaos::new(7).with(Fault::Delay, 1.0));
    let world = World::start(builder, &old, |_| {}).await;
    for _ in 0..5 { world.event().await; }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let change = EndpointChange { enabled: Some(false), url: Some(new.url.clone()), ..Default::default() };
    world.sandbox.change_endpoint(world.endpoint.id, change).await.unwrap();
    let before = old.seen().len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    println!("while disabled: {:?}", world.sandbox.counts().await.unwrap().deliveries);
    world.sandbox.set_chaos(None).await.unwrap();
    let change = EndpointChange { enabled: Some(true), ..Default::default() };
    world.sandbox.change_endpoint(world.endpoint.id, change).await.unwrap();
    world.ended(5).await;
    println!("old before {before} old {} new {}", old.seen().len(), new.seen().len());
    for seen in old.seen() {
        let iat = seen.claims()["iat"].as_i64().unwrap();
        let at = seen.time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
        println!("token age on arrival {} s, aud {}", at - iat, seen.claims()["aud"]);
    }
    assert_eq!(old.seen().len(), before, "the endpoint has another URL now");
}

/// `retired` touches the last attempt: max_retries 0, so every attempt is the last.
#[tokio::test]
async fn rev_3_the_last_attempt_is_not_rotated() {
    let sink = Sink::ok().await;
    let builder = Sandbox::builder().time_scale(100.0).max_retries(0).chaos(Chaos::new(7).with(Fault::Retired, 1.0));
    let world = World::start(builder, &sink, |_| {}).await;
    let first = world.sandbox.keys().await.unwrap()[0].id.clone();
    let attempts = world.deliver_one().await;
    println!("faults {:?}", attempts[0].faults);
    assert_eq!(sink.seen()[0].kid(), first, "signed by a key that was made a moment ago, faults: {:?}", attempts[0].faults);
}

#[tokio::test]
async fn rev_4_the_duration_is_that_of_the_genuine_attempt() {
    let sink = Sink::start(|_, _| Reply(200, Duration::from_millis(400))).await;
    let chaos = Chaos::new(7).with(Fault::Corrupt, 1.0).with(Fault::Expired, 1.0).with(Fault::Future, 1.0);
    let builder = Sandbox::builder().time_scale(100.0).answer_deadline(Duration::from_millis(1000)).chaos(chaos);
    let world = World::start(builder, &sink, |_| {}).await;
    let attempts = world.deliver_one().await;
    println!("{:?}", attempts[0]);
    assert!(attempts[0].duration_ms < 1000, "{} ms, with a deadline of 1000", attempts[0].duration_ms);
}

/// 1,000 held events keep everything else of the endpoint from being sent.
#[tokio::test]
async fn rev_5_held_events_do_not_stall_the_lane() {
    let sink = Sink::ok().await;
    let builder = Sandbox::builder().time_scale(10.0).chaos(Chaos::new(7).with(Fault::Reorder, 1.0));
    let world = World::start(builder, &sink, |_| {}).await;
    let first = world.event().await;
    for _ in 0..1000 { world.event().await; }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begun = Instant::now();
    world.complete(first).await;
    while sink.seen().is_empty() { tokio::time::sleep(Duration::from_millis(5)).await; }
    println!("the first delivery of anything took {:?}", begun.elapsed());
    let overtaken = sink.seen()[0].data("eventSequence");
    println!("first seen sequence {overtaken}");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// A slow receiver with one place: how old tokens get.
#[tokio::test]
async fn rev_6_held_tokens_do_not_age() {
    let sink = Sink::start(|_, _| Reply(200, Duration::from_millis(200))).await;
    let builder = Sandbox::builder().time_scale(10.0).chaos(Chaos::new(7).with(Fault::Delay, 1.0));
    let world = World::start(builder, &sink, |new| new.concurrency = 1).await;
    for _ in 0..60 { world.event().await; }
    world.ended(60).await;
    let ages: Vec<_> = sink.seen().iter().map(|seen| {
        let created: chrono::DateTime<chrono::Utc> = seen.data("createdAt").parse().unwrap();
        (chrono::DateTime::<chrono::Utc>::from(seen.time) - created).num_milliseconds()
    }).collect();
    println!("ages in ms, delays are 1000 at most: {ages:?}");
    assert!(ages.iter().all(|age| *age < 2500), "{:?}", ages.iter().max());
}
