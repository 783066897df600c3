//! A store that panics stops neither a delivery nor a worker.

use std::time::Duration;

use idnow_webhooks_core::EventRouter;
use idnow_webhooks_core::store::{EventState, EventStore};
use idnow_webhooks_testkit::{Provider, SampleEvent};
use tokio::time::sleep;

use crate::capture::{Capture, broken_log};
use crate::scripted::ScriptedStore;
use crate::worker::worker;
use crate::{codes, counting, runs};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_delivery_is_asked_for_again() {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let queued = provider.receiver().queued(store.clone()).build().unwrap();
    store.panic_in("insert");
    assert_eq!(
        codes(&provider, &queued, &SampleEvent::completed(), 2).await,
        ["store_unavailable", "stored"]
    );
    let (router, count) = counting(|_| async { Ok(()) });
    let inline = provider.receiver().handlers(router).store(store.clone()).build().unwrap();
    store.panic_in("begin");
    let event = SampleEvent::completed();
    assert_eq!(codes(&provider, &inline, &event, 2).await, ["store_unavailable", "handled"]);
    store.panic_in("complete");
    assert_eq!(codes(&provider, &inline, &SampleEvent::created(), 1).await, ["store_unavailable"]);
    assert_eq!(runs(&count), 2);
}

#[tokio::test(start_paused = true)]
async fn the_health_says_so() {
    let store = ScriptedStore::default();
    let receiver = Provider::new().receiver().queued(store.clone()).build().unwrap();
    store.panic_in("backlog");
    let health = receiver.health().await;
    assert_eq!((health.ready, health.store), (false, None));
    assert!(receiver.health().await.ready);
}

/// An event whose handler runs meanwhile ends as if nothing had happened.
#[tokio::test(start_paused = true)]
async fn a_worker_goes_on_with_all_that_runs() {
    for call in ["claim", "changed", "extend", "complete", "backlog"] {
        let (log, _guard) = Capture::start();
        let provider = Provider::new();
        let store = ScriptedStore::default();
        let receiver = provider.receiver().queued(store.clone()).build().unwrap();
        let first = SampleEvent::completed();
        let later = SampleEvent::created();
        provider.deliver(&receiver, &first).await;
        let (router, count) = counting(|_| async {
            sleep(40 * SECOND).await;
            Ok(())
        });
        let worker = worker(&store, router).start().unwrap();
        sleep(SECOND / 2).await;
        store.panic_in(call);
        sleep(50 * SECOND).await;
        provider.deliver(&receiver, &later).await;
        sleep(50 * SECOND).await;
        worker.stop().await;
        for event in [&first, &later] {
            let stored = store.get(event.event_id()).await.unwrap().unwrap();
            assert_eq!((stored.state, stored.runs), (EventState::Completed, 1), "{call}");
        }
        assert_eq!(runs(&count), 2, "{call}");
        // `complete` is called again at once, and its success is what is told.
        assert_eq!(log.everything().contains(&format!("{call} is broken")), call != "complete", "{call}");
    }
}

/// An error of the user's that cannot be shown.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("this error cannot be shown")
    }
}

impl std::error::Error for Broken {}

/// An error of the user's that cannot be shown breaks a run where nobody expects it.
#[tokio::test(start_paused = true)]
async fn a_run_that_panics_is_told_and_its_place_is_free_again() {
    let (log, _guard) = Capture::start();
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let receiver = provider.receiver().queued(store.clone()).build().unwrap();
    provider.deliver(&receiver, &SampleEvent::completed()).await;
    let router = EventRouter::new().on_any(|event| async move {
        match event.name.as_str() {
            "session.completed" => Err(Broken.into()),
            _ => Ok(()),
        }
    });
    let worker = worker(&store, router).concurrency(1).start().unwrap();
    sleep(2 * SECOND).await;
    let created = SampleEvent::created();
    provider.deliver(&receiver, &created).await;
    sleep(2 * SECOND).await;
    worker.stop().await;
    assert!(log.everything().contains("this error cannot be shown"), "{}", log.everything());
    assert_eq!(store.get(created.event_id()).await.unwrap().unwrap().state, EventState::Completed);
}

/// The log panics when it is told of a run that did: the others are waited for, and what does not end is given back.
#[tokio::test(start_paused = true)]
async fn a_log_that_panics_while_the_worker_stops_costs_nothing() {
    let _guard = broken_log("panicked");
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let receiver = provider.receiver().queued(store.clone()).build().unwrap();
    let mut events = vec![SampleEvent::created(), SampleEvent::completed()];
    events.extend((0..5).map(|_| SampleEvent::created()));
    for event in &events {
        provider.deliver(&receiver, event).await;
    }
    let ids: Vec<_> = events.iter().map(|event| event.event_id().to_owned()).collect();
    let (slow, endless) = (ids[0].clone(), ids[1].clone());
    let router = EventRouter::new().on_any(move |event| {
        let seconds = if event.id == endless { 3600 } else { 2 };
        let extra = if event.id == slow { 5 } else { 0 };
        let fails = seconds == 2 && extra == 0;
        async move {
            sleep((seconds + extra) * SECOND).await;
            if fails { Err(Broken.into()) } else { Ok(()) }
        }
    });
    let limits = worker(&store, router).handler_limit(7200 * SECOND).drain_limit(20 * SECOND);
    let worker = limits.start().unwrap();
    sleep(SECOND).await;
    worker.stop().await;
    let state = async |id: &str| store.get(id).await.unwrap().unwrap().state;
    assert_eq!(state(&ids[0]).await, EventState::Completed);
    assert_eq!(state(&ids[1]).await, EventState::Waiting, "given back");
}

/// The log panics whenever it is told that a lease could not be extended: that is no reason to give it up.
#[tokio::test(start_paused = true)]
async fn a_log_that_panics_ends_no_lease() {
    let _guard = broken_log("could not be extended");
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let receiver = provider.receiver().queued(store.clone()).build().unwrap();
    let event = SampleEvent::completed();
    provider.deliver(&receiver, &event).await;
    let (router, count) = counting(|_| async {
        sleep(20 * SECOND).await;
        Ok(())
    });
    let worker = worker(&store, router).start().unwrap();
    sleep(SECOND / 2).await;
    for _ in 0..3 {
        store.fail_extend(true);
        sleep(SECOND).await;
        store.fail_extend(false);
        sleep(3 * SECOND).await;
    }
    sleep(20 * SECOND).await;
    worker.stop().await;
    let stored = store.get(event.event_id()).await.unwrap().unwrap();
    assert_eq!((stored.state, stored.runs, runs(&count)), (EventState::Completed, 1, 1));
}
