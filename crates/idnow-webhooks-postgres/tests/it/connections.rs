//! When new connections cannot be made, those there are do all the work.

use std::sync::atomic::Ordering;
use std::time::Duration;

use idnow_webhooks_core::store::{Beginning, EventStore};
use idnow_webhooks_postgres::PostgresStore;
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::proxy::Proxy;
use crate::support::{MINUTE, database, event, number, pool, run};

/// Calls by so many at once, each as often: how many of them fail, and with what.
async fn failures(store: &PostgresStore, callers: usize, calls: usize) -> Vec<String> {
    let mut all = JoinSet::new();
    for _ in 0..callers {
        let store = store.clone();
        all.spawn(async move {
            let mut failures = Vec::new();
            for _ in 0..calls {
                match store.begin(event(), MINUTE).await {
                    Ok(beginning) => assert!(matches!(beginning, Beginning::Run(_))),
                    Err(error) => failures.push(error.to_string()),
                }
            }
            failures
        });
    }
    all.join_all().await.concat()
}

async fn connections_of(pool: &PgPool, url: &str) -> i64 {
    let name = url.rsplit_once('/').unwrap().1;
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'idnow-webhooks' AND datname";
    number(pool, &format!("{sql} = '{name}'")).await
}

/// The server does not let anybody in any more, as with a password that was changed.
#[tokio::test(flavor = "multi_thread")]
async fn callers_wait_for_the_connections_there_are() {
    let url = database().await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let elsewhere = pool(&database().await).await;
    let allow = |on: &str| {
        let name = url.rsplit_once('/').unwrap().1;
        format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS {on}")
    };
    store.insert(event()).await.unwrap();
    run(&elsewhere, &allow("false")).await;
    let few = connections_of(&elsewhere, &url).await;
    let failed = failures(&store, 200, 15).await;
    assert!(failed.is_empty(), "{} of 3000, such as {}", failed.len(), failed[0]);
    run(&elsewhere, &allow("true")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let failed = failures(&store, 200, 15).await;
    assert!(failed.is_empty(), "{} of 3000 when all is well, such as {}", failed.len(), failed[0]);
    assert!(connections_of(&elsewhere, &url).await > few, "new ones are made");
}

/// What was known is old: those who come at once all wait for what is the case now.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_refused_for_what_is_long_over() {
    let url = database().await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let elsewhere = pool(&database().await).await;
    let name = url.rsplit_once('/').unwrap().1;
    for _ in 0..3 {
        run(&elsewhere, &format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS false")).await;
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname";
        number(&elsewhere, &format!("{end} = '{name}'")).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert!(!failures(&store, 20, 2).await.is_empty());
        run(&elsewhere, &format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS true")).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let failed = failures(&store, 200, 3).await;
        assert!(failed.is_empty(), "{} of 600, such as {}", failed.len(), failed[0]);
    }
}

/// A connection that takes long to answer is better than none.
#[tokio::test]
async fn connections_that_are_slow_are_kept() {
    let mut proxy = Proxy::start().await;
    let store = PostgresStore::connect(&proxy.url).await.unwrap();
    failures(&store, 8, 4).await;
    proxy.close().await;
    let direct = pool(&proxy.server).await;
    let mut lock = direct.begin().await.unwrap();
    sqlx::query("LOCK TABLE idnow_webhooks_events").execute(&mut *lock).await.unwrap();
    let blocked = tokio::spawn({
        let store = store.clone();
        async move { failures(&store, 8, 1).await }
    });
    tokio::time::sleep(Duration::from_millis(700)).await;
    lock.rollback().await.unwrap();
    blocked.await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = connections_of(&direct, &proxy.server).await;
    proxy.delay.store(300, Ordering::SeqCst);
    let failed = failures(&store, 1, 8).await.len();
    assert!(failed <= 3, "{failed} of 8");
    proxy.delay.store(0, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(connections_of(&direct, &proxy.server).await, before);
    assert_eq!(failures(&store, 1, 20).await, Vec::<String>::new());
}

/// Whoever still has a connection can use it when no new ones can be made.
#[tokio::test]
async fn connections_that_live_are_used_as_long_as_they_do() {
    let mut proxy = Proxy::start().await;
    let store = PostgresStore::connect(&proxy.url).await.unwrap();
    store.insert(event()).await.unwrap();
    proxy.close().await;
    let direct = pool(&proxy.server).await;
    let mut lock = direct.begin().await.unwrap();
    sqlx::query("LOCK TABLE idnow_webhooks_events").execute(&mut *lock).await.unwrap();
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.begin(event(), MINUTE).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    lock.rollback().await.unwrap();
    let (mut begun, mut refused) = (0, 0);
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => begun += 1,
            Err(error) => refused += usize::from(error.to_string().contains("cannot be made, or was lost")),
        }
    }
    assert!(begun > 0 && begun + refused == 8, "{begun} {refused}");
    let mut begun = 0;
    for _ in 0..20 {
        // A connection is back among the free ones only a moment after its last use.
        tokio::time::sleep(Duration::from_millis(20)).await;
        begun += usize::from(store.begin(event(), MINUTE).await.is_ok());
    }
    assert!(begun >= 15, "{begun}");
}
