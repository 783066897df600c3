//! Key sources and stores that do as they are told.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use idnow_webhooks_core::Clock;
use idnow_webhooks_core::keys::{KeySet, KeySource, KeysUnavailable};
use idnow_webhooks_core::store::{
    Backlog, Beginning, Claim, ClaimedEvent, EventFilter, EventStore, Insertion, Lease, MemoryStore,
    NewEvent, ParkLimits, ParkOutcome, ParkedToken, Purge, Replay, StoreError, StoredEvent,
};
use idnow_webhooks_testkit::SigningKey;
use serde_json::json;

pub(crate) fn set(keys: &[&SigningKey]) -> Arc<KeySet> {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    Arc::new(KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes()).unwrap())
}

/// What the next refresh does.
#[derive(Debug)]
pub(crate) enum Refresh {
    Brings(Arc<KeySet>),
    Fails(Duration),
    /// Fails, while somebody else's fetch has put these in place.
    FailsWhile(Arc<KeySet>),
    Hangs,
}

/// Keys at hand, and a script of refreshes: one more than was written panics.
#[derive(Debug, Clone)]
pub(crate) struct ScriptedKeys(Arc<State>, Option<Duration>);

#[derive(Debug)]
struct State {
    current: Mutex<Arc<KeySet>>,
    script: Mutex<VecDeque<Refresh>>,
    arrivals: Mutex<Vec<Instant>>,
}

impl ScriptedKeys {
    pub(crate) fn new(current: Arc<KeySet>, script: impl IntoIterator<Item = Refresh>) -> Self {
        Self(
            Arc::new(State {
                current: Mutex::new(current),
                script: Mutex::new(script.into_iter().collect()),
                arrivals: Mutex::default(),
            }),
            None,
        )
    }

    /// Says that the keys at hand are so old.
    pub(crate) fn aged(mut self, age: Duration) -> Self {
        self.1 = Some(age);
        self
    }

    /// The `arrived` of each refresh so far.
    pub(crate) fn arrivals(&self) -> Vec<Instant> {
        self.0.arrivals.lock().unwrap().clone()
    }
}

#[async_trait]
impl KeySource for ScriptedKeys {
    fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.current.lock().unwrap())
    }

    async fn refresh(&self, arrived: Instant) -> Result<Arc<KeySet>, KeysUnavailable> {
        self.0.arrivals.lock().unwrap().push(arrived);
        let refresh = self.0.script.lock().unwrap().pop_front().expect("no refresh was to be asked for");
        match refresh {
            Refresh::Brings(keys) => {
                *self.0.current.lock().unwrap() = Arc::clone(&keys);
                Ok(keys)
            }
            Refresh::Fails(wait) => Err(KeysUnavailable::new("the key server answered 500", wait)),
            Refresh::FailsWhile(keys) => {
                *self.0.current.lock().unwrap() = keys;
                Err(KeysUnavailable::new("cool-down", Duration::from_secs(10)))
            }
            Refresh::Hangs => std::future::pending().await,
        }
    }

    fn age(&self) -> Option<Duration> {
        self.1
    }
}

/// A [`MemoryStore`] some of whose calls can be switched off.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScriptedStore(Arc<Switches>);

#[derive(Debug, Default)]
pub(crate) struct Switches {
    inner: MemoryStore,
    begin: AtomicBool,
    insert: AtomicBool,
    end: AtomicBool,
    hang: AtomicBool,
    hang_end: AtomicBool,
    extend: AtomicBool,
    lose: AtomicBool,
    panic: Mutex<Option<&'static str>>,
    inserted: Mutex<Vec<NewEvent>>,
    ended: Mutex<Vec<(&'static str, String)>>,
}

impl ScriptedStore {
    pub(crate) fn with_clock(clock: impl Clock) -> Self {
        let inner = MemoryStore::new().with_clock(clock);
        Self(Arc::new(Switches { inner, ..Switches::default() }))
    }

    pub(crate) fn fail_begin(&self, fail: bool) {
        self.0.begin.store(fail, Ordering::SeqCst);
    }

    pub(crate) fn fail_insert(&self, fail: bool) {
        self.0.insert.store(fail, Ordering::SeqCst);
    }

    /// `complete`, `retry` and `bury`.
    pub(crate) fn fail_end(&self, fail: bool) {
        self.0.end.store(fail, Ordering::SeqCst);
    }

    /// `insert` and `begin` never come back.
    pub(crate) fn hang(&self, hang: bool) {
        self.0.hang.store(hang, Ordering::SeqCst);
    }

    /// `complete`, `retry` and `bury` never come back.
    pub(crate) fn hang_end(&self, hang: bool) {
        self.0.hang_end.store(hang, Ordering::SeqCst);
    }

