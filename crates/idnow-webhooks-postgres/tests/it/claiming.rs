use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use idnow_webhooks_core::store::{Beginning, Claim, EventStore, Insertion, NewEvent, Order, SessionOrder};
use idnow_webhooks_postgres::PostgresStore;
use idnow_webhooks_testkit::FixedClock;

use crate::support::{
    MINUTE, claim, claim_for, claim_one, database, event, event_of, number, pool, quiet, soon,
};

/// Claims events and completes them, until so many are done, and checks that no other of their session is at work.
async fn work(store: PostgresStore, running: Arc<Mutex<HashMap<String, u64>>>, done: Done, until: u64) {
    while done.lock().unwrap().len() < usize::try_from(until).unwrap() {
        for event in claim(&store, 3).await {
            let stored = store.get(&event.lease.event_id).await.unwrap().unwrap();
            let session = stored.session_id.unwrap();
            let before = running.lock().unwrap().insert(session.clone(), stored.sequence);
            assert_eq!(before, None, "two of {session} at once, one of them {}", stored.sequence);
            tokio::time::sleep(Duration::from_millis(3)).await;
            running.lock().unwrap().remove(&session);
            done.lock().unwrap().push((session, stored.sequence, event.order));
            store.complete(&event.lease).await.unwrap();
        }
    }
}

type Done = Arc<Mutex<Vec<(String, u64, Order)>>>;

/// Two replicas with three workers each. Gives what they did, in the order in which they did it.
async fn replicas(inserts: Vec<NewEvent>, before: bool) -> Vec<(String, u64, Order)> {
    let url = database().await;
    let stores = [PostgresStore::connect(&url).await.unwrap(), PostgresStore::connect(&url).await.unwrap()];
    let (running, done) = (Arc::default(), Done::default());
    let until = inserts.len() as u64;
    let insert = {
        let store = stores[0].clone();
        async move {
            for event in inserts {
                store.insert(event).await.unwrap();
            }
        }
    };
    let insert = tokio::spawn(insert);
    if before {
        insert.await.unwrap();
    }
    let start = |worker: usize| {
        tokio::spawn(work(stores[worker % 2].clone(), Arc::clone(&running), Arc::clone(&done), until))
    };
    for worker in (0..6).map(start).collect::<Vec<_>>() {
        tokio::time::timeout(MINUTE, worker).await.unwrap().unwrap();
    }
    std::mem::take(&mut *done.lock().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_take_each_session_in_turn() {
    let events =
        (1..=12).flat_map(|sequence| (0..10).map(move |session| event_of(&format!("s{session}"), sequence)));
    let mut last = HashMap::new();
    for (session, sequence, order) in replicas(events.collect(), true).await {
        assert_eq!(order, Order::InSequence);
        let before = last.insert(session.clone(), sequence).unwrap_or(0);
        assert_eq!(sequence, before + 1, "{session}");
    }
}

/// Each that arrives has a lower number than those before it, and so would be the next if a claim that is under way
/// were not to be waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_never_get_two_events_of_one_session() {
    let events = (1..=150)
        .rev()
        .flat_map(|sequence| (0..4).map(move |session| event_of(&format!("s{session}"), sequence)));
    assert_eq!(replicas(events.collect(), false).await.len(), 600);
}

/// What was held back is due as soon as the one before it has ended, however that ended.
#[tokio::test]
async fn the_next_of_a_session_is_due_at_once() {
    let store = crate::support::store().await;
    for sequence in 1..=5 {
        store.insert(event_of("s", sequence)).await.unwrap();
    }
    let first = claim_one(&store).await.lease;
    assert!(claim(&store, 10).await.is_empty());
    store.complete(&first).await.unwrap();
    let second = claim_one(&store).await.lease;
    assert!(claim(&store, 10).await.is_empty());
    store.bury(&second, "no").await.unwrap();
    let third = claim_one(&store).await;
    assert!(claim(&store, 10).await.is_empty());
    store.transaction_under(&third.lease).await.unwrap().commit().await.unwrap();
    let fourth = claim_one(&store).await.lease;
    store.retry(&fourth, Duration::from_millis(300), "later").await.unwrap();
    assert!(claim(&store, 10).await.is_empty());
    soon("the retried one is due", || async {
        let claimed = claim(&store, 10).await;
        assert!(claimed.iter().all(|event| event.lease.event_id == fourth.event_id));
        !claimed.is_empty()
    })
    .await;
}

/// A claim that puts an event off, and the end of the one that held it back, must not miss each other.
#[tokio::test]
async fn an_event_is_not_put_off_when_the_one_before_it_ends_just_then() {
    let url = database().await;
    let store = PostgresStore::connect(&url).await.unwrap();
    store.insert(event_of("s", 1)).await.unwrap();
    store.insert(event_of("s", 2)).await.unwrap();
    let first = claim_one(&store).await.lease;
    // As a claim of another replica does it, which has seen the first one run.
    let mut claim = pool(&url).await.begin().await.unwrap();
    let lock = sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('public', $1))");
    lock.bind(0x6964_6e6f_775f_7765_i64).execute(&mut *claim).await.unwrap();
    let put_off = "UPDATE idnow_webhooks_states SET wake = wake + interval '1 hour' WHERE sequence = 2";
    sqlx::query(put_off).execute(&mut *claim).await.unwrap();
    let commit = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        claim.commit().await.unwrap();
    };
    let (completed, ()) = tokio::join!(store.complete(&first), commit);
    completed.unwrap();
    assert_eq!(claim_one(&store).await.order, Order::InSequence);
}

