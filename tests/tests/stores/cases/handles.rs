//! The same store, opened by several.

use super::prelude::*;

pub(crate) async fn what_one_writes_the_other_reads(on: Stage) {
    let other = on.another().await;
    assert_eq!(on.insert("a").await, Insertion::New);
    assert_eq!(other.insert(event("a")).await.unwrap(), Insertion::Duplicate);
    let claim = Claim { limit: 9, lease: LEASE, order: SessionOrder::default() };
    let claimed = other.claim(claim).await.unwrap();
    assert_eq!(ids(&claimed), ["a"]);
    on.claim_nothing().await;
    on.complete(&claimed[0].lease).await;
    other.complete(&claimed[0].lease).await.unwrap();
    assert_eq!(other.get("a").await.unwrap().unwrap().state, EventState::Completed);
}

/// A process ends, and the next one finds everything as it was.
pub(crate) async fn everything_is_there_after_a_restart(mut on: Stage) {
    on.completed("completed").await;
    on.dead("dead").await;
    on.complete(&on.begin_lease("completed inline").await).await;
    let begun = on.begin_lease("begun").await;
    on.insert("running").await;
    let running = on.claim_only("running").await.lease;
    on.insert("retried").await;
    on.retry(&on.claim_only("retried").await.lease, 60).await;
    on.insert_session("s", [2, 1]).await;
    on.complete(&on.claim_only("s1").await.lease).await;
    let whole = EventFilter { limit: 100, ..EventFilter::default() };
    let before = format!("{:#?}", on.store.list(&whole).await.unwrap());

    on.reopen().await;
    assert_eq!(format!("{:#?}", on.store.list(&whole).await.unwrap()), before);
    assert_eq!(on.insert("completed").await, Insertion::Duplicate);
    assert_eq!(on.begin("completed inline").await, Beginning::Completed);
    assert_eq!(on.begin("begun").await, Beginning::Running);
    assert_eq!(on.claim_only("s2").await.order, Order::InSequence);
    on.complete(&running).await;
    on.complete(&begun).await;
    on.at(60);
    assert_eq!(
        ids(&on.claim(9).await).into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from(["retried", "s2"])
    );
}

/// A store that is shared like any other value is the same store.
pub(crate) async fn through_a_pointer(on: Stage) {
    let store: Arc<Arc<dyn EventStore>> = Arc::new(Arc::clone(&on.store));
    on.insert("a").await;
    let claim = Claim { limit: 9, lease: LEASE, order: SessionOrder::default() };
    let lease = EventStore::claim(&store, claim).await.unwrap().remove(0).lease;
    assert_eq!(on.claim(9).await.len(), 0);
    EventStore::retry(&store, &lease, seconds(60), "failed").await.unwrap();
    assert_eq!(EventStore::replay(&store, "a").await.unwrap(), Replay::Queued);
    let lease = on.claim_only("a").await.lease;
    EventStore::bury(&store, &lease, "bad").await.unwrap();
    assert_eq!(EventStore::replay_dead(&store, 9).await.unwrap(), 1);
    EventStore::release(&store, &on.claim_only("a").await.lease).await.unwrap();
    let lease = on.claim_only("a").await.lease;
    EventStore::extend(&store, &lease, seconds(90)).await.unwrap();
    assert_eq!(on.get("a").await.due_at, Some(on.time(90)));
    EventStore::complete(&store, &lease).await.unwrap();
    assert_eq!(EventStore::completed(&store).await.unwrap(), 1);
    assert_eq!(EventStore::backlog(&store).await.unwrap(), Backlog::default());
    assert!(matches!(EventStore::begin(&store, event("b"), LEASE).await.unwrap(), Beginning::Run(_)));
    assert_eq!(
        EventStore::list(&store, &EventFilter { limit: 9, ..EventFilter::default() }).await.unwrap().len(),
        2
    );
    let purge = Purge { state: EventState::Completed, older_than: Duration::ZERO, limit: 9 };
    assert_eq!(EventStore::purge(&store, purge).await.unwrap(), 1);
    assert!(EventStore::get(&store, "a").await.unwrap().is_none());
    assert_eq!(EventStore::insert(&store, event("a")).await.unwrap(), Insertion::New);
    tokio::time::timeout(seconds(20), EventStore::changed(&store)).await.unwrap();
    let token = ParkedToken::new("1", Evidence::new("aaa.bbb.ccc", None), on.now());
    let parked = EventStore::park(&store, token, ParkLimits::default()).await.unwrap();
    assert_eq!(parked, ParkOutcome::New { dropped: 0 });
    assert_eq!(EventStore::parked(&store, 0, 9).await.unwrap().len(), 1);
    assert!(EventStore::unpark(&store, "1").await.unwrap());
}
