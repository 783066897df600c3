use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

use crate::json::Json;

use super::{Beginning, ClaimedEvent, EventStore, Insertion, Lease, NewEvent, StoreError};

const DEFAULT_CAPACITY: usize = 100_000;

/// A store in memory: for inline mode on one machine, and for tests.
///
/// It forgets everything when the process ends. Within its capacity it forgets the events that ended first,
/// never one that is not finished; when only unfinished ones are left it refuses new ones, which the provider
/// then tries again. In inline mode an ended event takes about 150 bytes.
pub struct MemoryStore {
    capacity: usize,
    state: Mutex<State>,
    added: Notify,
}

#[derive(Default)]
struct State {
    events: HashMap<Arc<str>, Record>,
    /// Ids in the order in which their events ended.
    ended: VecDeque<Arc<str>>,
    /// Ids in the order in which they arrived, of events that a worker may claim.
    queue: VecDeque<Arc<str>>,
    last_token: u64,
}

struct Record {
    /// Set in queued mode: an event that must not be forgotten before it has ended.
    queued: bool,
    run: u32,
    token: u64,
    phase: Phase,
    data: Option<Json>,
}

impl Record {
    fn lease(&mut self, id: Arc<str>, token: u64, until: DateTime<Utc>) -> Lease {
        self.run = self.run.saturating_add(1);
        self.token = token;
        self.phase = Phase::Running { until };
        Lease::new(id, token)
    }
}

#[derive(Clone, Copy)]
enum Phase {
    Waiting { due: DateTime<Utc> },
    Running { until: DateTime<Utc> },
    Completed,
    Buried,
}

impl Phase {
    /// Whether a lease can be taken now.
    fn is_due(self, now: DateTime<Utc>) -> bool {
        match self {
            Self::Waiting { due } => due <= now,
            Self::Running { until } => until <= now,
            Self::Completed | Self::Buried => false,
        }
    }
}

impl MemoryStore {
    /// Remembers up to 100,000 events.
    pub fn new() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }

    /// Remembers up to `events` events, at least one.
    pub fn with_capacity(events: usize) -> Self {
        Self { capacity: events.max(1), state: Mutex::default(), added: Notify::new() }
    }

    /// How many events are remembered now.
    pub fn len(&self) -> usize {
        self.state().events.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    // No code that runs under this lock can leave the state half changed, so a poisoned lock is still good.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, lease: &Lease, phase: Phase) -> Result<(), StoreError> {
        let mut state = self.state();
        let record = state.held(lease)?;
        record.phase = phase;
        record.data = None;
        state.ended.push_back(lease.event_id.clone());
        Ok(())
    }
}

impl State {
    fn held(&mut self, lease: &Lease) -> Result<&mut Record, StoreError> {
        self.events
            .get_mut(&lease.event_id)
            .filter(|record| record.token == lease.token && matches!(record.phase, Phase::Running { .. }))
            .ok_or_else(|| StoreError::LeaseLost(lease.event_id.clone()))
    }

    fn next_token(&mut self) -> u64 {
        self.last_token = self.last_token.saturating_add(1);
        self.last_token
    }

    fn make_room(&mut self, capacity: usize) -> Result<(), StoreError> {
        while self.events.len() >= capacity {
            let oldest = self.ended.pop_front().ok_or(StoreError::Full(self.events.len()))?;
            self.events.remove(&oldest);
        }
        Ok(())
    }
}

fn after(now: DateTime<Utc>, lease: Duration) -> DateTime<Utc> {
    let lease = TimeDelta::from_std(lease).unwrap_or(TimeDelta::MAX);
    now.checked_add_signed(lease).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[async_trait]
impl EventStore for MemoryStore {
    async fn insert(&self, event: NewEvent) -> Result<Insertion, StoreError> {
        let mut state = self.state();
        if state.events.contains_key(&event.id) {
            return Ok(Insertion::Duplicate);
        }
        state.make_room(self.capacity)?;
        let phase = if event.dead.is_some() {
            state.ended.push_back(event.id.clone());
            Phase::Buried
        } else {
            state.queue.push_back(event.id.clone());
            Phase::Waiting { due: event.received_at }
        };
        state
            .events
            .insert(event.id, Record { queued: true, run: 0, token: 0, phase, data: Some(event.data) });
        drop(state);
        self.added.notify_one();
        Ok(Insertion::New)
    }

    async fn begin(
        &self,
        event: NewEvent,
        now: DateTime<Utc>,
        lease: Duration,
    ) -> Result<Beginning, StoreError> {
        let mut state = self.state();
        let until = after(now, lease);
        let token = state.next_token();
        if let Some(record) = state.events.get_mut(&event.id) {
            return Ok(match record.phase {
                Phase::Completed => Beginning::Completed,
                Phase::Buried => Beginning::Buried,
                Phase::Running { until } if until > now => Beginning::Running,
                // The provider decides when to try again, so the time noted by `retry` does not hold it back.
                Phase::Running { .. } | Phase::Waiting { .. } => {
                    Beginning::Run(record.lease(event.id, token, until))
                }
            });
        }
        state.make_room(self.capacity)?;
        let phase = Phase::Running { until };
        let lease = Lease::new(event.id.clone(), token);
        state.events.insert(event.id, Record { queued: false, run: 1, token, phase, data: None });
        Ok(Beginning::Run(lease))
    }

    async fn claim(
        &self,
        limit: usize,
        now: DateTime<Utc>,
        lease: Duration,
    ) -> Result<Vec<ClaimedEvent>, StoreError> {
        let mut state = self.state();
        let State { events, queue, last_token, .. } = &mut *state;
        let mut claimed = Vec::new();
        queue.retain(|id| {
            let Some(record) = events.get_mut(id) else {
                return false;
            };
            if claimed.len() < limit && record.phase.is_due(now) {
                *last_token = last_token.saturating_add(1);
                let lease = record.lease(Arc::clone(id), *last_token, after(now, lease));
                let data = record.data.as_ref().map(Json::get).unwrap_or_default();
                claimed.push(ClaimedEvent::new(lease, record.run, data));
            }
            !matches!(record.phase, Phase::Completed | Phase::Buried)
        });
        Ok(claimed)
    }

    async fn extend(&self, lease: &Lease, until: DateTime<Utc>) -> Result<(), StoreError> {
        self.state().held(lease)?.phase = Phase::Running { until };
        Ok(())
    }

    async fn complete(&self, lease: &Lease, _now: DateTime<Utc>) -> Result<(), StoreError> {
        self.end(lease, Phase::Completed)
    }

    async fn retry(&self, lease: &Lease, due: DateTime<Utc>, _error: &str) -> Result<(), StoreError> {
        let mut state = self.state();
        let record = state.held(lease)?;
        record.phase = Phase::Waiting { due };
        if !record.queued {
            // The provider may never try again, and what nobody waits for must not fill the memory.
            state.events.remove(&lease.event_id);
        }
        Ok(())
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut state = self.state();
        let record = state.held(lease)?;
        record.run = record.run.saturating_sub(1);
        record.phase = Phase::Waiting { due: DateTime::<Utc>::MIN_UTC };
        drop(state);
        self.added.notify_one();
        Ok(())
    }

    async fn changed(&self) {
        self.added.notified().await;
    }

    async fn bury(&self, lease: &Lease, _now: DateTime<Utc>, _error: &str) -> Result<(), StoreError> {
        self.end(lease, Phase::Buried)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("capacity", &self.capacity)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
