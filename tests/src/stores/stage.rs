use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use idnow_webhooks_core::Clock;
use idnow_webhooks_core::store::{
    Beginning, Claim, ClaimedEvent, EventFilter, EventState, EventStore, Insertion, Lease, MemoryStore,
    NewEvent, Purge, Replay, SessionOrder, StoreError, StoredEvent,
};
use idnow_webhooks_testkit::FixedClock;

use super::event::{event, in_session};
use super::subject::Place;

/// How long leases last unless a case says otherwise.
pub const LEASE: Duration = Duration::from_secs(30);

/// An empty store, and the time it goes by. The methods expect the call to work.
#[derive(Debug)]
pub struct Stage {
    /// The store.
    pub store: Arc<dyn EventStore>,
    /// Its clock. It stands still until the case moves it.
    pub clock: FixedClock,
    start: DateTime<Utc>,
    place: Arc<dyn Place>,
}

impl Stage {
    pub(super) async fn new(place: Arc<dyn Place>) -> Self {
        let start = "2026-01-08T08:35:39Z".parse().unwrap();
        let clock = FixedClock::at(start);
        let store = place.open(&clock).await;
        Self { store, clock, start, place }
    }

    /// Opens the same store once more, as another process would.
    pub async fn another(&self) -> Arc<dyn EventStore> {
        self.place.open(&self.clock).await
    }

    /// Closes the store and opens it again, as after a restart.
    pub async fn reopen(&mut self) {
        // The old one is gone before the new one comes.
        self.store = Arc::new(MemoryStore::new());
        self.store = self.place.open(&self.clock).await;
    }

    /// The time so many seconds after the case began.
    pub fn time(&self, seconds: i64) -> DateTime<Utc> {
        self.start + TimeDelta::seconds(seconds)
    }

    /// Moves the clock to so many seconds after the case began.
    pub fn at(&self, seconds: i64) {
        self.clock.set(self.time(seconds));
    }

    /// Moves the clock forwards.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// The time now.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Inserts an event with a session of its own.
    pub async fn insert(&self, id: &str) -> Insertion {
        self.insert_event(event(id)).await
    }

    /// Inserts an event.
    pub async fn insert_event(&self, event: NewEvent) -> Insertion {
        self.store.insert(event).await.unwrap()
    }

    /// Inserts new events of one session, each named by the session and its number: `s1`, `s2`.
    pub async fn insert_session(&self, session: &str, sequence: impl IntoIterator<Item = u64>) {
        for number in sequence {
            let event = in_session(&format!("{session}{number}"), session, number);
            assert_eq!(self.insert_event(event).await, Insertion::New);
        }
    }

    /// Begins an event with a session of its own.
    pub async fn begin(&self, id: &str) -> Beginning {
        self.store.begin(event(id), LEASE).await.unwrap()
    }

    /// Begins an event that is to be had.
    pub async fn begin_lease(&self, id: &str) -> Lease {
        match self.begin(id).await {
            Beginning::Run(lease) => lease,
            other => panic!("{id}: {other:?}"),
        }
    }

    /// Claims up to so many, in the default order.
    pub async fn claim(&self, limit: usize) -> Vec<ClaimedEvent> {
        self.claim_by(limit, SessionOrder::default()).await
    }

    /// Claims up to so many.
    pub async fn claim_by(&self, limit: usize, order: SessionOrder) -> Vec<ClaimedEvent> {
        self.store.claim(Claim { limit, lease: LEASE, order }).await.unwrap()
    }

    /// Claims everything that is to be had, which must be this one event.
    pub async fn claim_only(&self, id: &str) -> ClaimedEvent {
        let mut claimed = self.claim(100).await;
        assert_eq!(ids(&claimed), [id]);
        claimed.remove(0)
    }

    /// Asserts that nothing is to be had.
    pub async fn claim_nothing(&self) {
        assert_eq!(ids(&self.claim(100).await), [""; 0]);
    }

    /// The event is handled.
    pub async fn complete(&self, lease: &Lease) {
        self.store.complete(lease).await.unwrap();
    }

    /// The event failed, and is due again after so many seconds.
    pub async fn retry(&self, lease: &Lease, seconds: u64) {
        self.store.retry(lease, Duration::from_secs(seconds), "failed").await.unwrap();
    }

    /// The event becomes a dead letter.
    pub async fn bury(&self, lease: &Lease) {
        self.store.bury(lease, "bad").await.unwrap();
    }

    /// Inserts an event and makes it a dead letter.
    pub async fn dead(&self, id: &str) {
        assert_eq!(self.insert(id).await, Insertion::New);
        self.bury(&self.claim_only(id).await.lease).await;
    }

    /// Inserts an event and completes it.
    pub async fn completed(&self, id: &str) {
        assert_eq!(self.insert(id).await, Insertion::New);
        self.complete(&self.claim_only(id).await.lease).await;
    }

    /// An event that is there.
    pub async fn get(&self, id: &str) -> StoredEvent {
        self.store.get(id).await.unwrap().unwrap_or_else(|| panic!("{id:?} is there"))
    }

    /// Where an event stands. `None` if it is not there.
    pub async fn state(&self, id: &str) -> Option<EventState> {
        self.store.get(id).await.unwrap().map(|event| event.state)
    }

    /// The ids of the events that fit.
    pub async fn list(&self, filter: &EventFilter) -> Vec<String> {
        let events = self.store.list(filter).await.unwrap();
        events.into_iter().map(|event| event.id).collect()
    }

    /// All ids, the latest first.
    pub async fn all(&self) -> Vec<String> {
        self.list(&EventFilter { limit: usize::MAX, ..EventFilter::default() }).await
    }

    /// Replays an event.
    pub async fn replay(&self, id: &str) -> Replay {
        self.store.replay(id).await.unwrap()
    }

    /// Forgets events that were finished at least so many seconds ago.
    pub async fn purge(&self, state: EventState, seconds: u64, limit: usize) -> usize {
        let older_than = Duration::from_secs(seconds);
        self.store.purge(Purge { state, older_than, limit }).await.unwrap()
    }

    /// Asserts that no call succeeds under this lease, and that none changes anything.
    pub async fn assert_lost(&self, lease: &Lease) {
        self.assert_lost_but_for_completion(lease).await;
        assert_is_lost(self.store.extend(lease, LEASE).await, lease);
        assert_is_lost(self.store.complete(lease).await, lease);
    }

    /// As [`assert_lost`](Self::assert_lost), for a lease under which the event was completed: `complete` and `extend`
    /// succeed, and change nothing.
    pub async fn assert_lost_but_for_completion(&self, lease: &Lease) {
        let before = format!("{:?}", self.store.get(&lease.event_id).await.unwrap());
        assert_is_lost(self.store.retry(lease, LEASE, "not to be kept").await, lease);
        assert_is_lost(self.store.release(lease).await, lease);
        assert_is_lost(self.store.bury(lease, "not to be kept").await, lease);
        let after = format!("{:?}", self.store.get(&lease.event_id).await.unwrap());
        assert_eq!(before, after);
    }
}

/// The ids of these events, in their order.
pub fn ids(claimed: &[ClaimedEvent]) -> Vec<&str> {
    claimed.iter().map(|event| &*event.lease.event_id).collect()
}

#[track_caller]
fn assert_is_lost(result: Result<(), StoreError>, lease: &Lease) {
    match result {
        Err(StoreError::LeaseLost(id)) => assert_eq!(id, lease.event_id),
        other => panic!("{lease:?}: {other:?}"),
    }
}
