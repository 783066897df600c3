use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use idnow_webhooks_core::store::{
    Beginning, Claim, ClaimedEvent, EventStore, Insertion, ParkLimits, ParkOutcome, SessionOrder, StoreError,
};
use idnow_webhooks_postgres::PostgresStore;
use idnow_webhooks_private_postgres::PrivatePostgres;
use sqlx::postgres::PgPoolOptions;
use tokio::time::Instant;

use crate::support::{MINUTE, claim, claim_one, database, event, number, pool, run, soon, token};

fn unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>, why: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains(why), "{error}");
}

/// The whole server is killed again and again under load: what was answered is there afterwards, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_that_was_answered_is_lost_when_the_server_is_killed() {
    let server = PrivatePostgres::start().await.unwrap();
    let url = server.create_database().await.unwrap();
    let store = PostgresStore::connect(&url).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let callers = (0..32).map(|caller| {
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let (mut stored, mut completed, mut errors) = (Vec::new(), Vec::new(), 0);
            while !stop.load(Ordering::SeqCst) {
                let event = event();
                match store.insert(event.clone()).await {
                    Ok(insertion) => {
                        assert_eq!(insertion, Insertion::New);
                        stored.push(event.id);
                    }
                    Err(StoreError::Unavailable(_)) => errors += 1,
                    Err(error) => panic!("{error:?}"),
                }
                if caller % 8 == 0 {
                    let claim = Claim { limit: 8, lease: MINUTE, order: SessionOrder::default() };
                    for event in store.claim(claim).await.unwrap_or_default() {
                        if store.complete(&event.lease).await.is_ok() {
                            completed.push(event.lease.event_id);
                        }
                    }
                }
            }
            (stored, completed, errors)
        })
    });
    let callers: Vec<_> = callers.collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        server.kill().await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.restart().await.unwrap();
        soon("it recovers by itself", || async { store.insert(event()).await.is_ok() }).await;
    }
    stop.store(true, Ordering::SeqCst);
    let (mut stored, mut completed, mut errors) = (Vec::new(), Vec::new(), 0);
    for caller in callers {
        let (some, done, failed) = caller.await.unwrap();
        stored.extend(some);
        completed.extend(done);
        errors += failed;
    }
    assert!(
        errors > 0 && stored.len() > 100 && completed.len() > 10,
        "{errors} {} {}",
        stored.len(),
        completed.len()
    );
    let pool = pool(&url).await;
    let here =
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM idnow_webhooks_events WHERE key::text = ANY($1)");
    let ids: Vec<_> = stored.iter().map(ToString::to_string).collect();
    assert_eq!(usize::try_from(here.bind(&ids).fetch_one(&pool).await.unwrap()), Ok(ids.len()));
    let here = "SELECT count(*) FROM idnow_webhooks_events JOIN idnow_webhooks_states USING (position)
        WHERE state = 2 AND key::text = ANY($1)";
    let ids: Vec<_> = completed.iter().map(ToString::to_string).collect();
    let here = sqlx::query_scalar::<_, i64>(here).bind(&ids).fetch_one(&pool).await.unwrap();
    assert_eq!(usize::try_from(here), Ok(ids.len()));
}

