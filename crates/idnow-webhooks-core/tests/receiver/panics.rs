//! A store that panics stops neither a delivery nor a worker.

use std::time::Duration;

use idnow_webhooks_core::EventRouter;
use idnow_webhooks_core::store::{EventState, EventStore};
use idnow_webhooks_testkit::{Provider, SampleEvent};
use tokio::time::sleep;

use crate::capture::Capture;
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

/// An error of the user's that cannot be shown breaks a run where nobody expects it.
#[tokio::test(start_paused = true)]
async fn a_run_that_panics_is_told_and_its_place_is_free_again() {
    #[derive(Debug)]
    struct Broken;
    impl std::fmt::Display for Broken {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("this error cannot be shown")
        }
    }
    impl std::error::Error for Broken {}

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
