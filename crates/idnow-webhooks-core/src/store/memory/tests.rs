//! What is peculiar to this store: it forgets. What all stores have in common is tested in `tests/stores`.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::store::{Evidence, SessionOrder};

const LEASE: Duration = Duration::from_secs(30);

/// Seconds since the epoch.
#[derive(Debug, Default)]
struct Seconds(AtomicI64);

impl Seconds {
    fn advance(&self, by: i64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for Seconds {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(self.0.load(Ordering::Relaxed))
    }
}

fn event(id: &str) -> NewEvent {
    let text = format!(
        r#"{{"eventId":"{id}","eventName":"session.created","eventSequence":1,"environment":"e","payload":{{"sessionId":"{id}"}}}}"#
    );
    NewEvent::from_json(&text)
}

fn with_capacity(events: usize) -> (MemoryStore, Arc<Seconds>) {
    let clock = Arc::new(Seconds::default());
    (MemoryStore::with_capacity(events).with_clock(clock.clone()), clock)
}

async fn begin(store: &MemoryStore, id: &str) -> Beginning {
    store.begin(event(id), LEASE).await.unwrap()
}

async fn begin_lease(store: &MemoryStore, id: &str) -> Lease {
    match begin(store, id).await {
        Beginning::Run(lease) => lease,
        other => panic!("{other:?}"),
    }
}

async fn claim(store: &MemoryStore, limit: usize) -> Vec<ClaimedEvent> {
    store.claim(Claim { limit, lease: LEASE, order: SessionOrder::default() }).await.unwrap()
}

#[tokio::test]
async fn inline_memory_is_bounded_whatever_becomes_of_the_events() {
    let (store, clock) = with_capacity(10);
    for number in 0..1000 {
        let lease = begin_lease(&store, &format!("event {number}")).await;
        match number % 3 {
            0 => store.complete(&lease).await.unwrap(),
            1 => store.retry(&lease, Duration::ZERO, "failed").await.unwrap(),
            _ => store.bury(&lease, "bad").await.unwrap(),
        }
        clock.advance(1);
    }
    assert_eq!(store.len(), 10);
    assert_eq!(begin(&store, "event 999").await, Beginning::Completed);
    assert_eq!(begin(&store, "event 998").await, Beginning::Buried);
    begin_lease(&store, "event 0").await;
}

#[tokio::test]
async fn queued_memory_is_bounded_and_so_are_the_sessions() {
    let (store, clock) = with_capacity(10);
    for number in 0..1000 {
        assert_eq!(store.insert(event(&format!("event {number}"))).await.unwrap(), Insertion::New);
        let lease = claim(&store, 9).await.remove(0).lease;
        match number % 2 {
            0 => store.complete(&lease).await.unwrap(),
            _ => store.bury(&lease, "bad").await.unwrap(),
        }
        clock.advance(1);
    }
    assert_eq!(store.state().sizes(), [10, 10, 0, 10]);
}

#[tokio::test]
async fn purged_and_replayed_events_leave_nothing_behind() {
    let (store, _) = with_capacity(1000);
    for number in 0..100 {
        store.insert(event(&format!("event {number}"))).await.unwrap();
        for _ in 0..3 {
            store.bury(&claim(&store, 9).await[0].lease, "bad").await.unwrap();
            store.replay_dead(9).await.unwrap();
        }
        store.complete(&claim(&store, 9).await[0].lease).await.unwrap();
        assert_eq!(store.state().sizes(), [1, 1, 0, 1]);
        let purge = Purge { state: EventState::Completed, older_than: Duration::ZERO, limit: 9 };
        assert_eq!(store.purge(purge).await.unwrap(), 1);
        assert_eq!(store.state().sizes(), [0; 4]);
    }
}

#[tokio::test]
async fn what_ended_first_is_forgotten_first() {
    let (store, _) = with_capacity(3);
    for id in ["a", "b", "c"] {
        store.insert(event(id)).await.unwrap();
    }
    let claimed = claim(&store, 3).await;
    for index in [1, 0, 2] {
        store.complete(&claimed[index].lease).await.unwrap();
    }
    for (new, left) in [("d", ["d", "c", "a"]), ("e", ["e", "d", "c"])] {
        assert_eq!(store.insert(event(new)).await.unwrap(), Insertion::New);
        let events = store.list(&EventFilter { limit: 9, ..EventFilter::default() }).await.unwrap();
        assert_eq!(events.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), left);
    }
}

#[tokio::test]
async fn what_is_not_finished_is_never_forgotten() {
    let (store, clock) = with_capacity(2);
    let running = begin_lease(&store, "running").await;
    assert_eq!(store.insert(event("queued")).await.unwrap(), Insertion::New);
    clock.advance(100_000);
    assert!(matches!(store.insert(event("c")).await, Err(StoreError::Full(2))));
    assert!(matches!(store.begin(event("c"), LEASE).await, Err(StoreError::Full(2))));
    assert_eq!(store.insert(event("queued")).await.unwrap(), Insertion::Duplicate);
    store.complete(&running).await.unwrap();
    assert_eq!(store.insert(event("c")).await.unwrap(), Insertion::New);
    assert!(matches!(store.insert(event("d")).await, Err(StoreError::Full(2))));
}

