use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use idnow_webhooks_core::event::Event;
use idnow_webhooks_core::store::{
    Backlog, Beginning, Claim, ClaimedEvent, EventFilter, EventStore, Insertion, Lease, NewEvent, Purge,
    Replay, StoreError, StoredEvent,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::builder::SqliteStoreBuilder;
use crate::compact::Compact;
use crate::database::Database;
use crate::error::OpenError;
use crate::ops::{
    self, Begin, Check, ClaimEvents, Forget, NewRow, ReplayDead, ReplayOne, STEP, Settle, Settlement, micros,
};
use crate::transaction::SqliteTransaction;
use crate::writer::{Task, Work, insert_alone};

/// Events in one SQLite file. A clone is another handle of the same store.
///
/// What it has acknowledged survives a crash of the process and of the machine. Many insertions at once share a commit.
/// When the disk is full, or the file is locked, damaged or gone, calls fail with [`StoreError::Unavailable`] and
/// nothing is acknowledged; the store recovers by itself as soon as the cause is gone. A file that was found damaged is
/// not written again: put another in its place, or restart. One that is gone is never created anew.
///
/// Other processes may have the file open at the same time, with this store or without it. Workers notice at
/// once what was inserted through their own store, and at their next look what others have inserted.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use idnow_webhooks_core::store::{EventStore, Insertion, NewEvent};
/// use idnow_webhooks_sqlite::SqliteStore;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("events.db");
/// let store = SqliteStore::open(&path).await?;
/// let event = NewEvent::from_json(r#"{"eventId": "1", "eventName": "session.created"}"#).ok_or("no id")?;
/// assert_eq!(store.insert(event.clone()).await?, Insertion::New);
/// assert_eq!(store.insert(event).await?, Insertion::Duplicate);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    database: Arc<Database>,
    /// Calls of `insert` in progress, those among them that have their answer and do not know yet.
    inserting: AtomicUsize,
    queue: mpsc::Sender<Task>,
    retention: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.retention.abort();
    }
}

impl SqliteStore {
    /// Opens the file, or creates it, with the defaults of the [builder](Self::builder).
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what is wrong with the file and what to do about it.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder(path).open().await
    }

    /// Begins to set up a store in this file.
    pub fn builder(path: impl AsRef<Path>) -> SqliteStoreBuilder {
        SqliteStoreBuilder::new(path.as_ref())
    }

    pub(crate) fn new(database: Arc<Database>, queue: mpsc::Sender<Task>, retention: AbortHandle) -> Self {
        Self { inner: Arc::new(Inner { database, inserting: AtomicUsize::new(0), queue, retention }) }
    }

    /// Begins a transaction in which a handler can write to its own tables in the same file. "Handled" is part of it:
    /// both are committed, or neither is.
    ///
    /// SQLite has one writer: while the transaction is open, nothing else is written, and insertions wait. Do what is
    /// slow before it begins. Other calls that wait for longer than the [busy
    /// time-out](SqliteStoreBuilder::busy_timeout) fail; other handlers that begin a transaction wait for this one to
    /// end. So never begin one while you hold another.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`] if somebody else handles the event by now; [`StoreError::Unavailable`] if the event
    /// was not handed out by a store, or a transaction has completed it in this run, and for a store that does not work.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future rolls back.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use idnow_webhooks_core::event::{Event, SessionCompleted};
    /// use idnow_webhooks_core::EventRouter;
    /// use idnow_webhooks_sqlite::SqliteStore;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("events.db");
    /// let store = SqliteStore::open(&path).await?;
    /// let handlers = EventRouter::new().on(move |event: Event<SessionCompleted>| {
    ///     let store = store.clone();
    ///     async move {
    ///         let mut transaction = store.transaction(&event).await?;
    ///         sqlx::query("UPDATE customers SET identified = TRUE WHERE session = ?")
    ///             .bind(event.payload.session_id.to_string())
    ///             .execute(&mut *transaction)
    ///             .await?;
    ///         transaction.commit().await?;
    ///         Ok(())
    ///     }
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub async fn transaction<P>(&self, event: &Event<P>) -> Result<SqliteTransaction, StoreError> {
        let run = event.run().ok_or_else(|| {
            StoreError::unavailable(format!(
                "event {:?} was not handed out by a store: there is no lease",
                event.id
            ))
        })?;
        self.transaction_under(&run.lease).await
    }

    /// Like [`transaction`](Self::transaction), for an event of which only the lease is at hand.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`] if the lease has ended, [`StoreError::Unavailable`] if the store does not work.
    pub async fn transaction_under(&self, lease: &Lease) -> Result<SqliteTransaction, StoreError> {
        SqliteTransaction::begin(Arc::clone(&self.inner.database), lease).await
    }

    async fn enter<T>(
        &self,
        task: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Task,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let stopped = || {
            StoreError::unavailable(
                "the task that writes has ended, as the Tokio runtime in which the store was opened has stopped, \
                     or it has crashed: restart",
            )
        };
        self.inner.queue.send(task(sender)).await.map_err(|_| stopped())?;
        receiver.await.map_err(|_| stopped())?
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
        let claimed = self.run(ClaimEvents(claim)).await?;
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
        in_steps(purge.limit, |limit| self.run(Forget { state, older_than, limit })).await
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

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.inner.database.settings.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use idnow_webhooks_core::SystemClock;

    use super::*;
    use crate::database::Settings;

    #[tokio::test]
    async fn without_the_task_that_writes_nothing_is_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            path: folder.path().join("events.db"),
            create_if_missing: true,
            busy_timeout: Duration::from_secs(1),
            max_readers: 1,
        };
        let database = Arc::new(Database::open(settings, Arc::new(SystemClock)).await.unwrap());
        let (queue, crashed) = mpsc::channel(1);
        drop(crashed);
        let store = SqliteStore::new(database, queue, tokio::spawn(async {}).abort_handle());
        let event = NewEvent::from_json(r#"{"eventId": "1", "eventName": "session.created"}"#).unwrap();
        let error = store.insert(event).await.unwrap_err();
        assert!(error.to_string().contains("restart"), "{error}");
        assert!(store.check().await.is_err());
        assert!(store.get("1").await.unwrap().is_none());
    }
}
