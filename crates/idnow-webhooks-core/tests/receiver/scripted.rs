//! Key sources and stores that do as they are told.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use idnow_webhooks_core::keys::{KeySet, KeySource, KeysUnavailable};
use idnow_webhooks_core::store::{
    Beginning, ClaimedEvent, EventStore, Insertion, Lease, MemoryStore, NewEvent, StoreError,
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
pub(crate) struct ScriptedKeys(Arc<State>);

#[derive(Debug)]
struct State {
    current: Mutex<Arc<KeySet>>,
    script: Mutex<VecDeque<Refresh>>,
    arrivals: Mutex<Vec<Instant>>,
}

impl ScriptedKeys {
    pub(crate) fn new(current: Arc<KeySet>, script: impl IntoIterator<Item = Refresh>) -> Self {
        Self(Arc::new(State {
            current: Mutex::new(current),
            script: Mutex::new(script.into_iter().collect()),
            arrivals: Mutex::default(),
        }))
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
    inserted: Mutex<Vec<NewEvent>>,
    ended: Mutex<Vec<(&'static str, String)>>,
}

impl ScriptedStore {
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
        hang_if(&self.0.hang).await;
        unless(&self.0.insert)?;
        self.0.inserted.lock().unwrap().push(event.clone());
        self.0.inner.insert(event).await
    }

    async fn begin(
        &self,
        event: NewEvent,
        now: DateTime<Utc>,
        lease: Duration,
    ) -> Result<Beginning, StoreError> {
        hang_if(&self.0.hang).await;
        unless(&self.0.begin)?;
        self.0.inner.begin(event, now, lease).await
    }

    async fn claim(
        &self,
        limit: usize,
        now: DateTime<Utc>,
        lease: Duration,
    ) -> Result<Vec<ClaimedEvent>, StoreError> {
        self.0.inner.claim(limit, now, lease).await
    }

    async fn extend(&self, lease: &Lease, until: DateTime<Utc>) -> Result<(), StoreError> {
        self.0.inner.extend(lease, until).await
    }

    async fn complete(&self, lease: &Lease, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.end("complete", "").await?;
        self.0.inner.complete(lease, now).await
    }

    async fn retry(&self, lease: &Lease, due: DateTime<Utc>, error: &str) -> Result<(), StoreError> {
        self.end("retry", error).await?;
        self.0.inner.retry(lease, due, error).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.0.inner.release(lease).await
    }

    async fn bury(&self, lease: &Lease, now: DateTime<Utc>, error: &str) -> Result<(), StoreError> {
        self.end("bury", error).await?;
        self.0.inner.bury(lease, now, error).await
    }
}
