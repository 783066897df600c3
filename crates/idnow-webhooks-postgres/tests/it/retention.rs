use std::cell::Cell;
use std::time::Duration;

use idnow_webhooks_core::store::{
    EventState, EventStore, Insertion, ParkLimits, ParkOutcome, Purge, Retention,
};
use idnow_webhooks_postgres::PostgresStore;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use crate::support::{database, event, number, pool, run, soon, token};

pub(crate) fn old(state: u8, queued: bool, age: u32, count: u32, name: &str) -> String {
    format!(
        "WITH new AS (
            INSERT INTO idnow_webhooks_events (key, event_id, data)
            SELECT gen_random_uuid(), '{name}' || n, '{{}}' FROM generate_series(1, {count}) n RETURNING position)
        INSERT INTO idnow_webhooks_states
            (position, sequence, state, queued, runs, token, received_at, due, finished_at)
        SELECT position, 1, {state}, {queued}, 1, 1, at, CASE WHEN {state} < 2 THEN at END,
            CASE WHEN {state} > 1 THEN at END
        FROM new, (SELECT now() - {age} * interval '1 day' AS at) t"
    )
}

/// Without a word from anybody, and fast enough for many; what is younger, dead or waits stays.
#[tokio::test]
async fn the_store_forgets_old_events_by_itself() {
    let url = database().await;
    drop(PostgresStore::connect(&url).await.unwrap());
    let pool = pool(&url).await;
    run(&pool, &old(2, true, 31, 1700, "completed")).await;
    run(&pool, &old(1, false, 31, 10, "inline")).await;
    run(&pool, &old(2, true, 29, 3, "young")).await;
    run(&pool, &old(3, true, 99, 5, "dead")).await;
    run(&pool, &old(0, true, 99, 7, "waiting")).await;
    let _store = PostgresStore::connect(&url).await.unwrap();
    let count = "SELECT count(*) FROM idnow_webhooks_events";
    soon("the old ones are forgotten", || async { number(&pool, count).await == 15 }).await;
    let kept = format!("{count} WHERE event_id ~ '^(young|dead|waiting)'");
    assert_eq!(number(&pool, &kept).await, 15);
    let both = format!("{count} JOIN idnow_webhooks_states USING (position)");
    assert_eq!(number(&pool, &both).await, number(&pool, "SELECT count(*) FROM idnow_webhooks_states").await);
}

#[tokio::test]
async fn what_it_forgets_is_counted() {
    let url = database().await;
    drop(PostgresStore::connect(&url).await.unwrap());
    run(&pool(&url).await, &old(2, true, 31, 3, "completed")).await;
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let _store = PostgresStore::connect(&url).await.unwrap();
    let counted = Cell::new(0);
    soon("something is forgotten", || async {
        // A snapshot takes the counts with it.
        for (key, _, _, value) in snapshotter.snapshot().into_vec() {
            if let ("idnow_webhooks_purged_total", DebugValue::Counter(count)) = (key.key().name(), value) {
                counted.set(counted.get() + count);
            }
        }
        counted.get() > 0
    })
    .await;
    assert_eq!(counted.get(), 3);
}

#[tokio::test]
async fn for_ever_forgets_nothing() {
    let url = database().await;
    drop(PostgresStore::connect(&url).await.unwrap());
    let pool = pool(&url).await;
    run(&pool, &old(2, true, 9999, 10, "completed")).await;
    let store = PostgresStore::builder().retention(Retention::FOREVER).connect(&url).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(store.completed().await.unwrap(), 10);
    let purge = |limit| Purge { state: EventState::Completed, older_than: Duration::MAX, limit };
    assert_eq!(store.purge(purge(100)).await.unwrap(), 0);
    let purge = |limit| Purge { state: EventState::Completed, older_than: Duration::ZERO, limit };
    assert_eq!(store.purge(purge(4)).await.unwrap(), 4);
    assert_eq!(store.purge(purge(100)).await.unwrap(), 6);
}

