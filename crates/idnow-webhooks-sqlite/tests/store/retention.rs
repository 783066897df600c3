//! What is forgotten, and what is not.

use std::time::Duration;

use idnow_webhooks_core::store::*;
use idnow_webhooks_sqlite::SqliteStore;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use crate::common::*;

const DAY: Duration = Duration::from_hours(24);

async fn open(folder: &Folder, clock: &Hand) -> SqliteStore {
    SqliteStore::builder(folder.file()).clock(clock.clone()).open().await.unwrap()
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
