//! A handler's writes and "handled": both or neither.

use std::time::{Duration, Instant};

use crate::common::*;
use idnow_webhooks_core::store::*;
use idnow_webhooks_core::{EventRouter, HandlerError, Worker};
use idnow_webhooks_sqlite::sqlx::{self, Connection as _, Row as _};
use idnow_webhooks_sqlite::{SqliteStore, SqliteTransaction};

async fn with_counter(folder: &Folder) -> SqliteStore {
    let store = folder.store().await;
    let mut connection = connect(&folder.file()).await;
    let sql = "CREATE TABLE counter (count INTEGER NOT NULL) STRICT; INSERT INTO counter VALUES (0)";
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    store
}

async fn count(folder: &Folder) -> i64 {
    let mut connection = connect(&folder.file()).await;
    sqlx::query("SELECT count FROM counter").fetch_one(&mut connection).await.unwrap().get(0)
}

async fn increment(transaction: &mut SqliteTransaction) {
    sqlx::query("UPDATE counter SET count = count + 1").execute(&mut **transaction).await.unwrap();
}

#[tokio::test]
async fn a_commit_takes_the_writes_and_the_event_along() {
    let folder = Folder::new();
    let store = with_counter(&folder).await;
    store.insert(event("a")).await.unwrap();
    let lease = claim_one(&store).await.lease;
    let mut transaction = store.transaction_under(&lease).await.unwrap();
    increment(&mut transaction).await;
    // A savepoint of sqlx within it.
    let mut inner = transaction.begin().await.unwrap();
    sqlx::query("UPDATE counter SET count = 99").execute(&mut *inner).await.unwrap();
    inner.rollback().await.unwrap();
    assert_eq!((count(&folder).await, state(&store, "a").await), (0, EventState::Running));
    transaction.commit().await.unwrap();
    assert_eq!((count(&folder).await, state(&store, "a").await), (1, EventState::Completed));
    store.complete(&lease).await.unwrap();
    // The handler failed after all; too late.
    assert!(matches!(store.retry(&lease, SECOND, "late").await, Err(StoreError::LeaseLost(_))));
    let error = store.transaction_under(&lease).await.unwrap_err();
    assert!(matches!(&error, StoreError::AlreadyCompleted(event) if **event == *lease.event_id), "{error}");
}

#[tokio::test]
async fn an_event_is_not_completed_while_its_transaction_is_not_committed() {
    let folder = Folder::new();
    let store = with_counter(&folder).await;
    store.insert(event("a")).await.unwrap();
    let lease = claim_one(&store).await.lease;
    let mut transaction = store.transaction_under(&lease).await.unwrap();
    increment(&mut transaction).await;
    drop(transaction);
    // The handler forgot to commit, and says that all went well.
    let error = store.complete(&lease).await.unwrap_err();
    assert!(matches!(&error, StoreError::NotCommitted(id) if &**id == "a"), "{error:?}");
    assert_eq!(state(&store, "a").await, EventState::Running);
    store.retry(&lease, Duration::ZERO, &error.to_string()).await.unwrap();
    let again = claim_one(&store).await.lease;
    // This run needs no transaction.
    store.complete(&again).await.unwrap();
    assert_eq!((count(&folder).await, state(&store, "a").await), (0, EventState::Completed));
}

