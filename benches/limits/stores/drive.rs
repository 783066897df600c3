//! Callers of a store.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use idnow_webhooks_core::store::{Claim, EventStore, Insertion, NewEvent, SessionOrder};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::sample;

pub type Store = Arc<dyn EventStore>;

/// How many callers insert at the same time.
pub const CALLERS: usize = 64;
/// What a worker claims at once.
const CLAIM: usize = 16;

/// Microseconds per operation.
#[expect(clippy::cast_precision_loss, reason = "a few thousand operations")]
pub fn timed(runtime: &Runtime, operations: usize, work: impl Future<Output = ()>) -> f64 {
    let started = Instant::now();
    runtime.block_on(work);
    started.elapsed().as_secs_f64() * 1e6 / operations as f64
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

/// Claims and completes, as a worker with handlers that do nothing, until so many are done.
pub async fn handle(store: &Store, events: usize) {
    let claim = Claim { limit: CLAIM, lease: Duration::from_mins(1), order: SessionOrder::default() };
    let mut done = 0;
    while done < events {
        let claimed = store.claim(claim).await.unwrap();
        assert!(!claimed.is_empty(), "there is nothing to claim although {} wait", events - done);
        let completed = join_all(claimed.iter().map(|event| store.complete(&event.lease))).await;
        completed.into_iter().for_each(Result::unwrap);
        done += claimed.len();
    }
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
