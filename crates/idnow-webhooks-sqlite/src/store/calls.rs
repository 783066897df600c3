//! What every store can do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use idnow_webhooks_core::store::{
    Backlog, Beginning, Claim, ClaimedEvent, EventFilter, EventStore, Insertion, Lease, NewEvent, ParkLimits,
    ParkOutcome, ParkedToken, Purge, Replay, StoreError, StoredEvent,
};
use tokio::sync::oneshot;

use super::SqliteStore;
use crate::compact::Compact;
use crate::ops::{
    self, Begin, Check, ClaimEvents, Forget, NewRow, Park, ReplayDead, ReplayOne, STEP, Settle, Settlement,
    Unpark, micros,
};
use crate::retention::note_dropped;
use crate::unit::Work;
use crate::writer::{Task, insert_alone};

/// What a runtime needs to end all of its tasks, where none blocks.
const STOPS_WITHIN: Duration = Duration::from_millis(500);

impl SqliteStore {
    async fn enter<T>(
        &self,
        task: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Task,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        if self.inner.queue.send(task(sender)).await.is_ok()
            && let Ok(result) = receiver.await
        {
            return result;
        }
        // A runtime that stops ends its tasks one after the other. If the caller is one of them, there is nothing to tell:
        // it goes no further than this.
        if tokio::runtime::Handle::try_current().is_ok() {
            tokio::time::sleep(STOPS_WITHIN).await;
        }
        Err(StoreError::unavailable(
            "the task that writes has ended, as the Tokio runtime in which the store was opened has stopped, or it has \
             crashed: restart",
        ))
    }

    async fn run<W: Work>(&self, work: W) -> Result<W::Output, StoreError> {
        self.enter(|reply| Task::of(work, reply)).await
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<(), StoreError> {
        let id = Compact::new(&lease.event_id);
        let ends = !matches!(settlement, Settlement::Extend { .. });
        let held = self.run(Settle { id, token: lease.token, settlement }).await?;
        if ends || !held {
            self.inner.database.begun.end(lease);
        }
        if held { Ok(()) } else { Err(StoreError::LeaseLost(Arc::clone(&lease.event_id))) }
    }

    fn failed(&self, error: &sqlx::Error) -> StoreError {
        self.inner.database.failure(error).into()
    }
}

#[async_trait]
impl EventStore for SqliteStore {
    async fn insert(&self, event: NewEvent) -> Result<Insertion, StoreError> {
        let row = NewRow::from(event);
        let inner = &*self.inner;
        let caller = Caller::count(&inner.inserting);
        // Without the writer's task, nobody could handle what is acknowledged here.
        if caller.is_alone
            && !inner.queue.is_closed()
            && let Some(turn) = inner.database.turn_if_free()
        {
            return Ok(insert_alone(&inner.database, turn, row).await?);
        }
        self.enter(|reply| Task::Insert(row, reply)).await
    }

