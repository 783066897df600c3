//! Whom a failure is told, and that telling it changes nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use idnow_webhooks_core::event::{Event, SessionCompleted};
use idnow_webhooks_core::{EventRouter, Failure, HandlerError};
use idnow_webhooks_testkit::{Provider, SampleEvent};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};

use crate::scripted::ScriptedStore;
use crate::{DEADLINE, LIMIT, codes, counting, runs};

/// The same router, telling its failures.
fn telling(router: EventRouter) -> (EventRouter, UnboundedReceiver<Failure>) {
    let (sender, receiver) = unbounded_channel();
    let router = router.on_failure(move |failure| {
        let sender = sender.clone();
        async move {
            // An alarm that has to be sent somewhere is not told at the first poll.
            sleep(DEADLINE).await;
            sender.send(failure).unwrap();
        }
    });
    (router, receiver)
}

/// Delivers once, and gives the one failure that was told.
async fn told(router: EventRouter, event: &SampleEvent, code: &str) -> Failure {
    let provider = Provider::new();
    let (router, mut failures) = telling(router);
    let receiver =
        provider.receiver().handlers(router).answer_deadline(DEADLINE).handler_limit(LIMIT).build().unwrap();
    assert_eq!(provider.deliver(&receiver, event).await.code(), code);
    let failure = timeout(LIMIT * 2, failures.recv()).await.expect("it was told").unwrap();
    sleep(LIMIT).await;
    assert!(failures.try_recv().is_err(), "once is enough");
    failure
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_failure_is_told() {
    let event = SampleEvent::completed();
    let on_any = |result: fn() -> Result<(), HandlerError>| counting(move |_| async move { result() }).0;
    let hanging = || EventRouter::new().on_any(|_| std::future::pending());
    for (router, code, error, permanent) in [
        (
            on_any(|| Err(io::Error::other("the database is away").into())),
            "handler_failed",
            "the database is away",
            false,
        ),
        (
            on_any(|| Err(HandlerError::permanent("no such customer"))),
            "handler_refused",
            "no such customer",
            true,
        ),
        (on_any(|| panic!("a bug")), "handler_failed", "the handler panicked: a bug", false),
        (hanging(), "deadline_exceeded", "the handler was stopped after 20s", false),
    ] {
        let failure = told(router, &event, code).await;
        assert_eq!(failure.error, error);
        assert_eq!(failure.permanent, permanent, "{error}");
        assert_eq!(failure.event_id.as_deref(), Some(event.event_id()));
        assert_eq!(failure.event_name.as_deref(), Some("session.completed"));
        assert_eq!(serde_json::from_str::<Value>(failure.json()).unwrap(), event.data());
    }
}

#[tokio::test(start_paused = true)]
async fn failures_with_unreadable_events_are_told_too() {
    let unreadable = SampleEvent::completed().remove("payload");
    let failing = || EventRouter::new().on_unreadable(|_| async { Err(HandlerError::retry("not now")) });
    let panicking = || EventRouter::new().on_unreadable(|_| async { panic!("a bug") });
    let hanging = || EventRouter::new().on_unreadable(|_| std::future::pending());
    for (router, code, error) in [
        (failing(), "handler_failed", "not now"),
        (panicking(), "handler_failed", "the handler panicked: a bug"),
        (hanging(), "deadline_exceeded", "the handler was stopped after 20s"),
    ] {
        let failure = told(router, &unreadable, code).await;
        assert_eq!(failure.error, error);
        assert_eq!(failure.event_id.as_deref(), Some(unreadable.event_id()));
        assert_eq!(serde_json::from_str::<Value>(failure.json()).unwrap(), unreadable.data());
    }
    let failure = told(EventRouter::new(), &unreadable, "event_unreadable").await;
    assert!(failure.error.contains("payload"), "{failure:?}");

    let nameless = unreadable.clone().remove("eventId").remove("eventName");
    let failure = told(failing(), &nameless, "handler_failed").await;
    assert_eq!((failure.event_id, failure.event_name), (None, None));

    let strange = SampleEvent::completed().remove("payload.sessionId");
    let typed = EventRouter::new().on(|_: Event<SessionCompleted>| async { Ok(()) });
    let failure = told(typed, &strange, "event_unreadable").await;
    assert!(failure.error.contains("sessionId"), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn success_is_not_told() {
    let provider = Provider::new();
    let (router, mut failures) = telling(counting(|_| async { Ok(()) }).0);
    let receiver = provider.receiver().handlers(router).build().unwrap();
    assert_eq!(codes(&provider, &receiver, &SampleEvent::completed(), 2).await, ["handled", "duplicate"]);
    sleep(LIMIT).await;
    assert!(failures.try_recv().is_err());
}

/// The first run fails for a while, the second for good, and the alarm does its worst.
async fn undisturbed(worst: fn() -> futures_util::future::BoxFuture<'static, ()>) {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let (router, count) = counting(|run| async move {
        match run {
            1 => Err(HandlerError::retry("not now")),
            _ => Err(HandlerError::permanent("never")),
        }
    });
    let alarms = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&alarms);
    let router = router.on_failure(move |_| {
        counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        worst()
    });
    let receiver = provider.receiver().handlers(router).store(store.clone()).build().unwrap();
    let event = SampleEvent::completed();
    let started = Instant::now();
    let codes = codes(&provider, &receiver, &event, 3).await;
    assert_eq!(codes, ["handler_failed", "handler_refused", "handler_refused"]);
    assert_eq!(started.elapsed(), Duration::ZERO, "nobody waits for the alarm");
    assert_eq!(store.ended(), [("retry", "not now".to_owned()), ("bury", "never".to_owned())]);
    sleep(LIMIT).await;
    assert_eq!((runs(&count), runs(&alarms)), (2, 2));
    assert_eq!(provider.deliver(&receiver, &SampleEvent::created()).await.code(), "handler_refused");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_hangs_or_panics_changes_neither_the_answer_nor_the_event() {
    undisturbed(|| Box::pin(std::future::pending())).await;
    undisturbed(|| Box::pin(async { panic!("the alarm is broken") })).await;
    undisturbed(|| panic!("the alarm is broken at once")).await;
}
