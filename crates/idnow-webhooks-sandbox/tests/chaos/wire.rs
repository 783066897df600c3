//! What becomes of requests and connections.

use std::time::Duration;

use idnow_webhooks_sandbox::chaos::{Fault, Inflicted};
use idnow_webhooks_sandbox::model::{Answer, Attempt, DeliveryState, TokenPlace};
use idnow_webhooks_sandbox::{Chaos, Sandbox};

use crate::support::{Reply, Sink, World};

fn faults(attempt: &Attempt) -> Vec<Fault> {
    attempt.faults.iter().map(|inflicted| inflicted.fault).collect()
}

fn failure(attempt: &Attempt) -> &str {
    match &attempt.answer {
        Some(Answer::ConnectionFailed { reason }) => reason,
        other => panic!("no failure of the connection: {other:?}"),
    }
}

fn code(inflicted: &Inflicted) -> u16 {
    match &inflicted.answer {
        Some(Answer::Status { code, .. }) => *code,
        other => panic!("no status: {other:?}"),
    }
}

#[tokio::test]
async fn without_chaos_nothing_goes_wrong() {
    let sink = Sink::ok().await;
    let world = World::hasty(&sink, Chaos::new(7)).await;
    let attempts = world.deliver_one().await;
    assert_eq!((attempts.len(), faults(&attempts[0])), (1, vec![]));
    let seen = sink.seen();
    assert!(seen.len() == 1 && seen[0].is_complete() && !seen[0].closed);
}

#[tokio::test]
async fn half_of_a_body_is_sent_and_then_the_connection_is_closed() {
    for place in [TokenPlace::Body, TokenPlace::Header] {
        let sink = Sink::ok().await;
        let builder = Sandbox::builder().time_scale(100.0).max_retries(1);
        let builder = builder.chaos(Chaos::new(7).with(Fault::Half, 1.0));
        let world = World::start(builder, &sink, |new| new.token_place = place).await;
        let attempts = world.deliver_one().await;
        let seen = sink.seen();
        assert_eq!((attempts.len(), seen.len()), (2, 2));
        assert!(seen[0].closed && seen[0].announced > 100, "{seen:?}");
        assert_eq!(seen[0].body.len(), seen[0].announced / 2);
        assert!(seen[1].is_complete() && !seen[1].closed);
        assert_eq!(failure(&attempts[0]), "chaos: half of the body was sent");
        assert_eq!((faults(&attempts[0]), faults(&attempts[1])), (vec![Fault::Half], vec![]));
        assert_eq!(world.count(Fault::Half).await, 1);
    }
}

#[tokio::test]
async fn a_connection_is_closed_before_the_answer() {
    // An answer that comes at once would be as good as none, but could not be told from one that was awaited.
    let sink = Sink::start(|_, _| Reply(200, Duration::from_millis(500))).await;
    let builder = Sandbox::builder().time_scale(100.0).max_retries(1);
    let world = World::start(builder.chaos(Chaos::new(7).with(Fault::Drop, 1.0)), &sink, |_| {}).await;
    let attempts = world.deliver_one().await;
    let seen = sink.seen();
    assert_eq!((attempts.len(), seen.len()), (2, 2));
    assert!(seen[0].is_complete() && seen[0].closed, "all was sent, and the answer was not awaited");
    assert!(!seen[1].closed);
    assert_eq!(failure(&attempts[0]), "chaos: the connection was closed before the answer");
    assert!(attempts[0].duration_ms < 400, "{attempts:?}");
    assert_eq!((faults(&attempts[0]), faults(&attempts[1])), (vec![Fault::Drop], vec![]));
}

#[tokio::test]
async fn what_never_reached_the_receiver_is_told_as_it_is() {
    let sink = Sink::ok().await;
    let builder = Sandbox::builder().time_scale(100.0).max_retries(1);
    let chaos = Chaos::new(7).with(Fault::Drop, 1.0);
    let world = World::start(builder.chaos(chaos), &sink, |new| new.url = "http://127.0.0.1:1/".into()).await;
    world.event().await;
    let delivery = &world.ended(1).await[0];
    assert_eq!(delivery.state, DeliveryState::Dead);
    let attempts = world.attempts(delivery.id).await;
    assert!(failure(&attempts[0]).starts_with("no connection"), "{attempts:?}");
    assert_eq!((faults(&attempts[0]), world.count(Fault::Drop).await), (vec![], 0));
}

#[tokio::test]
async fn a_slow_body_comes_in_pieces_and_whole() {
    let sink = Sink::ok().await;
    let builder = Sandbox::builder().time_scale(5.0).chaos(Chaos::new(1).with(Fault::Slow, 1.0));
    let world = World::start(builder, &sink, |_| {}).await;
    for _ in 0..5 {
        world.event().await;
    }
    let deliveries = world.ended(5).await;
    assert!(deliveries.iter().all(|one| one.state == DeliveryState::Delivered && one.attempts == 1));
    let seen = sink.seen();
    assert!(seen.iter().all(super::support::Seen::is_complete));
    // How long it takes is a matter of luck; of five, one takes at least a tenth of the longest time.
    let slowest =
        seen.iter().map(|seen| (seen.parts.len(), seen.parts.last().unwrap().duration_since(seen.at)));
    let (parts, time) = slowest.max_by_key(|(_, time)| *time).unwrap();
    assert!(parts >= 5 && time > Duration::from_millis(100), "{parts} parts in {time:?}");
    assert!(time < Duration::from_secs(2), "{time:?}");
    assert_eq!(faults(&world.attempts(deliveries[0].id).await[0]), [Fault::Slow]);
}

