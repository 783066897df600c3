//! What is forgotten, and what is not.

use std::time::Duration;

use idnow_webhooks_core::Clock as _;
use idnow_webhooks_core::store::*;
use idnow_webhooks_sqlite::SqliteStore;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::common::*;

const DAY: Duration = Duration::from_hours(24);

async fn open(folder: &Folder, clock: &Hand) -> SqliteStore {
    SqliteStore::builder(folder.file()).clock(clock.clone()).open().await.unwrap()
}

async fn park(store: &SqliteStore, ids: std::ops::Range<usize>) {
    for id in ids {
        let token = ParkedToken::new(id.to_string(), Evidence::new("aaa.bbb.ccc", None), Hand::new().now());
        store.park(token, ParkLimits::default()).await.unwrap();
    }
}

async fn handled(store: &SqliteStore, id: &str) {
    store.insert(event(id)).await.unwrap();
    let lease = claim_one(store).await.lease;
    store.complete(&lease).await.unwrap();
}

#[tokio::test]
async fn the_store_forgets_what_is_old_by_itself() {
    let folder = Folder::new();
    let clock = Hand::new();
    let store = open(&folder, &clock).await;
    // More than one step.
    for number in 0..450 {
        store.insert(event(&format!("old {number}"))).await.unwrap();
    }
    for claimed in store.claim(all(450)).await.unwrap() {
        store.complete(&claimed.lease).await.unwrap();
    }
    store.begin(event("inline, abandoned"), SECOND).await.unwrap();
    let Beginning::Run(lease) = store.begin(event("inline, failed"), SECOND).await.unwrap() else { panic!() };
    store.retry(&lease, SECOND, "failed").await.unwrap();
    store.insert(event("dead")).await.unwrap();
    let dead = claim_one(&store).await.lease;
    store.bury(&dead, "for good").await.unwrap();
    store.insert(event("waiting")).await.unwrap();
    clock.forward(29 * DAY);
    let Beginning::Run(lease) = store.begin(event("young"), SECOND).await.unwrap() else { panic!() };
    store.complete(&lease).await.unwrap();
    drop(store);

    clock.forward(DAY + SECOND);
    let store = open(&folder, &clock).await;
    for _ in 0..100 {
        let left = store.list(&EventFilter { limit: 1000, ..EventFilter::default() }).await.unwrap();
        if left.len() <= 3 {
            let mut left: Vec<_> = left.into_iter().map(|event| event.id).collect();
            left.sort();
            assert_eq!(left, ["dead", "waiting", "young"]);
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("old events are still there");
}

#[tokio::test]
async fn what_it_forgets_is_counted() {
    let folder = Folder::new();
    let clock = Hand::new();
    let store = open(&folder, &clock).await;
    for id in ["first", "second", "third"] {
        handled(&store, id).await;
    }
    drop(store);
    clock.forward(31 * DAY);
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let _store = open(&folder, &clock).await;
    let mut counted = 0;
    for _ in 0..100 {
        // A snapshot takes the counts with it.
        for (key, _, _, value) in snapshotter.snapshot().into_vec() {
            assert_eq!(key.key().name(), "idnow_webhooks_purged_total");
            if let DebugValue::Counter(count) = value {
                counted += count;
            }
        }
        if counted > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(counted, 3);
}

#[tokio::test]
async fn a_purge_takes_the_oldest_up_to_its_limit() {
    let folder = Folder::new();
    let clock = Hand::new();
    let store = open(&folder, &clock).await;
    for id in ["first", "second", "third"] {
        handled(&store, id).await;
        clock.forward(DAY);
    }
    let purge = |days, limit| Purge { state: EventState::Completed, older_than: days * DAY, limit };
    assert_eq!(store.purge(purge(4, 9)).await.unwrap(), 0);
    assert_eq!(store.purge(purge(2, 1)).await.unwrap(), 1);
    assert!(store.get("first").await.unwrap().is_none());
    assert_eq!(store.purge(purge(2, 9)).await.unwrap(), 1);
    assert_eq!(store.insert(event("third")).await.unwrap(), Insertion::Duplicate);
    assert_eq!(store.insert(event("first")).await.unwrap(), Insertion::New);
}

/// By the time when they were parked, in steps, and counted.
#[tokio::test]
async fn the_store_drops_parked_tokens_after_7_days_by_itself() {
    let folder = Folder::new();
    let clock = Hand::new();
    let store = open(&folder, &clock).await;
    park(&store, 0..450).await;
    clock.forward(SECOND);
    park(&store, 450..453).await;
    drop(store);
    clock.forward(6 * DAY + 86_399 * SECOND);
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let store = open(&folder, &clock).await;
    let mut counted = 0;
    for _ in 0..100 {
        for (key, _, _, value) in snapshotter.snapshot().into_vec() {
            if let ("idnow_webhooks_parked_total", DebugValue::Counter(count)) = (key.key().name(), value) {
                counted += count;
            }
        }
        if counted >= 450 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(counted, 450);
    let left: Vec<_> = store.parked(0, 999).await.unwrap().into_iter().map(|token| token.id).collect();
    assert_eq!(left, ["450", "451", "452"]);
}

/// An earlier attempt of an event must not be admitted once the store has forgotten that the event was completed.
#[tokio::test]
async fn no_parked_token_outlasts_a_short_retention() {
    let folder = Folder::new();
    let clock = Hand::new();
    let store = open(&folder, &clock).await;
    park(&store, 0..450).await;
    handled(&store, "event").await;
    clock.forward(SECOND);
    park(&store, 450..452).await;
    drop(store);
    clock.forward(86_399 * SECOND);
    let builder = SqliteStore::builder(folder.file()).clock(clock.clone());
    let store = builder.retention(Retention::new(DAY).unwrap()).open().await.unwrap();
    for _ in 0..200 {
        // In this order: nothing may be forgotten between the two looks.
        let known = store.get("event").await.unwrap().is_some();
        let parked = store.backlog().await.unwrap().parked;
        assert!(known || parked == 2, "the event is forgotten, and {parked} tokens are not");
        if !known {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(store.get("event").await.unwrap().is_none());
    // The same when something is parked, before the next round.
    clock.forward(SECOND);
    let token = ParkedToken::new("new", Evidence::new("aaa.bbb.ccc", None), clock.now());
    let outcome = store.park(token, ParkLimits::default()).await.unwrap();
    assert_eq!(outcome, ParkOutcome::New { dropped: 2 });
}

/// They panic, and the store goes on with its next step.
#[tokio::test]
async fn broken_metrics_and_a_broken_log_do_not_end_the_forgetting() {
    let folder = Folder::new();
    let clock = Hand::new();
    let store = open(&folder, &clock).await;
    for number in 0..450 {
        store.insert(event(&number.to_string())).await.unwrap();
    }
    for claimed in store.claim(all(450)).await.unwrap() {
        store.complete(&claimed.lease).await.unwrap();
    }
    park(&store, 0..450).await;
    drop(store);
    clock.forward(31 * DAY);
    let _metrics = metrics::set_default_local_recorder(&Broken);
    let _log = tracing::subscriber::set_default(tracing_subscriber::registry().with(Broken));
    let store = open(&folder, &clock).await;
    for _ in 0..100 {
        if store.completed().await.unwrap() == 0 {
            assert_eq!(store.backlog().await.unwrap().parked, 0);
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing was forgotten after the first step");
}

struct Broken;

impl metrics::Recorder for Broken {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        panic!("the recorder is broken")
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        panic!("the recorder is broken")
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("the recorder is broken")
    }
}

impl<S: tracing::Subscriber> Layer<S> for Broken {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        assert!(!event.metadata().target().starts_with("idnow_webhooks"), "the log is broken");
    }
}

#[tokio::test]
async fn for_ever_drops_nothing_that_is_parked() {
    let folder = Folder::new();
    let clock = Hand::new();
    park(&open(&folder, &clock).await, 0..3).await;
    clock.forward(99 * DAY);
    let builder = SqliteStore::builder(folder.file()).clock(clock).retention(Retention::FOREVER);
    let store = builder.open().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(store.backlog().await.unwrap().parked, 3);
}

/// A call is short, however many are too old.
#[tokio::test]
async fn one_call_drops_some_hundreds_at_most() {
    let folder = Folder::new();
    let clock = Hand::new();
    let builder = SqliteStore::builder(folder.file()).clock(clock.clone()).retention(Retention::FOREVER);
    let store = builder.open().await.unwrap();
    park(&store, 0..450).await;
    clock.forward(7 * DAY);
    let mut dropped = Vec::new();
    for id in ["a", "b", "c", "d"] {
        let token = ParkedToken::new(id, Evidence::new("aaa.bbb.ccc", None), clock.now());
        dropped.push(store.park(token, ParkLimits::default()).await.unwrap());
    }
    assert_eq!(dropped, [200, 200, 50, 0].map(|dropped| ParkOutcome::New { dropped }));
}