    async fn begin(&self, event: NewEvent, lease: Duration) -> Result<Beginning, StoreError> {
        let beginning = self.run(Begin { row: event.into(), lease }).await?;
        if let Beginning::Run(lease) = &beginning {
            self.inner.database.begun.remove(&lease.event_id);
        }
        Ok(beginning)
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<ClaimedEvent>, StoreError> {
        // Each time some more of the new ones are put in order, and others may write in between.
        let claimed = loop {
            if let Some(claimed) = self.run(ClaimEvents(claim)).await? {
                break claimed;
            }
        };
        for event in &claimed {
            self.inner.database.begun.remove(&event.lease.event_id);
        }
        Ok(claimed)
    }

    async fn extend(&self, lease: &Lease, lasts: Duration) -> Result<(), StoreError> {
        self.settle(lease, Settlement::Extend { lasts: micros(lasts) }).await
    }

    async fn complete(&self, lease: &Lease) -> Result<(), StoreError> {
        if self.inner.database.begun.contains(lease) {
            return Err(StoreError::NotCommitted(Arc::clone(&lease.event_id)));
        }
        self.settle(lease, Settlement::Complete).await
    }

    async fn retry(&self, lease: &Lease, wait: Duration, error: &str) -> Result<(), StoreError> {
        self.settle(lease, Settlement::Retry { wait: micros(wait), error: error.to_owned() }).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.settle(lease, Settlement::Release).await
    }

    async fn bury(&self, lease: &Lease, error: &str) -> Result<(), StoreError> {
        self.settle(lease, Settlement::Bury { error: error.to_owned() }).await
    }

    async fn changed(&self) {
        self.inner.database.changed.notified().await;
    }

    async fn list(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
        let mut reader = self.inner.database.reader().await?;
        ops::list(&mut reader, filter).await.map_err(|error| self.failed(&error))
    }

    async fn get(&self, event_id: &str) -> Result<Option<StoredEvent>, StoreError> {
        let mut reader = self.inner.database.reader().await?;
        ops::get(&mut reader, &Compact::new(event_id)).await.map_err(|error| self.failed(&error))
    }

    async fn replay(&self, event_id: &str) -> Result<Replay, StoreError> {
        self.run(ReplayOne(Compact::new(event_id))).await
    }

    async fn replay_dead(&self, limit: usize) -> Result<usize, StoreError> {
        in_steps(limit, |step| self.run(ReplayDead(step))).await
    }

    async fn purge(&self, purge: Purge) -> Result<usize, StoreError> {
        let (state, older_than) = (purge.state, micros(purge.older_than));
        let mut done = 0_usize;
        loop {
            let limit = STEP.min(purge.limit.saturating_sub(done));
            let forget = Forget { state, older_than, parked_older_than: older_than, limit };
            let forgotten = self.run(forget).await?;
            note_dropped(forgotten.parked);
            done = done.saturating_add(forgotten.events);
            if !forgotten.has_more_parked() && (forgotten.events < limit || done >= purge.limit) {
                return Ok(done);
            }
        }
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.run(Check).await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        let mut reader = self.inner.database.reader().await?;
        let now = self.inner.database.now();
        ops::backlog(&mut reader, now).await.map_err(|error| self.failed(&error))
    }

    async fn completed(&self) -> Result<u64, StoreError> {
        let mut reader = self.inner.database.reader().await?;
        ops::completed(&mut reader).await.map_err(|error| self.failed(&error))
    }

    async fn park(&self, token: ParkedToken, limits: ParkLimits) -> Result<ParkOutcome, StoreError> {
        let limits = limits.within(self.inner.retention);
        self.run(Park { token: token.bounded(), limits }).await
    }

    async fn parked(&self, after: i64, limit: usize) -> Result<Vec<ParkedToken>, StoreError> {
        let mut reader = self.inner.database.reader().await?;
        ops::parked(&mut reader, after, limit).await.map_err(|error| self.failed(&error))
    }

    async fn unpark(&self, id: &str) -> Result<bool, StoreError> {
        self.run(Unpark(id.to_owned())).await
    }
}

struct Caller<'c> {
    callers: &'c AtomicUsize,
    is_alone: bool,
}

impl<'c> Caller<'c> {
    fn count(callers: &'c AtomicUsize) -> Self {
        Self { callers, is_alone: callers.fetch_add(1, Ordering::Relaxed) == 0 }
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.callers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Does something to many rows without keeping others from writing for long.
async fn in_steps<F>(limit: usize, step: impl Fn(usize) -> F) -> Result<usize, StoreError>
where
    F: Future<Output = Result<usize, StoreError>>,
{
    let mut done = 0_usize;
    while done < limit {
        let wanted = STEP.min(limit - done);
        let now = step(wanted).await?;
        done = done.saturating_add(now);
        if now < wanted {
            break;
        }
    }
    Ok(done)
}
