use std::time::Duration;

use idnow_webhooks_core::store::{EventFilter, EventStore, Insertion, StoreError};
use idnow_webhooks_postgres::PostgresStore;
use idnow_webhooks_testkit::SampleEvent;
use sqlx::PgPool;

use crate::support::{claim, claim_one, counted, database, event, event_with_id, new, number, pool, run};

/// Commits in this database, as the server counts them.
async fn commits(pool: &PgPool) -> i64 {
    counted(pool, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()").await
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_calls_share_commits() {
    const EVENTS: u16 = 2000;
    let url = database().await;
    let pool = pool(&url).await;
    let before = commits(&pool).await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let inserts = (0..EVENTS).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.insert(event()).await.unwrap() })
    });
    let inserts: Vec<_> = inserts.collect();
    for insert in inserts {
        assert_eq!(insert.await.unwrap(), Insertion::New);
    }
    drop(store);
    let insertions = commits(&pool).await - before;
    assert!(insertions < i64::from(EVENTS) / 4, "{insertions} commits");

    let store = PostgresStore::connect(&url).await.unwrap();
    let claimed = claim(&store, EVENTS.into()).await;
    assert_eq!(claimed.len(), usize::from(EVENTS));
    drop(store);
    let before = commits(&pool).await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let settles = claimed.into_iter().map(|event| {
        let store = store.clone();
        tokio::spawn(async move { store.complete(&event.lease).await.unwrap() })
    });
    let settles: Vec<_> = settles.collect();
    for settle in settles {
        settle.await.unwrap();
    }
    assert_eq!(store.completed().await.unwrap(), u64::from(EVENTS));
    drop(store);
    let settled = commits(&pool).await - before;
    assert!(settled < i64::from(EVENTS) / 4, "{settled} commits");
}

/// Each commit must be on the disk, even where the database or the pool says otherwise.
#[tokio::test]
async fn commits_are_durable_whatever_the_database_is_set_to() {
    let url = database().await;
    let pool = pool(&url).await;
    run(
        &pool,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database());
            EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', current_database());
         END $$",
    )
    .await;
    let store = PostgresStore::connect(&url).await.unwrap();
    run(
        &pool,
        "CREATE TABLE seen (n serial, operation text, synchronous text, isolation text, idle text);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO seen (operation, synchronous, isolation, idle)
                VALUES (TG_OP, current_setting('synchronous_commit'), current_setting('transaction_isolation'),
                    current_setting('idle_in_transaction_session_timeout'));
            RETURN NULL;
         END $$;
         CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON idnow_webhooks_states EXECUTE FUNCTION note()",
    )
    .await;
    store.insert(event()).await.unwrap();
    let claimed = claim_one(&store).await;
    store.extend(&claimed.lease, Duration::from_secs(9)).await.unwrap();
    store.retry(&claimed.lease, Duration::ZERO, "later").await.unwrap();
    let claimed = claim_one(&store).await;
    store.transaction_under(&claimed.lease).await.unwrap().commit().await.unwrap();
    store.begin(event(), Duration::from_secs(9)).await.unwrap();
    assert!(number(&pool, "SELECT count(*) FROM seen").await >= 7);
    assert_eq!(number(&pool, "SELECT count(*) FROM seen WHERE synchronous <> 'on'").await, 0);
    // The insertion is one statement: no isolation makes a difference to it, and it is never idle. In all others a
    // machine that vanishes must not hold up the others.
    let other = "SELECT count(*) FROM seen WHERE NOT (isolation = 'read committed' AND idle = '5s')";
    let later = "AND n <> (SELECT min(n) FROM seen WHERE operation = 'INSERT')";
    assert_eq!(number(&pool, &format!("{other} {later}")).await, 0);
    assert_eq!(number(&pool, other).await, 1);
}

/// The stricter isolation refuses one of two insertions of the same event: that is no error, but a duplicate.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_events_at_once_are_no_error_in_a_serializable_database() {
    let url = database().await;
    run(
        &pool(&url).await,
        "DO $$ BEGIN
            EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', current_database());
         END $$",
    )
    .await;
    let stores = [PostgresStore::connect(&url).await.unwrap(), PostgresStore::connect(&url).await.unwrap()];
    for round in 0..20 {
        let mut calls = Vec::new();
        for number in 0..200 {
            for store in &stores {
                let (store, event) = (store.clone(), event_with_id(&format!("{round}-{number}")));
                calls.push(tokio::spawn(async move { store.insert(event).await.unwrap() }));
            }
        }
        let mut new = 0;
        for call in calls {
            new += usize::from(call.await.unwrap() == Insertion::New);
        }
        assert_eq!(new, 200);
    }
}