/// By the server's clock, in steps, and counted; insertions are not kept from going on.
#[tokio::test]
async fn the_store_drops_parked_tokens_after_7_days_by_itself() {
    let url = database().await;
    let store = PostgresStore::builder().retention(Retention::FOREVER).connect(&url).await.unwrap();
    let pool = pool(&url).await;
    run(&pool, &parked(1100, "7 days")).await;
    run(&pool, &parked(3, "6 days 23 hours")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(store.backlog().await.unwrap().parked, 1103, "for ever is for ever");
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let _store = PostgresStore::connect(&url).await.unwrap();
    let counted = Cell::new(0);
    soon("the old ones are dropped", || async {
        for (key, _, _, value) in snapshotter.snapshot().into_vec() {
            if let ("idnow_webhooks_parked_total", DebugValue::Counter(count)) = (key.key().name(), value) {
                counted.set(counted.get() + count);
            }
        }
        counted.get() >= 1100
    })
    .await;
    assert_eq!((counted.get(), store.backlog().await.unwrap().parked), (1100, 3));
}

/// An earlier attempt of an event must not be admitted once the store has forgotten that the event was completed.
#[tokio::test]
async fn no_parked_token_outlasts_a_short_retention() {
    let url = database().await;
    drop(PostgresStore::connect(&url).await.unwrap());
    let pool = pool(&url).await;
    run(&pool, &old(2, true, 1, 700, "completed")).await;
    run(&pool, &parked(1100, "24 hours")).await;
    run(&pool, &parked(3, "23 hours")).await;
    let day = || Retention::new(Duration::from_hours(24)).unwrap();
    let store = PostgresStore::builder().retention(day()).connect(&url).await.unwrap();
    let in_order = "SELECT CASE WHEN (SELECT count(*) FROM idnow_webhooks_parked) > 3
        THEN (SELECT count(*) FROM idnow_webhooks_events) ELSE 700 END";
    let all =
        "SELECT (SELECT count(*) FROM idnow_webhooks_events) + (SELECT count(*) FROM idnow_webhooks_parked)";
    soon("both are forgotten", || async {
        assert_eq!(number(&pool, in_order).await, 700, "the tokens go first");
        number(&pool, all).await == 3
    })
    .await;
    // The same when something is parked, before the next round.
    run(&pool, &parked(2, "24 hours")).await;
    assert_eq!(store.park(token("a"), ParkLimits::default()).await.unwrap(), ParkOutcome::New { dropped: 2 });
}

/// It panics, and the store goes on with its next step.
#[tokio::test]
async fn broken_metrics_do_not_end_the_forgetting() {
    let url = database().await;
    drop(PostgresStore::connect(&url).await.unwrap());
    let pool = pool(&url).await;
    run(&pool, &old(2, true, 31, 1100, "completed")).await;
    run(&pool, &parked(1100, "7 days")).await;
    let _guard = metrics::set_default_local_recorder(&Broken);
    let _store = PostgresStore::connect(&url).await.unwrap();
    let left =
        "SELECT (SELECT count(*) FROM idnow_webhooks_events) + (SELECT count(*) FROM idnow_webhooks_parked)";
    soon("all steps are done", || async { number(&pool, left).await == 0 }).await;
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

/// The age goes by the server's clock, from when the token was parked, and a call is short, however many are too old.
#[tokio::test]
async fn parking_drops_what_is_too_old() {
    let url = database().await;
    let store = PostgresStore::builder().retention(Retention::FOREVER).connect(&url).await.unwrap();
    run(&pool(&url).await, &parked(700, "1 hour")).await;
    let limits = |minutes| ParkLimits { keep: Duration::from_mins(minutes), ..ParkLimits::default() };
    let mut dropped = Vec::new();
    for (id, minutes) in [("a", 61), ("b", 59), ("c", 59), ("d", 59)] {
        // Received in 1970, if one asks the receiver.
        dropped.push(store.park(token(id), limits(minutes)).await.unwrap());
    }
    assert_eq!(dropped, [0, 500, 200, 0].map(|dropped| ParkOutcome::New { dropped }));
    assert_eq!(store.backlog().await.unwrap().parked, 4);
}

/// So many tokens that were parked some time ago.
fn parked(tokens: u32, age: &str) -> String {
    format!(
        "INSERT INTO idnow_webhooks_parked
            (key, origin, issuer, audience, code, reason, is_expected_flow, received_at, stored_at, evidence_token)
        SELECT gen_random_uuid(), '0f8fad5b-d9cb-469f-a165-70867728950e', 'i', 'a', 'c', 'r', false, now(),
            now() - interval '{age}', 'aaa.bbb.ccc'
        FROM generate_series(1, {tokens})"
    )
}

/// Insertions go on beside it, and several replicas may forget at once without getting into each other's way.
#[tokio::test(flavor = "multi_thread")]
async fn forgetting_goes_on_beside_insertions() {
    let url = database().await;
    let stores = [PostgresStore::connect(&url).await.unwrap(), PostgresStore::connect(&url).await.unwrap()];
    let pool = pool(&url).await;
    run(&pool, &old(2, true, 10, 3000, "completed")).await;
    let purges = stores.clone().map(|store| {
        tokio::spawn(async move {
            let week = Duration::from_hours(7 * 24);
            let purge = Purge { state: EventState::Completed, older_than: week, limit: 100 };
            let mut deleted = 0;
            while let step @ 1.. = store.purge(purge).await.unwrap() {
                deleted += step;
            }
            deleted
        })
    });
    for _ in 0..100 {
        assert_eq!(stores[0].insert(event()).await.unwrap(), Insertion::New);
    }
    let mut deleted = 0;
    for purge in purges {
        deleted += purge.await.unwrap();
    }
    assert_eq!(deleted, 3000);
    assert_eq!(stores[1].backlog().await.unwrap().waiting, 100);
}
