//! What the handlers' results, and their slowness, become on the wire.

use std::time::Duration;

use idnow_webhooks_core::HandlerError;

use super::prelude::*;

pub(crate) async fn one_that_asks_for_another_try(on: Target) {
    let stage = Stage::with(on, |receiver, calls| {
        let failures = Calls::new();
        receiver.handlers(calls.router_then(move || {
            failures.note("");
            let first = failures.count() == 1;
            async move { if first { Err(HandlerError::retry("not yet")) } else { Ok(()) } }
        }))
    });
    let event = SampleEvent::completed();
    assert_eq!(stage.deliver(&event).await, Answer::refused(503, "handler_failed"));
    assert_eq!(stage.deliver(&event).await, Answer::accepted());
    assert_eq!(stage.deliver(&event).await, Answer::accepted());
    assert_eq!(stage.calls.ids(), [event.event_id(), event.event_id()]);
}

pub(crate) async fn one_that_panics(on: Target) {
    let stage = Stage::with(on, |receiver, calls| {
        receiver.handlers(calls.router_then(|| async { panic!("a bug in the bank's handler") }))
    });
    let event = SampleEvent::completed();
    for attempt in 1..=2 {
        assert_eq!(stage.deliver(&event).await, Answer::refused(503, "handler_failed"));
        assert_eq!(stage.calls.count(), attempt);
    }
}

pub(crate) async fn one_that_fails_for_good(on: Target) {
    let stage = Stage::with(on, |receiver, calls| {
        receiver.handlers(calls.router_then(|| async { Err(HandlerError::permanent("never")) }))
    });
    let event = SampleEvent::completed();
    for _ in 0..2 {
        assert_eq!(stage.deliver(&event).await, Answer::refused(422, "handler_refused"));
        assert_eq!(stage.calls.ids(), [event.event_id()], "it is not tried again");
    }
}

/// The answer does not wait for the handler, the handler does not end with the answer.
pub(crate) async fn one_that_is_too_slow(on: Target) {
    let gate = Gate::closed();
    let stage = Stage::with(on, |receiver, calls| {
        receiver.answer_deadline(Duration::from_millis(400)).handlers(calls.router_behind(&gate))
    });
    let event = SampleEvent::completed();
    assert_eq!(stage.deliver(&event).await, Answer::refused(503, "deadline_exceeded"));
    assert_eq!(stage.deliver(&event).await, Answer::refused(503, "in_progress"));
    gate.open();
    stage.calls.reach(1).await;
    assert_eq!(stage.deliver_until_settled(&event).await, Answer::accepted());
    assert_eq!(stage.calls.ids(), [event.event_id()]);
}

pub(crate) async fn a_duplicate_while_the_first_runs(on: Target) {
    let gate = Gate::closed();
    let stage = Stage::with(on, |receiver, calls| receiver.handlers(calls.router_behind(&gate)));
    let event = SampleEvent::completed();
    let second = async {
        gate.reached_by(1).await;
        let answer = stage.deliver(&event).await;
        gate.open();
        answer
    };
    let (first, second) = tokio::join!(stage.deliver(&event), second);
    assert_eq!(first, Answer::accepted());
    assert_eq!(second, Answer::refused(503, "in_progress"));
    assert_eq!(stage.calls.ids(), [event.event_id()]);
}

pub(crate) async fn more_deliveries_than_may_be_in_progress(on: Target) {
    let gate = Gate::closed();
    let stage =
        Stage::with(on, |receiver, calls| receiver.max_in_progress(1).handlers(calls.router_behind(&gate)));
    let (event, other) = (SampleEvent::completed(), SampleEvent::completed());
    let meanwhile = async {
        gate.reached_by(1).await;
        let answer = stage.deliver(&other).await;
        gate.open();
        answer
    };
    let (first, second) = tokio::join!(stage.deliver(&event), meanwhile);
    assert_eq!(first, Answer::accepted());
    assert_eq!(second, Answer::refused(503, "overloaded"));
    assert_eq!(stage.deliver(&other).await, Answer::accepted());
    assert_eq!(stage.calls.ids(), [event.event_id(), other.event_id()]);
}

pub(crate) async fn a_client_that_goes_away_meanwhile(on: Target) {
    let gate = Gate::closed();
    let stage = Stage::with(on, |receiver, calls| receiver.handlers(calls.router_behind(&gate)));
    let event = SampleEvent::completed();
    let mut client = stage.connect().await;
    tokio::select! {
        answer = client.send(stage.delivery(&event)) => panic!("{answer:?} before the handler has ended"),
        () = gate.reached_by(1) => {}
    }
    drop(client);
    // Time for the server to notice, and to drop what it was doing for this client.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(stage.deliver(&event).await, Answer::refused(503, "in_progress"));
    gate.open();
    stage.calls.reach(1).await;
    assert_eq!(stage.deliver_until_settled(&event).await, Answer::accepted());
    assert_eq!(stage.calls.ids(), [event.event_id()]);
}
