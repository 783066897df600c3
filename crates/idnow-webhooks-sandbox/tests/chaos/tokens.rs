//! Tokens of genuine attempts that are hard to accept.

use idnow_webhooks_sandbox::chaos::Fault;
use idnow_webhooks_sandbox::model::KeyState;
use idnow_webhooks_sandbox::{Chaos, Sandbox};

use crate::support::{Sink, World};

#[tokio::test]
async fn a_clock_that_is_wrong_shows_in_the_whole_token_and_in_its_claims_later() {
    let sink = Sink::ok().await;
    let world = World::hasty(&sink, Chaos::new(7).with(Fault::Skew, 1.0)).await;
    for _ in 0..10 {
        world.event().await;
    }
    let mut skews = Vec::new();
    for delivery in world.ended(10).await {
        let attempt = &world.attempts(delivery.id).await[0];
        let seconds = attempt.faults[0].seconds.unwrap();
        assert!((1..=30).contains(&seconds.abs()));
        skews.push(seconds);
        let sent = sink.seen().into_iter().map(|seen| seen.claims());
        let sent = sent.into_iter().find(|claims| claims["sub"] == delivery.event_id.to_string()).unwrap();
        let iat = sent["iat"].as_i64().unwrap();
        assert_eq!(iat, attempt.started_at.timestamp() + seconds);
        assert_eq!(sent["exp"].as_i64().unwrap(), iat + 3600);
        let created: chrono::DateTime<chrono::Utc> =
            sent["data"]["createdAt"].as_str().unwrap().parse().unwrap();
        assert_eq!(created.timestamp(), iat);
        assert_eq!(world.sandbox.claims(delivery.id, 1).await.unwrap(), sent);
    }
    assert!(skews.iter().any(|skew| *skew < 0) && skews.iter().any(|skew| *skew > 0), "{skews:?}");
}

#[tokio::test]
async fn keys_are_rotated_in_mid_flight_and_the_one_before_stays_published() {
    let sink = Sink::ok().await;
    let builder = Sandbox::builder().time_scale(100.0).chaos(Chaos::new(7).with(Fault::Rotate, 1.0));
    let world = World::start(builder, &sink, |_| {}).await;
    let before = world.sandbox.keys().await.unwrap().remove(0).id;
    let attempts = world.deliver_one().await;
    let keys = world.sandbox.keys().await.unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!((&keys[0].id, keys[0].state), (&before, KeyState::Published));
    assert_eq!(keys[1].state, KeyState::Active);
    assert_eq!(sink.seen()[0].kid(), keys[1].id);
    assert_eq!(attempts[0].key_id, keys[1].id);
    assert_eq!(world.sandbox.token_header(1, 1).await.unwrap()["kid"], keys[1].id);
    assert_eq!(attempts[0].faults[0].fault, Fault::Rotate);

    // Not with each attempt: receivers could not follow.
    for _ in 0..20 {
        world.event().await;
    }
    world.ended(21).await;
    assert_eq!((world.count(Fault::Rotate).await, world.sandbox.keys().await.unwrap().len()), (1, 2));
}
