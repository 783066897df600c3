//! Callers of a store.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use idnow_webhooks_core::store::{Claim, ClaimedEvent, EventStore, Insertion, NewEvent, SessionOrder};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::sample;

pub type Store = Arc<dyn EventStore>;

/// How many callers insert at the same time.
pub const CALLERS: usize = 64;
/// What a worker claims at once.
const CLAIM: usize = 16;

/// Microseconds per operation.
pub fn timed(runtime: &Runtime, operations: usize, work: impl Future<Output = ()>) -> f64 {
    let started = Instant::now();
    runtime.block_on(work);
    each(started.elapsed(), operations)
}

/// Microseconds per operation.
#[expect(clippy::cast_precision_loss, reason = "a few thousand operations")]
pub fn each(took: Duration, operations: usize) -> f64 {
    took.as_secs_f64() * 1e6 / operations as f64
}

/// One after the other.
pub async fn insert_singly(store: &Store, events: Vec<NewEvent>) {
    for event in events {
        assert_eq!(store.insert(event).await.unwrap(), Insertion::New);
    }
}

/// By many callers, each of whom waits for an answer before the next.
pub async fn insert_together(store: &Store, events: Vec<NewEvent>) {
    let events = Arc::new(Mutex::new(events));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (store, events) = (Arc::clone(store), Arc::clone(&events));
        callers.spawn(async move {
            loop {
                let event = events.lock().unwrap().pop();
                let Some(event) = event else { break };
                assert_eq!(store.insert(event).await.unwrap(), Insertion::New);
            }
        });
    }
    callers.join_all().await;
}

/// How long it took to handle events.
#[derive(Default)]
pub struct Handled {
    pub claiming: Duration,
    pub completing: Duration,
}

/// Claims and completes, as a worker with handlers that do nothing, until so many are done.
pub async fn handle(store: &Store, events: usize) -> Handled {
    let mut handled = Handled::default();
    let mut done = 0;
    while done < events {
        let started = Instant::now();
        let claimed = claim(store).await;
        handled.claiming += started.elapsed();
        assert!(!claimed.is_empty(), "there is nothing to claim although {} wait", events - done);
        let started = Instant::now();
        complete(store, &claimed).await;
        handled.completing += started.elapsed();
        done += claimed.len();
    }
    handled
}

pub async fn claim(store: &Store) -> Vec<ClaimedEvent> {
    let claim = Claim { limit: CLAIM, lease: Duration::from_mins(1), order: SessionOrder::default() };
    store.claim(claim).await.unwrap()
}

pub async fn complete(store: &Store, events: &[ClaimedEvent]) {
    let completed = join_all(events.iter().map(|event| store.complete(&event.lease))).await;
    completed.into_iter().for_each(Result::unwrap);
}

/// A side that inserts new events, made before the clock starts.
pub fn insertions<F: Future<Output = ()>>(
    runtime: &Runtime,
    operations: usize,
    insert: impl Fn(Vec<NewEvent>) -> F,
) -> impl Fn() -> f64 {
    move || {
        let events = sample::events(operations);
        timed(runtime, operations, insert(events))
    }
}
