use std::task::Poll;
use std::time::Duration;

use idnow_webhooks_core::event::{Event, RawEvent, SessionCompleted};
use idnow_webhooks_core::store::{Beginning, Claim, EventStore, SessionOrder, StoreError};
use idnow_webhooks_core::{EventRouter, Worker};
use idnow_webhooks_postgres::PostgresStore;
use sqlx::PgPool;
use tokio::time::Instant;

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
    // One was rolled back on purpose, but the other was not.
    let error = store.complete(&claimed.lease).await.unwrap_err();
    assert!(matches!(&error, StoreError::NotCommitted(id) if *id == claimed.lease.event_id), "{error:?}");
    store.retry(&claimed.lease, Duration::ZERO, "not committed").await.unwrap();
    let again = claim_one(&store).await;
    let rolled_back = store.transaction_under(&again.lease).await.unwrap();
    rolled_back.rollback().await.unwrap();
    store.complete(&again.lease).await.unwrap();
}

#[tokio::test]
async fn one_that_is_dropped_does_not_spoil_the_next() {
    let (store, pool) = counter().await;
    let new = event();
    store.insert(new.clone()).await.unwrap();
    let claimed = claim_for(&store, 1, Duration::from_secs(1)).await.remove(0);
    drop(store.transaction_under(&claimed.lease).await.unwrap());
    let mut second = store.transaction_under(&claimed.lease).await.unwrap();
    sqlx::query(COUNT).execute(&mut *second).await.unwrap();
    second.commit().await.unwrap();
    store.complete(&claimed.lease).await.unwrap();
    assert_eq!(number(&pool, COUNTED).await, 1);

    store.insert(event()).await.unwrap();
    let claimed = claim_for(&store, 1, Duration::from_secs(1)).await.remove(0);
    drop(store.transaction_under(&claimed.lease).await.unwrap());
    tokio::time::sleep(Duration::from_millis(1100)).await;
    // Leased anew, it is another run.
    store.complete(&claim_one(&store).await.lease).await.unwrap();
}

#[tokio::test]
async fn a_second_transaction_after_the_commit_is_refused_with_the_reason() {
    let (store, _) = counter().await;
    store.insert(event()).await.unwrap();
    let claimed = claim_one(&store).await;
    store.transaction_under(&claimed.lease).await.unwrap().commit().await.unwrap();
    let error = store.transaction_under(&claimed.lease).await.unwrap_err();
    assert!(matches!(&error, StoreError::AlreadyCompleted(id) if *id == claimed.lease.event_id), "{error}");
    store.complete(&claimed.lease).await.unwrap();
}

/// A replica that stops in the middle of a commit must not keep all others from claiming.
#[tokio::test]
async fn a_commit_that_stops_holds_up_claims_for_seconds_only() {
    let url = database().await;
    let (frozen, other) =
        (PostgresStore::connect(&url).await.unwrap(), PostgresStore::connect(&url).await.unwrap());
    let pool = pool(&url).await;
    frozen.insert(event()).await.unwrap();
    let lease = claim_one(&frozen).await.lease;
    let transaction = frozen.transaction_under(&lease).await.unwrap();
    frozen.insert(event()).await.unwrap();
    let mut commit = Box::pin(transaction.commit());
    let locked =
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while number(&pool, locked).await == 0 {
        let once = std::future::poll_fn(|context| Poll::Ready(commit.as_mut().poll(context)));
        assert!(once.await.is_pending());
    }
    let started = Instant::now();
    let ordered = || Claim { limit: 1, lease: MINUTE, order: SessionOrder::default() };
    other.claim(ordered()).await.unwrap_err();
    let claimed = loop {
        match other.claim(ordered()).await {
            Ok(claimed) => break claimed,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(8), "{error}"),
        }
    };
    assert_eq!(claimed.len(), 1);
    assert!(matches!(commit.await, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn a_handler_that_hangs_loses_its_transaction_at_last() {
    const IDLE: &str = "SHOW idle_in_transaction_session_timeout";
    let url = database().await;
    for (address, expected) in
        [(url.clone(), "10min"), (format!("{url}?options=-cidle_in_transaction_session_timeout%3D1s"), "1s")]
    {
        let store = PostgresStore::connect(&address).await.unwrap();
        store.insert(event()).await.unwrap();
        let lease = claim_for(&store, 1, Duration::from_secs(1)).await.remove(0).lease;
        let mut transaction = store.transaction_under(&lease).await.unwrap();
        let idle: String = sqlx::query_scalar(IDLE).fetch_one(&mut *transaction).await.unwrap();
        assert_eq!(idle, expected);
        if expected == "10min" {
            transaction.commit().await.unwrap();
            continue;
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
        claim_one(&store).await;
        assert!(transaction.commit().await.is_err());
    }
}

/// The handler says that all is well, but what it wrote is gone: it is run again.
#[tokio::test]
async fn a_worker_retries_what_was_not_committed() {
    let (store, pool) = counter().await;
    let handlers = EventRouter::new().on({
        let store = store.clone();
        move |event: Event<SessionCompleted>| {
            let store = store.clone();
            async move {
                let mut transaction = store.transaction(&event).await?;
                sqlx::query(COUNT).execute(&mut *transaction).await?;
                if event.run().unwrap().number > 1 {
                    transaction.commit().await?;
                }
                Ok(())
            }
        }
    });
    let new = event();
    store.insert(new.clone()).await.unwrap();
    let worker = Worker::builder(store.clone(), handlers).start().unwrap();
    soon("it is to be retried", || async {
        let stored = store.get(&new.id).await.unwrap().unwrap();
        stored.error.is_some_and(|error| error.contains("without committing"))
    })
    .await;
    assert_eq!((number(&pool, COUNTED).await, store.completed().await.unwrap()), (0, 0));
    store.replay(&new.id).await.unwrap();
    soon("it is completed", || async { store.completed().await.unwrap() == 1 }).await;
    worker.stop().await;
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
