//! What rotations leave to receivers.

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use idnow_webhooks::axum::WebhookLayer;
use idnow_webhooks::{EventRouter, Settings};
use idnow_webhooks_sandbox::chaos::Fault;
use idnow_webhooks_sandbox::model::{DeliveryState, NewEndpoint, NewFlow};
use idnow_webhooks_sandbox::{Chaos, Sandbox};

use crate::support::{Reply, Sink, World};

#[tokio::test]
async fn the_last_attempt_is_not_signed_by_a_brand_new_key() {
    let sink = Sink::ok().await;
    let chaos = Chaos::new(7).with(Fault::Retired, 1.0);
    let builder = Sandbox::builder().time_scale(100.0).max_retries(0).chaos(chaos);
    let world = World::start(builder, &sink, |_| {}).await;
    let first = world.sandbox.keys().await.unwrap().remove(0).id;
    let attempts = world.deliver_one().await;
    assert_eq!((sink.seen()[0].kid(), attempts[0].faults.len()), (first, 0));
}

#[tokio::test]
async fn a_rotation_that_only_makes_a_key_to_retire_is_noted_as_well() {
    let sink = Sink::ok().await;
    let chaos = Chaos::new(7).with(Fault::Retired, 1.0);
    let world = World::start(Sandbox::builder().time_scale(100.0).chaos(chaos), &sink, |_| {}).await;
    let attempts = world.deliver_one().await;
    assert_eq!(world.sandbox.keys().await.unwrap().len(), 2);
    assert_eq!(attempts[0].faults.len(), 1);
    assert_eq!((attempts[0].faults[0].fault, world.count(Fault::Rotate).await), (Fault::Rotate, 1));
}

/// Ten retries take a second here, and receivers fetch unknown keys every ten.
#[tokio::test]
async fn where_receivers_could_not_learn_a_new_key_in_time_none_is_made() {
    let sink = Sink::ok().await;
    let chaos = Chaos::new(7).with(Fault::Rotate, 1.0).with(Fault::Retired, 1.0);
    let world = World::start(Sandbox::builder().time_scale(1000.0).chaos(chaos), &sink, |_| {}).await;
    for _ in 0..10 {
        world.event().await;
    }
    world.ended(10).await;
    assert_eq!((world.sandbox.keys().await.unwrap().len(), world.count(Fault::Rotate).await), (1, 0));
}

/// A delivery that is at its end when another one rotates the keys.
#[tokio::test]
async fn attempts_that_are_left_too_little_time_keep_to_the_key_before() {
    // Of the first event alone; the last of its attempts comes after ten seconds.
    let sink = Sink::start(|_, seen| {
        let is_first = seen.claims()["data"]["payload"]["sessionStatus"] == "CREATED";
        Reply(if is_first && seen.data("eventDeliverId") != "11" { 503 } else { 200 }, Duration::ZERO)
    });
    let sink = sink.await;
    let world = World::start(Sandbox::builder().time_scale(100.0), &sink, |_| {}).await;
    let first = world.sandbox.keys().await.unwrap().remove(0).id;
    let session = world.event().await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    world.sandbox.set_chaos(Chaos::new(7).with(Fault::Rotate, 1.0)).await.unwrap();
    world.complete(session).await;
    let [late, rotating] = &world.ended(2).await[..] else { unreachable!() };
    assert_eq!((late.state, late.attempts), (DeliveryState::Delivered, 11));
    let (late, rotating) = (world.attempts(late.id).await, world.attempts(rotating.id).await);
    assert_eq!(rotating[0].faults[0].fault, Fault::Rotate);
    assert_ne!(rotating[0].key_id, first);
    assert!(late[10].started_at > rotating[0].started_at);
    assert_eq!(late[10].key_id, first);
    let last = sink.seen().into_iter().find(|seen| seen.data("eventDeliverId") == "11").unwrap();
    assert_eq!(last.kid(), first);
}

/// With its defaults: it fetches keys that it does not know every ten seconds.
async fn delivered_to_our_own_receiver(time_scale: f64) {
    let chaos: Chaos = "seed=7,rotate=0.5,unknown=0.3".parse().unwrap();
    let sandbox = Sandbox::builder().time_scale(time_scale).chaos(chaos).start().await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks/idnow", listener.local_addr().unwrap());
    let variables = [
        ("IDNOW_ISSUER", sandbox.issuer()),
        ("IDNOW_JWKS_URL", sandbox.jwks_url()),
        ("IDNOW_AUDIENCE", &url),
        ("IDNOW_STORE", "memory"),
    ];
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    let settings = Settings::from_variables(variables).unwrap();
    let (receiver, _worker) = settings.queued(EventRouter::new()).await.unwrap();
    let app = axum::Router::new().layer(WebhookLayer::new(receiver, settings.path));
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, app).into_future());
    let flow = NewFlow { name: "flow".into(), session_ttl_seconds: 24 * 60 * 60 };
    let flow = sandbox.create_flow(flow).await.unwrap().id;
    let endpoint = sandbox.create_endpoint(NewEndpoint::new(flow, "live", &url)).await.unwrap();
    let world = World { sandbox, flow, endpoint };
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        world.event().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let count = world.deliveries().await.len();
    for delivery in world.ended(count).await {
        let last = world.attempts(delivery.id).await.pop();
        assert_eq!(delivery.state, DeliveryState::Delivered, "{last:?}");
    }
    let rotations = world.count(Fault::Rotate).await;
    assert_eq!(rotations > 0, time_scale < 1000.0, "{rotations}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_do_not_kill_deliveries_to_our_own_receiver() {
    tokio::join!(delivered_to_our_own_receiver(100.0), delivered_to_our_own_receiver(1000.0));
}