/// Many events that are held back must not hide one that is not.
#[tokio::test]
async fn a_claim_looks_past_events_that_are_held_back() {
    let store = crate::support::store().await;
    store.insert(event_of("long", 1)).await.unwrap();
    let _held = claim_one(&store).await;
    let inserts = (2..400).map(|sequence| {
        let store = store.clone();
        tokio::spawn(async move { store.insert(event_of("long", sequence)).await.unwrap() })
    });
    for insert in inserts.collect::<Vec<_>>() {
        insert.await.unwrap();
    }
    let free = event();
    store.insert(free.clone()).await.unwrap();
    quiet(&store).await;
    // A claim looks at a bounded number of events, and rings when some are left.
    let mut claims = 0;
    let found = loop {
        claims += 1;
        if let Some(found) = claim(&store, 1).await.pop() {
            break found;
        }
        tokio::time::timeout(Duration::from_secs(1), store.changed()).await.unwrap();
    };
    assert_eq!(found.lease.event_id, free.id);
    assert!((2..=3).contains(&claims), "{claims} claims");
}

/// Two replicas whose machines disagree about the time by years share one server, and its clock.
#[tokio::test]
async fn the_time_is_the_servers() {
    let url = database().await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let pool = pool(&url).await;
    store.insert(event()).await.unwrap();
    let claimed = claim_for(&store, 1, Duration::from_secs(100)).await.remove(0);
    let rest = "SELECT round(extract(epoch FROM due - clock_timestamp()))::int8 FROM idnow_webhooks_states";
    assert!((95..=100).contains(&number(&pool, rest).await));
    store.extend(&claimed.lease, Duration::from_secs(200)).await.unwrap();
    assert!((195..=200).contains(&number(&pool, rest).await));
    store.retry(&claimed.lease, Duration::from_mins(5), "later").await.unwrap();
    assert!((295..=300).contains(&number(&pool, rest).await));

    // Every time the table holds comes from the server: no parameter does, unless a clock is given.
    let future = FixedClock::at(DateTime::UNIX_EPOCH + TimeDelta::days(100 * 365));
    let other = PostgresStore::builder().clock(future).connect(&url).await.unwrap();
    assert!(claim(&store, 1).await.is_empty());
    assert_eq!(claim(&other, 1).await.len(), 1);
    assert!(number(&pool, rest).await > 999 * 24 * 3600);
}

#[tokio::test]
async fn a_lease_that_ran_out_is_taken_over_with_a_new_token() {
    let store = crate::support::store().await;
    store.insert(event()).await.unwrap();
    let old = claim_for(&store, 1, Duration::from_secs(1)).await.remove(0);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let new = claim_one(&store).await;
    assert!(new.lease.token > old.lease.token);
    assert_eq!(new.run, 2);
    store.complete(&old.lease).await.unwrap_err();
    store.complete(&new.lease).await.unwrap();
}

/// An event that was begun inline, and then comes to a queue, would otherwise be lost when its handler fails.
#[tokio::test]
async fn a_duplicate_puts_what_was_begun_inline_into_the_queue() {
    let store = crate::support::store().await;
    let event = event();
    let Beginning::Run(lease) = store.begin(event.clone(), MINUTE).await.unwrap() else { panic!() };
    assert_eq!(store.insert(event.clone()).await.unwrap(), Insertion::Duplicate);
    assert!(claim(&store, 1).await.is_empty());
    store.retry(&lease, Duration::ZERO, "no").await.unwrap();
    assert_eq!(claim_one(&store).await.lease.event_id, event.id);
}

#[tokio::test]
async fn without_order_a_claim_takes_what_is_due() {
    let store = crate::support::store().await;
    for sequence in 1..=5 {
        store.insert(event_of("s", sequence)).await.unwrap();
    }
    let any = Claim { limit: 3, lease: MINUTE, order: SessionOrder::Any };
    let claimed = store.claim(any).await.unwrap();
    assert!(claimed.iter().all(|event| event.order == Order::Unchecked));
    assert_eq!((claimed.len(), store.claim(any).await.unwrap().len()), (3, 2));
}

/// A row that somebody holds locked must not hold up the others.
#[tokio::test]
async fn locked_rows_are_passed_over() {
    let url = database().await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let pool = pool(&url).await;
    store.insert(event()).await.unwrap();
    store.insert(event()).await.unwrap();
    let mut lock = pool.begin().await.unwrap();
    let query = "SELECT FROM idnow_webhooks_states WHERE position = 1 FOR UPDATE";
    sqlx::query(query).execute(&mut *lock).await.unwrap();
    assert_eq!(claim(&store, 10).await.len(), 1);
    lock.rollback().await.unwrap();
    assert_eq!(claim(&store, 10).await.len(), 1);
}