    pub(crate) fn fail_extend(&self, fail: bool) {
        self.0.extend.store(fail, Ordering::SeqCst);
    }

    /// `extend` says that the lease is lost.
    pub(crate) fn lose(&self) {
        self.0.lose.store(true, Ordering::SeqCst);
    }

    /// This call panics, once.
    pub(crate) fn panic_in(&self, call: &'static str) {
        *self.0.panic.lock().unwrap() = Some(call);
    }

    fn enter(&self, call: &'static str) {
        let panics = self.0.panic.lock().unwrap().take_if(|panics| *panics == call).is_some();
        assert!(!panics, "{call} is broken");
    }

    pub(crate) fn inserted(&self) -> Vec<NewEvent> {
        self.0.inserted.lock().unwrap().clone()
    }

    /// How each run ended: the call, and its error.
    pub(crate) fn ended(&self) -> Vec<(&'static str, String)> {
        self.0.ended.lock().unwrap().clone()
    }

    async fn end(&self, call: &'static str, error: &str) -> Result<(), StoreError> {
        self.0.ended.lock().unwrap().push((call, error.to_owned()));
        hang_if(&self.0.hang_end).await;
        unless(&self.0.end)
    }
}

async fn hang_if(hangs: &AtomicBool) {
    if hangs.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
}

fn unless(fails: &AtomicBool) -> Result<(), StoreError> {
    if fails.load(Ordering::SeqCst) {
        return Err(StoreError::Unavailable(io::Error::other("disk full").into()));
    }
    Ok(())
}

#[async_trait]
impl EventStore for ScriptedStore {
    async fn insert(&self, event: NewEvent) -> Result<Insertion, StoreError> {
        self.enter("insert");
        hang_if(&self.0.hang).await;
        unless(&self.0.insert)?;
        self.0.inserted.lock().unwrap().push(event.clone());
        self.0.inner.insert(event).await
    }

    async fn begin(&self, event: NewEvent, lease: Duration) -> Result<Beginning, StoreError> {
        self.enter("begin");
        hang_if(&self.0.hang).await;
        unless(&self.0.begin)?;
        self.0.inner.begin(event, lease).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<ClaimedEvent>, StoreError> {
        self.enter("claim");
        self.0.inner.claim(claim).await
    }

    async fn extend(&self, lease: &Lease, lasts: Duration) -> Result<(), StoreError> {
        self.enter("extend");
        unless(&self.0.extend)?;
        if self.0.lose.load(Ordering::SeqCst) {
            return Err(StoreError::LeaseLost(Arc::clone(&lease.event_id)));
        }
        self.0.inner.extend(lease, lasts).await
    }

    async fn complete(&self, lease: &Lease) -> Result<(), StoreError> {
        self.enter("complete");
        self.end("complete", "").await?;
        self.0.inner.complete(lease).await
    }

    async fn retry(&self, lease: &Lease, wait: Duration, error: &str) -> Result<(), StoreError> {
        self.end("retry", error).await?;
        self.0.inner.retry(lease, wait, error).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.0.inner.release(lease).await
    }

    async fn bury(&self, lease: &Lease, error: &str) -> Result<(), StoreError> {
        self.end("bury", error).await?;
        self.0.inner.bury(lease, error).await
    }

    async fn changed(&self) {
        self.enter("changed");
        self.0.inner.changed().await;
    }

    async fn list(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
        self.0.inner.list(filter).await
    }

    async fn get(&self, event_id: &str) -> Result<Option<StoredEvent>, StoreError> {
        self.0.inner.get(event_id).await
    }

    async fn replay(&self, event_id: &str) -> Result<Replay, StoreError> {
        self.0.inner.replay(event_id).await
    }

    async fn replay_dead(&self, limit: usize) -> Result<usize, StoreError> {
        self.0.inner.replay_dead(limit).await
    }

    async fn purge(&self, purge: Purge) -> Result<usize, StoreError> {
        self.0.inner.purge(purge).await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.enter("backlog");
        hang_if(&self.0.hang).await;
        unless(&self.0.insert)?;
        self.0.inner.backlog().await
    }

    async fn completed(&self) -> Result<u64, StoreError> {
        self.0.inner.completed().await
    }

    async fn park(&self, token: ParkedToken, limits: ParkLimits) -> Result<ParkOutcome, StoreError> {
        self.0.inner.park(token, limits).await
    }

    async fn parked(&self, after: i64, limit: usize) -> Result<Vec<ParkedToken>, StoreError> {
        self.0.inner.parked(after, limit).await
    }

    async fn unpark(&self, id: &str) -> Result<bool, StoreError> {
        self.0.inner.unpark(id).await
    }
}
