use std::time::Duration;

use idnow_webhooks_core::event::{Event, RawEvent, SessionCompleted};
use idnow_webhooks_core::store::{Beginning, EventStore, StoreError};
use idnow_webhooks_core::{EventRouter, Worker};
use idnow_webhooks_postgres::PostgresStore;
use sqlx::PgPool;

use crate::support::{MINUTE, claim, claim_for, claim_one, database, event, number, pool, run, soon};

async fn counter() -> (PostgresStore, PgPool) {
    let url = database().await;
    let (store, pool) = (PostgresStore::connect(&url).await.unwrap(), pool(&url).await);
    run(&pool, "CREATE TABLE counter (n int8); INSERT INTO counter VALUES (0)").await;
    (store, pool)
}

const COUNT: &str = "UPDATE counter SET n = n + 1";
const COUNTED: &str = "SELECT n FROM counter";

#[tokio::test]
async fn writes_and_completion_are_committed_together() {
    let (store, pool) = counter().await;
    store.insert(event()).await.unwrap();
    let claimed = claim_one(&store).await;
    let mut transaction = store.transaction_under(&claimed.lease).await.unwrap();
    sqlx::query(COUNT).execute(&mut *transaction).await.unwrap();
    assert_eq!((number(&pool, COUNTED).await, store.completed().await.unwrap()), (0, 0));
    transaction.commit().await.unwrap();
    assert_eq!((number(&pool, COUNTED).await, store.completed().await.unwrap()), (1, 1));
    // The worker says so once more.
    store.complete(&claimed.lease).await.unwrap();
    let ended = store.retry(&claimed.lease, Duration::ZERO, "late").await;
    assert!(matches!(ended, Err(StoreError::LeaseLost(_))));
}

#[tokio::test]
async fn dropped_or_rolled_back_nothing_has_happened() {
    let (store, pool) = counter().await;
    store.insert(event()).await.unwrap();
    let claimed = claim_one(&store).await;
    let mut dropped = store.transaction_under(&claimed.lease).await.unwrap();
    sqlx::query(COUNT).execute(&mut *dropped).await.unwrap();
    drop(dropped);
    let mut rolled_back = store.transaction_under(&claimed.lease).await.unwrap();
    sqlx::query(COUNT).execute(&mut *rolled_back).await.unwrap();
    rolled_back.rollback().await.unwrap();
    assert_eq!((number(&pool, COUNTED).await, store.completed().await.unwrap()), (0, 0));
    store.complete(&claimed.lease).await.unwrap();
}

#[tokio::test]
async fn without_the_lease_nothing_is_committed() {
    let (store, pool) = counter().await;
    store.insert(event()).await.unwrap();
    let claimed = claim_one(&store).await;
    let mut transaction = store.transaction_under(&claimed.lease).await.unwrap();
    sqlx::query(COUNT).execute(&mut *transaction).await.unwrap();
    store.retry(&claimed.lease, Duration::ZERO, "its worker gave up").await.unwrap();
    let lost = transaction.commit().await;
    assert!(matches!(lost, Err(StoreError::LeaseLost(_))), "{lost:?}");
    assert_eq!(number(&pool, COUNTED).await, 0);
    let lost = store.transaction_under(&claimed.lease).await;
    assert!(matches!(lost, Err(StoreError::LeaseLost(_))), "{lost:?}");
}

/// While the handler's transaction is open nobody else handles the event, even after the end of the lease.
#[tokio::test]
async fn an_open_transaction_keeps_the_event_after_its_lease() {
    let (store, pool) = counter().await;
    let (queued, inline) = (event(), event());
    store.insert(queued).await.unwrap();
    let claimed = claim_for(&store, 1, Duration::from_secs(1)).await.remove(0);
    let begun = store.begin(inline.clone(), Duration::from_secs(1)).await.unwrap();
    let Beginning::Run(begun) = begun else { panic!() };
    let mut transactions = Vec::new();
    for lease in [&claimed.lease, &begun] {
        let mut transaction = store.transaction_under(lease).await.unwrap();
        sqlx::query("SELECT 1").execute(&mut *transaction).await.unwrap();
        transactions.push(transaction);
    }
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(claim(&store, 10).await.is_empty());
    assert_eq!(store.begin(inline, MINUTE).await.unwrap(), Beginning::Running);
    for mut transaction in transactions {
        sqlx::query(COUNT).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }
    assert_eq!((number(&pool, COUNTED).await, store.completed().await.unwrap()), (2, 2));
}