/// However many tokens are parked at once, and however long that takes, events are stored all the same.
#[tokio::test]
async fn parking_cannot_hold_up_the_store() {
    let url = database().await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let pool = pool(&url).await;
    let mut lock = pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE idnow_webhooks_parked").execute(&mut *lock).await.unwrap();
    let parks: Vec<_> = (0..50)
        .map(|number| {
            let (store, token) = (store.clone(), token(&number.to_string()));
            tokio::spawn(async move { store.park(token, ParkLimits::default()).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    for _ in 0..10 {
        let started = Instant::now();
        assert_eq!(store.insert(event()).await.unwrap(), Insertion::New);
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
    assert_eq!(claim(&store, 10).await.len(), 10);
    lock.rollback().await.unwrap();
    for park in parks {
        // On a slow machine the first may have waited for too long.
        drop(park.await.unwrap());
    }
    let outcome = store.park(token("last"), ParkLimits::default()).await.unwrap();
    assert_eq!(outcome, ParkOutcome::New { dropped: 0 });
}

#[tokio::test]
async fn while_the_server_is_down_every_call_says_so_in_time() {
    let server = PrivatePostgres::start().await.unwrap();
    let store = PostgresStore::connect(&server.create_database().await.unwrap()).await.unwrap();
    store.insert(event()).await.unwrap();
    let lease = claim_one(&store).await.lease;
    server.stop().await.unwrap();
    let started = Instant::now();
    let any = Claim { limit: 1, lease: MINUTE, order: SessionOrder::Any };
    let (insert, begin, claimed, complete, get, backlog) = tokio::join!(
        store.insert(event()),
        store.begin(event(), MINUTE),
        store.claim(any),
        store.complete(&lease),
        store.get("x"),
        store.backlog(),
    );
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    for error in [insert.err(), begin.err(), claimed.err(), complete.err(), get.err(), backlog.err()] {
        let error = error.unwrap();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(!error.to_string().contains("postgres://"), "{error}");
    }
    server.restart().await.unwrap();
    soon("it recovers by itself", || async { store.insert(event()).await.is_ok() }).await;
    store.complete(&lease).await.unwrap();
}

/// Handlers may take all connections they have: deliveries are stored and leases extended all the same.
#[tokio::test]
async fn handlers_cannot_hold_up_the_store() {
    let url = database().await;
    let options = PgPoolOptions::new().max_connections(2).acquire_timeout(Duration::from_millis(300));
    let pool = options.connect(&url).await.unwrap();
    let store = PostgresStore::builder().with_pool(pool.clone()).await.unwrap();
    for _ in 0..3 {
        store.insert(event()).await.unwrap();
    }
    let claimed = claim(&store, 10).await;
    let mut open = Vec::new();
    for event in &claimed[..2] {
        open.push(store.transaction_under(&event.lease).await.unwrap());
    }
    unavailable(store.transaction_under(&claimed[2].lease).await, "all connections of the pool are in use");
    for event in &claimed {
        store.extend(&event.lease, MINUTE).await.unwrap();
    }
    assert_eq!(store.insert(event()).await.unwrap(), Insertion::New);
    assert!(matches!(store.begin(event(), MINUTE).await.unwrap(), Beginning::Run(_)));
    assert_eq!(claim(&store, 10).await.len(), 1);
    store.check().await.unwrap();
    assert_eq!(store.completed().await.unwrap(), 0);
    for transaction in open {
        transaction.commit().await.unwrap();
    }
    store.transaction_under(&claimed[2].lease).await.unwrap().commit().await.unwrap();
    assert_eq!(store.completed().await.unwrap(), 3);
}

#[tokio::test]
async fn connections_that_are_ended_are_replaced() {
    let url = database().await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let pool = pool(&url).await;
    for _ in 0..5 {
        store.insert(event()).await.unwrap();
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        assert!(number(&pool, end).await > 0);
        soon("it goes on", || async { store.insert(event()).await.is_ok() }).await;
    }
}

#[tokio::test]
async fn a_connection_that_ends_within_a_transaction_takes_it_back() {
    let url = database().await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let pool = pool(&url).await;
    store.insert(event()).await.unwrap();
    let claimed = claim_one(&store).await;
    let mut transaction = store.transaction_under(&claimed.lease).await.unwrap();
    let process: i32 =
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *transaction).await.unwrap();
    run(&pool, &format!("SELECT pg_terminate_backend({process})")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let lost = transaction.commit().await.unwrap_err();
    assert!(matches!(lost, StoreError::Unavailable(_)), "{lost:?}");
    // Even if the handler makes nothing of that error.
    let lost = store.complete(&claimed.lease).await.unwrap_err();
    assert!(matches!(lost, StoreError::NotCommitted(_)), "{lost:?}");
    store.retry(&claimed.lease, Duration::ZERO, "lost").await.unwrap();
    store.complete(&claim_one(&store).await.lease).await.unwrap();
}

#[tokio::test]
async fn a_read_only_server_is_an_error_until_it_can_write_again() {
    let url = database().await;
    let store = PostgresStore::connect(&url).await.unwrap();
    store.insert(event()).await.unwrap();
    let pool = pool(&url).await;
    let set = |on: &str| {
        format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {on}',
                current_database()); END $$;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    };
    run(&pool, &set("on")).await;
    soon("it notices", || async {
        let result = store.insert(event()).await;
        matches!(result, Err(error) if error.to_string().contains("read-only"))
    })
    .await;
    let claim = Claim { limit: 1, lease: MINUTE, order: SessionOrder::default() };
    unavailable(store.claim(claim).await, "read-only");
    unavailable(store.check().await, "read-only");
    // It can still be looked at.
    assert_eq!(store.backlog().await.unwrap().waiting, 1);
    run(&pool, &format!("SET default_transaction_read_only = off; {}", set("off"))).await;
    soon("it recovers", || async { store.insert(event()).await.is_ok() }).await;
    store.check().await.unwrap();
}

/// Somebody holds what every call needs: calls end with an error before the answer to a delivery is due.
#[tokio::test]
async fn a_lock_that_is_held_too_long_is_an_error() {
    let url = database().await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let pool = pool(&url).await;
    store.insert(event()).await.unwrap();
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE idnow_webhooks_states, idnow_webhooks_events").execute(&mut *lock).await.unwrap();
    let started = Instant::now();
    let ordered = Claim { limit: 1, lease: MINUTE, order: SessionOrder::default() };
    let (insert, claimed) = tokio::join!(store.insert(event()), store.claim(ordered));
    unavailable(insert, "holds a lock");
    unavailable(claimed, "holds a lock");
    unavailable(store.check().await, "holds a lock");
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(number(&pool, waiting).await, 0);
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    lock.rollback().await.unwrap();
    assert_eq!(claim(&store, 10).await.len(), 1);
}

/// One wait for the lock for a whole batch: if each event of it waited in turn, all leases would run out.
#[tokio::test]
async fn many_that_wait_for_a_lock_wait_together() {
    let url = database().await;
    let (store, pool) = (PostgresStore::connect(&url).await.unwrap(), pool(&url).await);
    for _ in 0..8 {
        store.insert(event()).await.unwrap();
    }
    let claimed = claim(&store, 10).await;
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE idnow_webhooks_states, idnow_webhooks_events").execute(&mut *lock).await.unwrap();
    let started = Instant::now();
    let complete = |event: ClaimedEvent| {
        let store = store.clone();
        tokio::spawn(async move { store.complete(&event.lease).await })
    };
    let completes: Vec<_> = claimed.iter().cloned().map(complete).collect();
    for complete in completes {
        unavailable(complete.await.unwrap(), "holds a lock");
    }
    // Those that came first, and all others.
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    lock.rollback().await.unwrap();
    for event in &claimed {
        store.complete(&event.lease).await.unwrap();
    }
}

/// Readiness leaves nothing behind, and replicas do not wait for each other.
#[tokio::test]
async fn a_check_writes_nothing_and_waits_for_no_other() {
    let url = database().await;
    let (store, pool) = (PostgresStore::connect(&url).await.unwrap(), pool(&url).await);
    let mut other = pool.begin().await.unwrap();
    sqlx::query("UPDATE idnow_webhooks_schema SET version = version").execute(&mut *other).await.unwrap();
    tokio::time::timeout(Duration::from_secs(1), store.check()).await.unwrap().unwrap();
    other.rollback().await.unwrap();
    let row = "SELECT xmin::text::int8 FROM idnow_webhooks_schema";
    let before = number(&pool, row).await;
    store.check().await.unwrap();
    assert_eq!(number(&pool, row).await, before);
    run(&pool, "ALTER TABLE idnow_webhooks_events RENAME TO elsewhere").await;
    unavailable(store.check().await, "a table is missing");
}

/// The tables have gone: an error that says so, and no harm once they are back.
#[tokio::test]
async fn missing_tables_are_named() {
    let url = database().await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let pool = pool(&url).await;
    run(&pool, "ALTER TABLE idnow_webhooks_events RENAME TO elsewhere").await;
    unavailable(store.insert(event()).await, "a table is missing: restore it, or");
    run(&pool, "ALTER TABLE elsewhere RENAME TO idnow_webhooks_events").await;
    assert_eq!(store.insert(event()).await.unwrap(), Insertion::New);
}

#[tokio::test]
async fn when_the_last_handle_is_dropped_its_tasks_end() {
    let url = database().await;
    let pool = pool(&url).await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let other = store.clone();
    drop(store);
    other.insert(event()).await.unwrap();
    drop(other);
    let connections = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'idnow-webhooks'";
    soon("all connections are closed", || async { number(&pool, connections).await == 0 }).await;
}
