//! What a worker tells: metrics, and handlers for what cannot be read or has failed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use idnow_webhooks_core::event::Unreadable;
use idnow_webhooks_core::store::{EventState, EventStore, NewEvent};
use idnow_webhooks_core::{Backoff, EventRouter, HandlerError, HandlerResult, Worker, WorkerBuilder};
use idnow_webhooks_testkit::{Provider, SampleEvent};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::capture::Capture;
use crate::metrics::recorded;
use crate::scripted::ScriptedStore;

const SECOND: Duration = Duration::from_secs(1);

/// The leases go by the machine's clock, which hardly moves here; all the rest by the paused one.
pub(crate) fn worker(store: &ScriptedStore, router: EventRouter) -> WorkerBuilder {
    let backoff = Backoff { first: Duration::ZERO, most: Duration::ZERO, jitter: 0.0 };
    Worker::builder(store.clone(), router).lease(3 * SECOND).backoff(backoff)
}

/// Takes a while.
fn slow(seconds: u32) -> EventRouter {
    EventRouter::new().on_any(move |_| async move {
        sleep(seconds * SECOND + SECOND / 2).await;
        Ok(())
    })
}

fn count(recorded: &BTreeMap<String, u64>, name: &str) -> u64 {
    recorded.get(&format!("idnow_webhooks_{name}")).copied().unwrap_or_default()
}

fn session_event(sequence: u64) -> NewEvent {
    let data = json!({
        "eventId": sequence.to_string(), "eventName": "session.created", "eventSequence": sequence,
        "environment": "staging", "payload": { "sessionId": "s" },
    });
    NewEvent::from_json(&data.to_string())
}

/// `let (receiver, _) = settings.queued(..)` is easily written, and answers 200 to what nobody handles.
#[tokio::test]
async fn one_that_is_dropped_says_so_and_one_that_is_stopped_does_not() {
    const DROPPED: &str = "the worker was dropped";
    let (capture, _guard) = Capture::start();
    let store = ScriptedStore::default();
    worker(&store, EventRouter::new()).start().unwrap().stop().await;
    assert!(!capture.everything().contains(DROPPED), "{}", capture.everything());
    drop(worker(&store, EventRouter::new()).start().unwrap());
    let told = async {
        while !capture.everything().contains(DROPPED) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(30 * SECOND, told).await.expect("nothing was told");
}

#[test]
fn calls_of_the_store_are_timed_by_call_and_result() {
    let provider = Provider::new();
    let recorded = recorded(async {
        let store = ScriptedStore::default();
        let receiver = provider.receiver().queued(store.clone()).build().unwrap();
        provider.deliver(&receiver, &SampleEvent::completed()).await;
        store.fail_insert(true);
        provider.deliver(&receiver, &SampleEvent::created()).await;
        let worker = worker(&store, slow(3)).start().unwrap();
        sleep(SECOND * 5 / 2).await;
        store.fail_extend(true);
        worker.stop().await;
    });
    let calls = |call| count(&recorded, &format!("store_seconds{{call={call}}}"));
    assert_eq!((calls("insert,result=ok"), calls("insert,result=error")), (1, 1));
    assert_eq!((calls("extend,result=ok"), calls("extend,result=error")), (2, 1), "{recorded:?}");
    assert_eq!((calls("complete,result=ok"), calls("release,result=ok")), (1, 0));
    assert!(calls("claim,result=ok") >= 1);
    assert_eq!(count(&recorded, "events_total{ending=completed,event_name=session.completed}"), 1);
    assert_eq!(count(&recorded, "store_up{}"), 0);
}

#[test]
fn lost_leases_are_counted() {
    let recorded = recorded(async {
        let store = ScriptedStore::default();
        store.insert(session_event(1)).await.unwrap();
        store.lose();
        let worker = worker(&store, slow(30)).start().unwrap();
        sleep(2 * SECOND).await;
        worker.stop().await;
    });
    assert_eq!(count(&recorded, "store_seconds{call=extend,result=lost}"), 1, "{recorded:?}");
    assert_eq!(count(&recorded, "events_total{ending=lost,event_name=session.created}"), 1);
}

#[test]
fn events_out_of_order_are_counted_once() {
    let recorded = recorded(async {
        let store = ScriptedStore::default();
        let router = EventRouter::new().on_any(|event| async move {
            match event.run().unwrap().number {
                1 => Err(HandlerError::retry("once more")),
                _ => Ok(()),
            }
        });
        let worker = worker(&store, router).start().unwrap();
        for sequence in [1, 3, 6, 2] {
            store.insert(session_event(sequence)).await.unwrap();
            sleep(5 * SECOND).await;
        }
        worker.stop().await;
    });
    assert_eq!(count(&recorded, "out_of_order_total{order=after_gap}"), 2, "{recorded:?}");
    assert_eq!(count(&recorded, "out_of_order_total{order=late}"), 1);
    assert_eq!(count(&recorded, "events_total{ending=completed,event_name=session.created}"), 4);
}

/// The same as inline: the handler has the first word.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_reaches_its_handler_once() {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let receiver = provider.receiver().queued(store.clone()).build().unwrap();
    let event = SampleEvent::completed().set("eventSequence", json!([2]));
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "stored");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let router = EventRouter::new().on_unreadable(move |event: Unreadable| {
        noted.lock().unwrap().push((event.event_id.clone(), event.json().to_owned()));
        async { Ok(()) }
    });
    let worker = worker(&store, router).start().unwrap();
    sleep(5 * SECOND).await;
    worker.stop().await;
    let text = store.inserted()[0].data().to_owned();
    assert_eq!(*seen.lock().unwrap(), [(Some(event.event_id().to_owned()), text)]);
    let stored = store.get(event.event_id()).await.unwrap().unwrap();
    assert_eq!((stored.state, stored.runs), (EventState::Completed, 1));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_read_is_a_dead_letter_and_told() {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let receiver = provider.receiver().queued(store.clone()).build().unwrap();
    let event = SampleEvent::completed().remove("payload");
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "stored");
    let told = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&told);
    let router = EventRouter::new().on_failure(move |failure| {
        noted.lock().unwrap().push((failure.event_id.clone(), failure.permanent));
        async {}
    });
    let worker = worker(&store, router).start().unwrap();
    sleep(5 * SECOND).await;
    worker.stop().await;
    assert_eq!(*told.lock().unwrap(), [(Some(event.event_id().to_owned()), true)]);
    let stored = store.get(event.event_id()).await.unwrap().unwrap();
    assert_eq!((stored.state, stored.runs), (EventState::Dead, 1));
    assert!(stored.error.unwrap().contains("`payload` is missing"));
}