#[tokio::test]
async fn a_slow_body_leaves_the_receiver_half_of_its_time() {
    let sink = Sink::ok().await;
    let builder = Sandbox::builder().answer_deadline(Duration::from_millis(400));
    let world = World::start(builder.chaos(Chaos::new(1).with(Fault::Slow, 1.0)), &sink, |_| {}).await;
    for _ in 0..10 {
        world.event().await;
    }
    assert!(world.ended(10).await.iter().all(|delivery| delivery.attempts == 1));
    for seen in sink.seen() {
        let time = seen.parts.last().unwrap().duration_since(seen.at);
        assert!(time < Duration::from_millis(300), "{time:?}");
    }
}

#[tokio::test]
async fn a_duplicate_is_the_same_request_at_the_same_time() {
    let sink = Sink::start(|_, _| Reply(200, Duration::from_millis(100))).await;
    let world = World::hasty(&sink, Chaos::new(7).with(Fault::Duplicate, 1.0)).await;
    let attempts = world.deliver_one().await;
    let seen = sink.seen();
    assert_eq!((attempts.len(), seen.len()), (1, 2));
    assert_eq!(seen[0].body, seen[1].body);
    assert_eq!(seen.iter().map(|seen| seen.under_way).max(), Some(2));
    assert_eq!((faults(&attempts[0]), code(&attempts[0].faults[0])), (vec![Fault::Duplicate], 200));
}

#[tokio::test]
async fn the_answer_to_the_second_of_two_decides_nothing() {
    let sink = Sink::start(|count, _| Reply(if count == 0 { 200 } else { 401 }, Duration::ZERO)).await;
    let world = World::hasty(&sink, Chaos::new(7).with(Fault::Duplicate, 1.0)).await;
    for _ in 0..10 {
        world.event().await;
    }
    // Which of the two comes first is open; one answer is kept with the attempt, the other with the fault.
    let delivery = &world.ended(10).await[0];
    let attempt = &world.attempts(delivery.id).await[0];
    let Some(Answer::Status { code: genuine, .. }) = attempt.answer else { panic!("{attempt:?}") };
    let expected = if genuine == 200 { DeliveryState::Delivered } else { DeliveryState::Dead };
    assert_eq!(delivery.state, expected);
    assert_eq!(world.count(Fault::Duplicate).await, 10);
}

#[tokio::test]
async fn a_lost_answer_is_a_failure_and_the_event_comes_again() {
    let sink = Sink::ok().await;
    let world = World::hasty(&sink, Chaos::new(7).with(Fault::Lost, 1.0)).await;
    let attempts = world.deliver_one().await;
    let seen = sink.seen();
    assert_eq!((attempts.len(), seen.len()), (3, 3));
    let ids: Vec<_> = seen.iter().map(|seen| (seen.data("eventId"), seen.data("eventDeliverId"))).collect();
    assert!(
        ids.iter().zip(["1", "2", "3"]).all(|((id, number), expected)| *id == ids[0].0 && number == expected)
    );
    for attempt in &attempts[..2] {
        assert_eq!(failure(attempt), "chaos: the answer got lost");
        assert_eq!((faults(attempt), code(&attempt.faults[0])), (vec![Fault::Lost], 200));
    }
    assert_eq!(faults(&attempts[2]), []);
}

#[tokio::test]
async fn only_the_answer_to_a_delivered_attempt_gets_lost() {
    let sink = Sink::start(|count, _| if count == 0 { 503.into() } else { 410.into() }).await;
    let world = World::hasty(&sink, Chaos::new(7).with(Fault::Lost, 1.0)).await;
    world.event().await;
    let delivery = &world.ended(1).await[0];
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Dead, 2));
    assert_eq!(world.count(Fault::Lost).await, 0);
}

/// Whatever goes wrong, the last attempt is as good as any.
#[tokio::test]
async fn chaos_never_uses_up_the_retries() {
    let genuine = Fault::ALL.into_iter().filter(|fault| !fault.is_forgery() && *fault != Fault::Rotate);
    let chaos = genuine.fold(Chaos::new(7), |chaos, fault| chaos.with(fault, 1.0));
    for (chaos, retries) in [
        (chaos, 2),
        (Chaos::new(7).with(Fault::Drop, 1.0), 3),
        (Chaos::new(7).with(Fault::Half, 1.0), 1),
        (Chaos::new(7).with(Fault::Lost, 1.0), 0),
    ] {
        let sink = Sink::ok().await;
        let builder = Sandbox::builder().time_scale(1000.0).max_retries(retries).chaos(chaos);
        let world = World::start(builder, &sink, |_| {}).await;
        for _ in 0..10 {
            world.event().await;
        }
        for delivery in world.ended(10).await {
            assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Delivered, retries + 1));
            let attempts = world.attempts(delivery.id).await;
            let (last, before) = attempts.split_last().unwrap();
            assert_eq!(faults(last), []);
            assert!(before.iter().all(|attempt| !attempt.faults.is_empty()), "{before:?}");
        }
    }
}
