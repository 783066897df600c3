mod operators;
mod parked;
mod record;
mod state;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

use super::{
    Backlog, Beginning, Claim, ClaimedEvent, EventFilter, EventState, EventStore, Insertion, Lease, NewEvent,
    ParkLimits, ParkOutcome, ParkedToken, Purge, Replay, StoreError, StoredEvent,
};
use crate::clock::{Clock, SystemClock};
use record::{Phase, Record};
use state::State;

const DEFAULT_CAPACITY: usize = 100_000;

/// A store in memory: for inline mode on one machine, and for tests.
///
/// It forgets everything when the process ends. Within its capacity it forgets the events that ended first,
/// never one that is not finished; when only unfinished ones are left it refuses new ones, which the provider
/// then tries again. In inline mode a completed event takes about 200 bytes. It parks at most as many tokens as it
/// remembers events. With a completed event, it forgets the tokens that were parked before that was completed.
pub struct MemoryStore {
    capacity: usize,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    added: Notify,
}

impl MemoryStore {
    /// Remembers up to 100,000 events.
    pub fn new() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }

    /// Remembers up to `events` events, at least one.
    pub fn with_capacity(events: usize) -> Self {
        Self {
            capacity: events.max(1),
            clock: Arc::new(SystemClock),
            state: Mutex::default(),
            added: Notify::new(),
        }
    }

    /// Goes by another clock (default: the machine's).
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How many events are remembered now.
    pub fn len(&self) -> usize {
        self.state().len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    // No code that runs under this lock can leave the state half changed, so a poisoned lock is still good.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn after(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
    now.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[async_trait]
impl EventStore for MemoryStore {
    async fn insert(&self, event: NewEvent) -> Result<Insertion, StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        if state.record(&event.id).is_some() {
            // The provider will not send again what was begun inline and is now answered 2xx, however that ends.
            state.put_into_queue(&event.id);
            return Ok(Insertion::Duplicate);
        }
        state.make_room(self.capacity)?;
        state.add(&event.id, Record::queued(&event, now), Phase::Waiting { due: now });
        drop(state);
        self.added.notify_one();
        Ok(Insertion::New)
    }

    async fn begin(&self, event: NewEvent, lease: Duration) -> Result<Beginning, StoreError> {
        let now = self.clock.now();
        self.state().begin(event, self.capacity, now, after(now, lease))
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<ClaimedEvent>, StoreError> {
        let now = self.clock.now();
        Ok(self.state().claim(claim, now, after(now, claim.lease)))
    }

    async fn extend(&self, lease: &Lease, lasts: Duration) -> Result<(), StoreError> {
        let until = after(self.clock.now(), lasts);
        let mut state = self.state();
        if !state.was_completed_under(lease) {
            state.held(lease)?;
            state.enter(&lease.event_id, Phase::Running { until });
        }
        Ok(())
    }

    async fn complete(&self, lease: &Lease) -> Result<(), StoreError> {
        let at = self.clock.now();
        if self.state().complete(lease, at)? {
            self.added.notify_one();
        }
        Ok(())
    }

    async fn retry(&self, lease: &Lease, wait: Duration, error: &str) -> Result<(), StoreError> {
        let due = after(self.clock.now(), wait);
        let mut state = self.state();
        let record = state.held(lease)?;
        if record.queued {
            record.failed(error);
            state.enter(&lease.event_id, Phase::Waiting { due });
        } else {
            // The provider may never try again, and what nobody waits for must not fill the memory.
            state.forget(&lease.event_id);
        }
        Ok(())
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let due = self.clock.now();
        let mut state = self.state();
        let record = state.held(lease)?;
        record.runs = record.runs.saturating_sub(1);
        state.enter(&lease.event_id, Phase::Waiting { due });
        drop(state);
        self.added.notify_one();
        Ok(())
    }

    async fn bury(&self, lease: &Lease, error: &str) -> Result<(), StoreError> {
        let at = self.clock.now();
        let mut state = self.state();
        state.held(lease)?;
        state.put_into_queue(&lease.event_id);
        state.held(lease)?.failed(error);
        state.enter(&lease.event_id, Phase::Dead { at });
        drop(state);
        self.added.notify_one();
        Ok(())
    }

    async fn changed(&self) {
        self.added.notified().await;
    }

    async fn list(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
        Ok(self.state().list(filter))
    }

    async fn get(&self, event_id: &str) -> Result<Option<StoredEvent>, StoreError> {
        Ok(self.state().get(event_id))
    }

    async fn replay(&self, event_id: &str) -> Result<Replay, StoreError> {
        let due = self.clock.now();
        let mut state = self.state();
        let Some(record) = state.record(event_id) else { return Ok(Replay::Unknown) };
        match record.phase.state() {
            EventState::Dead | EventState::Waiting => {}
            other => return Ok(Replay::Refused(other)),
        }
        state.replay(&[Arc::from(event_id)], due);
        drop(state);
        self.added.notify_one();
        Ok(Replay::Queued)
    }

    async fn replay_dead(&self, limit: usize) -> Result<usize, StoreError> {
        let due = self.clock.now();
        let mut state = self.state();
        let dead = state.oldest_dead(limit);
        state.replay(&dead, due);
        drop(state);
        self.added.notify_one();
        Ok(dead.len())
    }

    async fn purge(&self, purge: Purge) -> Result<usize, StoreError> {
        let age = TimeDelta::from_std(purge.older_than).unwrap_or(TimeDelta::MAX);
        let Some(before) = self.clock.now().checked_sub_signed(age) else { return Ok(0) };
        Ok(self.state().purge(purge, before))
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        Ok(self.state().backlog(self.clock.now()))
    }

    async fn completed(&self) -> Result<u64, StoreError> {
        Ok(self.state().count(EventState::Completed))
    }

    async fn park(&self, token: ParkedToken, limits: ParkLimits) -> Result<ParkOutcome, StoreError> {
        let (token, now) = (token.bounded(), self.clock.now());
        let limits = ParkLimits { in_all: limits.in_all.min(self.capacity), ..limits };
        Ok(self.state().parked.park(token, limits, now))
    }

    async fn parked(&self, after: i64, limit: usize) -> Result<Vec<ParkedToken>, StoreError> {
        Ok(self.state().parked.list(after, limit))
    }

    async fn unpark(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.state().parked.unpark(id))
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

#[cfg(test)]
mod tests;