/// A heartbeat must not wait for the handler's transaction, nor must the lock vanish with the heartbeat.
#[tokio::test]
async fn the_lease_is_extended_beside_an_open_transaction() {
    let (store, _) = counter().await;
    store.insert(event()).await.unwrap();
    let claimed = claim_for(&store, 1, Duration::from_secs(1)).await.remove(0);
    let transaction = store.transaction_under(&claimed.lease).await.unwrap();
    for _ in 0..3 {
        let extend = store.extend(&claimed.lease, Duration::from_millis(200));
        tokio::time::timeout(Duration::from_secs(1), extend).await.unwrap().unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1300)).await;
    assert!(claim(&store, 10).await.is_empty());
    transaction.commit().await.unwrap();
    assert_eq!(store.completed().await.unwrap(), 1);
}

#[tokio::test]
async fn a_transaction_that_failed_is_not_committed() {
    let (store, pool) = counter().await;
    store.insert(event()).await.unwrap();
    let claimed = claim_one(&store).await;
    let mut transaction = store.transaction_under(&claimed.lease).await.unwrap();
    sqlx::query(COUNT).execute(&mut *transaction).await.unwrap();
    sqlx::query("SELECT 1 / 0").execute(&mut *transaction).await.unwrap_err();
    let error = transaction.commit().await.unwrap_err();
    assert!(error.to_string().contains("an earlier statement of the transaction failed"), "{error}");
    assert_eq!((number(&pool, COUNTED).await, store.completed().await.unwrap()), (0, 0));
    // A constraint that is checked at the commit.
    run(
        &pool,
        "CREATE TABLE once (n int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED); INSERT INTO once VALUES (1)",
    )
    .await;
    let mut transaction = store.transaction_under(&claimed.lease).await.unwrap();
    sqlx::query("INSERT INTO once VALUES (1)").execute(&mut *transaction).await.unwrap();
    let error = transaction.commit().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert_eq!(store.backlog().await.unwrap().running, 1);
}

#[tokio::test]
async fn an_event_from_nowhere_cannot_be_completed() {
    let (store, _) = counter().await;
    let event: Event<SessionCompleted> = RawEvent::from_json(event().data()).unwrap().read().unwrap();
    let error = store.transaction(&event).await.unwrap_err();
    assert!(error.to_string().contains("not given out by a store"), "{error}");
}

#[tokio::test]
async fn handlers_count_each_event_once() {
    let (store, pool) = counter().await;
    let handlers = EventRouter::new().on({
        let store = store.clone();
        move |event: Event<SessionCompleted>| {
            let store = store.clone();
            async move {
                let mut transaction = store.transaction(&event).await?;
                sqlx::query(COUNT).execute(&mut *transaction).await?;
                // Every other first run fails after its write.
                if event.run().unwrap().number == 1 && event.id.as_bytes()[0].is_multiple_of(2) {
                    return Err(std::io::Error::other("not yet").into());
                }
                transaction.commit().await?;
                Ok(())
            }
        }
    });
    for _ in 0..30 {
        store.insert(event()).await.unwrap();
    }
    let worker = Worker::builder(store.clone(), handlers).start().unwrap();
    soon("all are completed", || async { store.completed().await.unwrap() == 30 }).await;
    worker.stop().await;
    assert_eq!(number(&pool, COUNTED).await, 30);
    assert_eq!(store.backlog().await.unwrap().waiting, 0);
}