/// Two batches that hold the same rows in different order would wait for each other.
#[tokio::test(flavor = "multi_thread")]
async fn batches_of_the_same_events_do_not_lock_each_other_out() {
    let url = database().await;
    let stores = [PostgresStore::connect(&url).await.unwrap(), PostgresStore::connect(&url).await.unwrap()];
    for round in 0..20 {
        let ids: Vec<_> = (0..200).map(|number| format!("{round}-{number}")).collect();
        let reversed: Vec<_> = ids.iter().rev().cloned().collect();
        let mut calls = Vec::new();
        for (one, other) in ids.iter().zip(&reversed) {
            for (store, id) in [(&stores[0], one), (&stores[1], other)] {
                let (store, event) = (store.clone(), event_with_id(id));
                calls.push(tokio::spawn(async move { store.insert(event).await.unwrap() }));
            }
        }
        let mut new = 0;
        for call in calls {
            new += usize::from(call.await.unwrap() == Insertion::New);
        }
        assert_eq!(new, 200);
    }
    let pool = pool(&url).await;
    drop(stores);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(counted(&pool, deadlocks).await, 0);
}

#[tokio::test]
async fn a_row_that_is_refused_does_not_keep_the_others_out() {
    let url = database().await;
    let store = PostgresStore::builder().insert_lanes(1).connect(&url).await.unwrap();
    let pool = pool(&url).await;
    // One lock at a time: the store's purge, which runs beside this, takes these tables in an order of its own.
    run(&pool, "ALTER TABLE idnow_webhooks_events ADD CHECK (event_id <> 'bad')").await;
    run(&pool, "ALTER TABLE idnow_webhooks_states ADD CHECK (error <> 'bad')").await;
    let insert = |id: &'static str| {
        let store = store.clone();
        tokio::spawn(async move { store.insert(event_with_id(id)).await })
    };
    let calls: Vec<_> = ["a", "bad", "c", "a", "d"].into_iter().map(insert).collect();
    let mut results = Vec::new();
    for call in calls {
        results.push(call.await.unwrap());
    }
    assert!(matches!(results[1], Err(StoreError::Unavailable(_))), "{results:?}");
    for (at, expected) in
        [(0, Insertion::New), (2, Insertion::New), (3, Insertion::Duplicate), (4, Insertion::New)]
    {
        assert_eq!(*results[at].as_ref().unwrap(), expected, "{at}");
    }

    let claimed = claim(&store, 10).await;
    let (one, other) = (&claimed[0].lease, &claimed[1].lease);
    let (bad, good) = tokio::join!(store.bury(one, "bad"), store.bury(other, "good"));
    assert!(matches!(bad, Err(StoreError::Unavailable(_))), "{bad:?}");
    good.unwrap();
}

/// One statement changes a row once, so a heartbeat and the end of the same run must not meet in one.
#[tokio::test]
async fn what_is_asked_of_one_event_is_done_in_turn() {
    let store = crate::support::store().await;
    store.insert(event()).await.unwrap();
    let lease = claim_one(&store).await.lease;
    let (extended, completed, again, late) = tokio::join!(
        store.extend(&lease, Duration::from_secs(5)),
        store.complete(&lease),
        store.complete(&lease),
        store.extend(&lease, Duration::from_secs(5)),
    );
    extended.unwrap();
    completed.unwrap();
    again.unwrap();
    late.unwrap();
    assert_eq!(store.completed().await.unwrap(), 1);
}

#[tokio::test]
async fn texts_come_back_as_they_were() {
    let store = crate::support::store().await;
    let odd = "nul \u{0} quote \" backslash \\ line \n emoji \u{1F680} bidi \u{202e}";
    let sample = SampleEvent::completed().with_event_id("öä'\"\\$1").set("/payload/extra", odd);
    let event = new(&sample);
    store.insert(event.clone()).await.unwrap();
    let claimed = claim_one(&store).await;
    assert_eq!(claimed.data, event.data());
    assert_eq!(claimed.lease.event_id, event.id);
    // PostgreSQL has no NUL in a text, and a run whose error holds one must end all the same.
    store.bury(&claimed.lease, "a\0b").await.unwrap();
    assert_eq!(store.get(&event.id).await.unwrap().unwrap().error.as_deref(), Some("a\u{fffd}b"));
}