#[tokio::test]
async fn a_rollback_on_purpose_leaves_the_event_to_the_handler() {
    let folder = Folder::new();
    let store = with_counter(&folder).await;
    for id in ["a", "b"] {
        store.insert(event(id)).await.unwrap();
    }
    let lease = claim_one(&store).await.lease;
    let mut transaction = store.transaction_under(&lease).await.unwrap();
    increment(&mut transaction).await;
    transaction.rollback().await.unwrap();
    assert_eq!(state(&store, "a").await, EventState::Running);
    store.complete(&lease).await.unwrap();
    assert_eq!((count(&folder).await, state(&store, "a").await), (0, EventState::Completed));
    // One that was dropped does not count once another was committed.
    let lease = claim_one(&store).await.lease;
    drop(store.transaction_under(&lease).await.unwrap());
    store.transaction_under(&lease).await.unwrap().commit().await.unwrap();
    store.complete(&lease).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn insertions_do_not_wait_for_all_handlers() {
    const HELD: Duration = Duration::from_millis(100);
    let folder = Folder::new();
    let store = folder.store().await;
    for number in 0..20 {
        store.insert(event(&number.to_string())).await.unwrap();
    }
    let handlers: Vec<_> = (store.claim(all(20)).await.unwrap().into_iter())
        .map(|claimed| {
            let store = store.clone();
            tokio::spawn(async move {
                let transaction = store.transaction_under(&claimed.lease).await.unwrap();
                tokio::time::sleep(HELD).await;
                transaction.commit().await.unwrap();
            })
        })
        .collect();
    tokio::time::sleep(HELD / 2).await;
    let started = Instant::now();
    assert_eq!(store.insert(event("new")).await.unwrap(), Insertion::New);
    assert!(started.elapsed() < 6 * HELD, "{:?}", started.elapsed());
    for handler in handlers {
        handler.await.unwrap();
    }
    assert_eq!(store.completed().await.unwrap(), 20);
}

#[tokio::test]
async fn a_drop_takes_nothing_along_and_lets_others_write() {
    let folder = Folder::new();
    let store = with_counter(&folder).await;
    store.insert(event("a")).await.unwrap();
    let lease = claim_one(&store).await.lease;
    for _ in 0..5 {
        let mut transaction = store.transaction_under(&lease).await.unwrap();
        increment(&mut transaction).await;
        drop(transaction);
        assert_eq!(store.insert(event("a")).await.unwrap(), Insertion::Duplicate);
    }
    assert_eq!((count(&folder).await, state(&store, "a").await), (0, EventState::Running));
    store.retry(&lease, Duration::ZERO, "failed").await.unwrap();
    assert!(matches!(store.transaction_under(&lease).await, Err(StoreError::LeaseLost(_))));
    let again = claim_one(&store).await.lease;
    assert!(matches!(store.transaction_under(&lease).await, Err(StoreError::LeaseLost(_))));
    let mut transaction = store.transaction_under(&again).await.unwrap();
    increment(&mut transaction).await;
    transaction.commit().await.unwrap();
    assert_eq!(count(&folder).await, 1);
}

#[tokio::test]
async fn a_commit_that_fails_takes_nothing_along() {
    let folder = Folder::new();
    let store = with_counter(&folder).await;
    store.insert(event("a")).await.unwrap();
    let lease = claim_one(&store).await.lease;
    let mut transaction = store.transaction_under(&lease).await.unwrap();
    let sql = "CREATE TABLE parent (id INTEGER PRIMARY KEY); \
               CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED); \
               INSERT INTO child VALUES (7)";
    sqlx::raw_sql(sql).execute(&mut *transaction).await.unwrap();
    let error = message(transaction.commit().await.unwrap_err());
    assert!(error.contains("FOREIGN KEY"), "{error}");
    assert_eq!(state(&store, "a").await, EventState::Running);
    // The connection is as good as before.
    let mut transaction = store.transaction_under(&lease).await.unwrap();
    increment(&mut transaction).await;
    transaction.commit().await.unwrap();
    assert_eq!(count(&folder).await, 1);
}

#[tokio::test]
async fn a_transaction_that_is_already_rolled_back_cannot_complete_the_event() {
    let folder = Folder::new();
    let store = with_counter(&folder).await;
    store.insert(event("a")).await.unwrap();
    let lease = claim_one(&store).await.lease;
    let mut transaction = store.transaction_under(&lease).await.unwrap();
    increment(&mut transaction).await;
    // As SQLite does by itself after a full disk.
    sqlx::raw_sql("ROLLBACK").execute(&mut *transaction).await.unwrap();
    message(transaction.commit().await.unwrap_err());
    assert_eq!((count(&folder).await, state(&store, "a").await), (0, EventState::Running));
    store.transaction_under(&lease).await.unwrap().commit().await.unwrap();
    assert_eq!(state(&store, "a").await, EventState::Completed);
}

#[tokio::test]
async fn a_transaction_that_is_held_for_long_loses_nothing() {
    let folder = Folder::new();
    with_counter(&folder).await;
    let store = SqliteStore::builder(folder.file()).busy_timeout(SECOND / 2).open().await.unwrap();
    for id in ["a", "b"] {
        store.insert(event(id)).await.unwrap();
    }
    let leases = store.claim(all(2)).await.unwrap();
    let transaction = store.transaction_under(&leases[0].lease).await.unwrap();
    // A worker extends the lease while the handler holds the transaction, and must not be stuck.
    for _ in 0..2 {
        let started = Instant::now();
        let error = message(store.extend(&leases[0].lease, SECOND).await.unwrap_err());
        assert!(error.contains("transaction"), "{error}");
        assert!(started.elapsed() < 2 * SECOND);
    }
    message(store.insert(event("c")).await.unwrap_err());
    // The next handler waits, for as long as it takes.
    let next = tokio::spawn({
        let (store, lease) = (store.clone(), leases[1].lease.clone());
        async move { store.transaction_under(&lease).await.unwrap().commit().await.unwrap() }
    });
    tokio::time::sleep(SECOND).await;
    assert!(!next.is_finished());
    transaction.commit().await.unwrap();
    next.await.unwrap();
    assert_eq!(store.insert(event("c")).await.unwrap(), Insertion::New, "it was never acknowledged");
    assert_eq!(store.completed().await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_of_a_worker_count_every_event_once() {
    let folder = Folder::new();
    let store = with_counter(&folder).await;
    let handlers = EventRouter::new().on_any({
        let store = store.clone();
        move |event| {
            let store = store.clone();
            async move {
                let mut transaction = store.transaction(&event).await?;
                increment(&mut transaction).await;
                if event.run().unwrap().number == 1 {
                    return Err(HandlerError::retry("the first time"));
                }
                transaction.commit().await?;
                // Too late to make a difference.
                if event.sequence % 2 == 0 { Err(HandlerError::retry("afterwards")) } else { Ok(()) }
            }
        }
    });
    let worker = Worker::builder(store.clone(), handlers)
        .backoff(idnow_webhooks_core::Backoff {
            first: Duration::from_millis(1),
            most: Duration::from_millis(1),
            jitter: 0.0,
        })
        .poll_interval(Duration::from_millis(50))
        .start()
        .unwrap();
    for number in 1..=100 {
        let data = format!(
            r#"{{"eventId": "{number}", "eventName": "session.created", "eventSequence": {number}, "eventType": "session",
            "environment": "staging", "createdAt": "2026-01-01T00:00:00Z", "eventDeliverId": "d",
            "payload": {{"sessionId": "s{}", "status": "CREATED"}}}}"#,
            number % 7
        );
        store.insert(NewEvent::from_json(&data)).await.unwrap();
    }
    for _ in 0..400 {
        if store.completed().await.unwrap() == 100 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    worker.stop().await;
    assert_eq!(store.completed().await.unwrap(), 100, "{:?}", store.backlog().await);
    assert_eq!(count(&folder).await, 100);
}

#[tokio::test]
async fn an_event_without_a_lease_has_no_transaction() {
    let folder = Folder::new();
    let store = folder.store().await;
    let lease = Lease::new("never seen", 1);
    assert!(matches!(store.transaction_under(&lease).await, Err(StoreError::LeaseLost(_))));
    assert_eq!(store.insert(event("a")).await.unwrap(), Insertion::New);
}
