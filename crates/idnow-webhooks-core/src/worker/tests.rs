mod leases;
mod outages;
mod running;
mod stopping;

use super::*;
use crate::clock::Clock;
use crate::event::{Event, SessionCreated};
use crate::handler::{HandlerError, HandlerResult};
use crate::router::EventRouter;
use crate::store::{
    Backlog, Beginning, EventFilter, EventState, Insertion, MemoryStore, NewEvent, Order, ParkLimits,
    ParkOutcome, ParkedToken, Purge, Replay, StoredEvent,
};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// Follows Tokio's time, which these tests let jump.
#[derive(Debug, Clone, Copy)]
struct TokioClock(Instant);

impl TokioClock {
    fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TokioClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::from_std(self.0.elapsed()).unwrap()
    }
}

fn event(id: &str) -> NewEvent {
    let data = json!({
        "eventId": id, "eventName": "session.created", "eventSequence": 1, "environment": "staging",
        "payload": {},
    });
    NewEvent::from_json(&data.to_string())
}

/// Notes when each run began, and does what the script says for it.
#[derive(Clone, Default)]
struct Runs(Arc<Mutex<Vec<(String, u64)>>>);

impl Runs {
    fn router<F>(&self, clock: TokioClock, result: F) -> EventRouter
    where
        F: Fn(usize) -> HandlerResult + Clone + Send + Sync + 'static,
    {
        let runs = self.clone();
        EventRouter::new().on_any(move |event| {
            let (runs, result) = (runs.clone(), result.clone());
            async move {
                let number = {
                    let mut runs = runs.0.lock().unwrap();
                    runs.push((event.id, clock.0.elapsed().as_secs()));
                    runs.len()
                };
                result(number)
            }
        })
    }

    fn seconds(&self) -> Vec<u64> {
        self.0.lock().unwrap().iter().map(|(_, at)| *at).collect()
    }
}

/// A clock that follows Tokio's, and a store that goes by it.
fn store() -> (Arc<MemoryStore>, TokioClock) {
    let clock = TokioClock::start();
    (Arc::new(MemoryStore::new().with_clock(clock)), clock)
}

fn claim(limit: usize, lease: Duration) -> Claim {
    Claim { limit, lease, order: SessionOrder::default() }
}

fn patient(store: &Arc<MemoryStore>, router: EventRouter) -> WorkerBuilder {
    let backoff = Backoff { first: SECOND, most: 8 * SECOND, jitter: 0.0 };
    Worker::builder(Arc::clone(store), router).backoff(backoff).poll_interval(SECOND)
}

async fn is_dead(store: &MemoryStore, id: &str) -> bool {
    let beginning = store.begin(event(id), SECOND).await.unwrap();
    matches!(beginning, Beginning::Buried)
}