/// A router that fails for good, and takes `seconds` to tell.
fn telling(seconds: u32) -> (EventRouter, Arc<Mutex<u32>>) {
    let told = Arc::new(Mutex::new(0));
    let noted = Arc::clone(&told);
    let fails = |_| async { HandlerResult::Err(HandlerError::permanent("never")) };
    let router = EventRouter::new().on_any(fails).on_failure(move |_| {
        let noted = Arc::clone(&noted);
        async move {
            sleep(seconds * SECOND).await;
            *noted.lock().unwrap() += 1;
        }
    });
    (router, told)
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_alarms_within_the_drain_limit() {
    for (takes, waited, expected) in [(5, 5, 1), (50, 10, 0)] {
        let store = ScriptedStore::default();
        store.insert(session_event(1)).await.unwrap();
        let (router, told) = telling(takes);
        let worker = worker(&store, router).drain_limit(10 * SECOND).start().unwrap();
        while store.backlog().await.unwrap().dead == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        let stopping = Instant::now();
        worker.stop().await;
        assert_eq!((stopping.elapsed() + SECOND / 2).as_secs(), waited);
        assert_eq!(*told.lock().unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_receiver_has_told_of_its_failures() {
    let provider = Provider::new();
    let (router, told) = telling(5);
    let receiver = provider.receiver().handlers(router).build().unwrap();
    for run in 1..=2 {
        let started = Instant::now();
        assert_eq!(provider.deliver(&receiver, &SampleEvent::completed()).await.code(), "handler_refused");
        assert_eq!(started.elapsed(), Duration::ZERO, "nobody waits for the alarm before the answer");
        receiver.idle().await;
        assert_eq!(*told.lock().unwrap(), run);
    }
}
