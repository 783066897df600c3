use std::time::Duration;

use idnow_webhooks_core::store::EventStore;
use idnow_webhooks_postgres::PostgresStore;

use crate::support::{claim_one, database, event, number, pool, quiet, rings, run, soon};

async fn heard_on(pool: &sqlx::PgPool, sql: &'static str) -> String {
    sqlx::query_scalar::<_, Option<String>>(sql).fetch_one(pool).await.unwrap().unwrap_or_default()
}

#[tokio::test]
async fn other_processes_hear_of_new_events() {
    let url = database().await;
    let (one, other) =
        (PostgresStore::connect(&url).await.unwrap(), PostgresStore::connect(&url).await.unwrap());
    quiet(&one).await;
    quiet(&other).await;
    one.insert(event()).await.unwrap();
    assert!(rings(&other, Duration::from_secs(5)).await);
    quiet(&one).await;
    let lease = claim_one(&other).await.lease;
    other.release(&lease).await.unwrap();
    assert!(rings(&one, Duration::from_secs(5)).await);
}

#[tokio::test]
async fn other_schemas_hear_nothing() {
    let url = database().await;
    run(&pool(&url).await, "CREATE SCHEMA other").await;
    let one = PostgresStore::connect(&url).await.unwrap();
    let other = PostgresStore::connect(&format!("{url}?options=-csearch_path%3Dother")).await.unwrap();
    quiet(&other).await;
    one.insert(event()).await.unwrap();
    assert!(!rings(&other, Duration::from_millis(500)).await);
}

#[tokio::test]
async fn they_hear_again_after_the_connection_was_lost() {
    let url = database().await;
    let (one, other) =
        (PostgresStore::connect(&url).await.unwrap(), PostgresStore::connect(&url).await.unwrap());
    let pool = pool(&url).await;
    let listening =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    soon("both listen", || async { number(&pool, listening).await == 2 }).await;
    quiet(&other).await;
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(number(&pool, kill).await, 2);
    soon("both listen again", || async { number(&pool, listening).await == 2 }).await;
    quiet(&other).await;
    one.insert(event()).await.unwrap();
    assert!(rings(&other, Duration::from_secs(5)).await);
}

#[tokio::test]
async fn an_addition_ends_every_wait_or_else_the_next() {
    let store = crate::support::store().await;
    quiet(&store).await;
    let wait = || {
        let store = store.clone();
        tokio::spawn(async move { rings(&store, Duration::from_secs(5)).await })
    };
    let workers = [wait(), wait(), wait()];
    tokio::time::sleep(Duration::from_millis(100)).await;
    store.insert(event()).await.unwrap();
    for worker in workers {
        assert!(worker.await.unwrap());
    }
    store.insert(event()).await.unwrap();
    assert!(rings(&store, Duration::from_secs(5)).await);
}

/// A process must not send a notification for each event: each takes a lock of the whole server.
#[tokio::test]
async fn notifications_are_few() {
    let url = database().await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let mut listener = sqlx::postgres::PgListener::connect(&url).await.unwrap();
    let pool = pool(&url).await;
    let listening =
        "SELECT max(query) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    soon("it listens", || async { !heard_on(&pool, listening).await.is_empty() }).await;
    let channel = heard_on(&pool, listening).await;
    let channel = channel.split('"').nth(1).unwrap().to_owned();
    listener.listen(&channel).await.unwrap();
    let started = tokio::time::Instant::now();
    for _ in 0..200 {
        store.insert(event()).await.unwrap();
    }
    let most = started.elapsed().as_millis() / 50 + 2;
    let mut heard = 0;
    while tokio::time::timeout(Duration::from_millis(300), listener.recv()).await.is_ok() {
        heard += 1;
    }
    assert!((1..=most).contains(&heard), "{heard} notifications, at most {most}");
}