/// What the planner knows of the tables is from a time when nothing was open.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_looks_at_its_own_event_only() {
    const EVENTS: u16 = 2000;
    let url = database().await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let pool = pool(&url).await;
    run(&pool, "ALTER TABLE idnow_webhooks_states SET (autovacuum_enabled = false)").await;
    run(&pool, &crate::retention::old(2, true, 1, 20_000, "old")).await;
    run(&pool, "VACUUM (ANALYZE) idnow_webhooks_events, idnow_webhooks_states").await;
    let inserts = (0..EVENTS).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.insert(event()).await.unwrap() })
    });
    for insert in inserts.collect::<Vec<_>>() {
        insert.await.unwrap();
    }
    let claimed = claim(&store, EVENTS.into()).await;
    let read = "SELECT sum(idx_tup_read)::int8 FROM pg_stat_user_indexes WHERE relname LIKE 'idnow%'";
    drop(store);
    let before = counted(&pool, read).await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let completes = claimed.into_iter().map(|event| {
        let store = store.clone();
        tokio::spawn(async move {
            if event.lease.token % 10 == 0 {
                store.transaction_under(&event.lease).await.unwrap().commit().await.unwrap();
            } else {
                store.complete(&event.lease).await.unwrap();
            }
        })
    });
    for complete in completes.collect::<Vec<_>>() {
        complete.await.unwrap();
    }
    drop(store);
    let each = (counted(&pool, read).await - before) / i64::from(EVENTS);
    assert!(each <= 16, "{each} entries of indexes for each event");
}

/// The key that stands for a text in the index may itself be the id of another event.
#[tokio::test]
async fn ids_that_look_alike_are_apart() {
    let url = database().await;
    let (store, pool) = (PostgresStore::connect(&url).await.unwrap(), pool(&url).await);
    let usual = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let ids =
        ["a", "ca978112-ca1b-8dca-bac2-31b39a23dc4d", usual, &usual.to_uppercase(), &usual.replace('-', "")];
    for id in ids {
        let event = SampleEvent::completed().with_event_id(id).with_session_id(id);
        assert_eq!(store.insert(new(&event)).await.unwrap(), Insertion::New, "{id}");
        assert_eq!(store.insert(new(&event)).await.unwrap(), Insertion::Duplicate, "{id}");
    }
    for id in ids {
        let stored = store.get(id).await.unwrap().unwrap();
        assert_eq!((stored.id.as_str(), stored.session_id.as_deref()), (id, Some(id)));
        let session = EventFilter { session_id: Some(id.to_owned()), limit: 9, ..EventFilter::default() };
        let listed: Vec<_> = store.list(&session).await.unwrap().into_iter().map(|event| event.id).collect();
        assert_eq!(listed, [id]);
    }
    let keys = "SELECT count(*) FROM idnow_webhooks_events WHERE event_id IS NULL AND session_id IS NULL";
    assert_eq!(number(&pool, keys).await, 1, "only the usual form is kept as a key alone");
    let claimed: Vec<_> =
        claim(&store, 9).await.into_iter().map(|event| event.lease.event_id.to_string()).collect();
    assert_eq!(claimed, ids);
}

/// A caller that goes away leaves the others of its batch alone.
#[tokio::test]
async fn a_caller_may_go_away() {
    let store = crate::support::store().await;
    for _ in 0..50 {
        let gone = store.insert(event());
        let _ = tokio::time::timeout(Duration::from_micros(300), gone).await;
        assert_eq!(store.insert(event()).await.unwrap(), Insertion::New);
    }
}

/// A restore that brought back the one table and not the other: the provider must not take it for handled.
#[tokio::test]
async fn an_event_whose_state_is_lost_is_an_error_until_it_is_mended() {
    let url = database().await;
    let (store, pool) =
        (PostgresStore::builder().insert_lanes(1).connect(&url).await.unwrap(), pool(&url).await);
    let (lost, whole) = (event(), event());
    store.insert(whole.clone()).await.unwrap();
    store.insert(lost.clone()).await.unwrap();
    let position = "SELECT max(position) FROM idnow_webhooks_events";
    run(&pool, &format!("DELETE FROM idnow_webhooks_states WHERE position = ({position})")).await;
    let new = event();
    let (again, other, fresh) =
        tokio::join!(store.insert(lost.clone()), store.insert(whole), store.insert(new));
    let error = again.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(
        error.to_string().contains("no row in idnow_webhooks_states: restore that row, or delete"),
        "{error}"
    );
    assert!(error.to_string().contains(&*lost.id), "{error}");
    assert_eq!((other.unwrap(), fresh.unwrap()), (Insertion::Duplicate, Insertion::New));
    let error = store.begin(lost.clone(), Duration::from_secs(9)).await.unwrap_err();
    assert!(error.to_string().contains("no row in idnow_webhooks_states"), "{error}");
    run(&pool, &format!("DELETE FROM idnow_webhooks_events WHERE key = '{}'", lost.id)).await;
    assert_eq!(store.insert(lost).await.unwrap(), Insertion::New);
}