/// Its first end is not to count once it is to run again.
#[tokio::test]
async fn what_was_replayed_is_not_forgotten() {
    let (store, _) = with_capacity(2);
    for id in ["a", "b"] {
        store.insert(event(id)).await.unwrap();
    }
    for claimed in claim(&store, 2).await {
        store.bury(&claimed.lease, "bad").await.unwrap();
    }
    assert_eq!(store.replay("a").await.unwrap(), Replay::Queued);
    assert_eq!(store.insert(event("c")).await.unwrap(), Insertion::New);
    assert!(store.get("a").await.unwrap().is_some());
    assert!(store.get("b").await.unwrap().is_none());
    assert!(matches!(store.insert(event("d")).await, Err(StoreError::Full(2))));
    assert_eq!(claim(&store, 9).await.len(), 2);
}

/// What is finished in inline mode is kept as little more than its id.
#[tokio::test]
async fn events_that_ended_let_go_of_what_they_brought() {
    let (store, _) = with_capacity(10);
    let evidence = Arc::new(Evidence::new("token", None));
    let brought = |id| {
        let mut event = event(id);
        event.evidence = Some(Arc::clone(&evidence));
        event
    };
    for (id, kept) in [("completed", 0), ("retried", 0), ("buried", 1)] {
        let Beginning::Run(lease) = store.begin(brought(id), LEASE).await.unwrap() else { panic!("{id}") };
        assert_eq!(Arc::strong_count(&evidence), 2, "{id}");
        match id {
            "completed" => store.complete(&lease).await.unwrap(),
            "retried" => store.retry(&lease, Duration::ZERO, "failed").await.unwrap(),
            _ => store.bury(&lease, "bad").await.unwrap(),
        }
        assert_eq!(Arc::strong_count(&evidence), 1 + kept, "{id}");
    }
    assert_eq!(store.len(), 2);
    store.insert(event("queued")).await.unwrap();
    store.complete(&claim(&store, 1).await[0].lease).await.unwrap();
    assert_eq!(store.get("queued").await.unwrap().unwrap().data, None);
}

#[tokio::test]
async fn a_capacity_of_nothing_holds_one() {
    let (store, _) = with_capacity(0);
    assert!(store.is_empty());
    assert_eq!(store.insert(event("a")).await.unwrap(), Insertion::New);
    assert!(matches!(store.insert(event("b")).await, Err(StoreError::Full(1))));
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn parked_tokens_are_bounded_by_the_capacity_and_leave_nothing_behind() {
    let (store, clock) = with_capacity(3);
    let token = |id: usize| ParkedToken {
        audience: format!("audience-{}", id % 5),
        ..ParkedToken::new(id.to_string(), Evidence::new("a.b.c", None), DateTime::UNIX_EPOCH)
    };
    for id in 0..20 {
        let dropped = u64::from(id >= 3);
        let parked = store.park(token(id), ParkLimits::default()).await.unwrap();
        assert_eq!(parked, ParkOutcome::New { dropped });
        assert_eq!(store.state().parked.sizes(), [3.min(id + 1); 5]);
        clock.advance(1);
    }
    assert!(store.is_empty(), "they are no events");
    let limits = ParkLimits { keep: Duration::from_secs(1), ..ParkLimits::default() };
    assert_eq!(store.park(token(20), limits).await.unwrap(), ParkOutcome::New { dropped: 3 });
    assert!(store.unpark("20").await.unwrap());
    assert_eq!(store.state().parked.sizes(), [0; 5]);
}

/// The event may be that of a parked token.
#[tokio::test]
async fn no_parked_token_outlasts_a_completed_event_that_makes_room() {
    let (store, clock) = with_capacity(2);
    let token = |id: &str| ParkedToken::new(id, Evidence::new("a.b.c", None), DateTime::UNIX_EPOCH);
    store.insert(event("completed")).await.unwrap();
    store.park(token("before"), ParkLimits::default()).await.unwrap();
    clock.advance(1);
    store.complete(&claim(&store, 1).await[0].lease).await.unwrap();
    clock.advance(1);
    store.park(token("after"), ParkLimits::default()).await.unwrap();
    store.insert(event("second")).await.unwrap();
    assert_eq!(store.parked(0, 9).await.unwrap().len(), 2);
    store.insert(event("third")).await.unwrap();
    assert!(store.get("completed").await.unwrap().is_none());
    let parked = store.parked(0, 9).await.unwrap();
    assert_eq!(parked.into_iter().map(|token| token.id).collect::<Vec<_>>(), ["after"]);
}
