mod calls;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use idnow_webhooks_core::event::Event;
use idnow_webhooks_core::store::{Lease, Retention, StoreError};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::builder::SqliteStoreBuilder;
use crate::database::Database;
use crate::error::OpenError;
use crate::transaction::SqliteTransaction;
use crate::writer::Task;

/// Events in one SQLite file. A clone is another handle of the same store.
///
/// What it has acknowledged survives a crash of the process and of the machine. Many insertions at once share a commit.
/// When the disk is full, or the file is locked, damaged or gone, calls fail with [`StoreError::Unavailable`] and
/// nothing is acknowledged; the store recovers by itself as soon as the cause is gone. A file that was found damaged is
/// not written again: put another in its place, or restart. One that is gone is never created anew.
///
/// Other processes may have the file open at the same time, with this store or without it. Workers notice at
/// once what was inserted through their own store, and at their next look what others have inserted. Never change the
/// store's tables by hand while it is open.
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
/// let event = NewEvent::from_json(r#"{"eventId": "1", "eventName": "session.created"}"#);
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
    retention: Retention,
    /// Calls of `insert` in progress, those among them that have their answer and do not know yet.
    inserting: AtomicUsize,
    queue: mpsc::Sender<Task>,
    /// The tasks that keep the file in order.
    upkeep: [AbortHandle; 2],
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.upkeep.iter().for_each(AbortHandle::abort);
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

    pub(crate) fn new(
        database: Arc<Database>,
        retention: Retention,
        queue: mpsc::Sender<Task>,
        upkeep: [AbortHandle; 2],
    ) -> Self {
        let inserting = AtomicUsize::new(0);
        Self { inner: Arc::new(Inner { database, retention, inserting, queue, upkeep }) }
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
    /// [`StoreError::LeaseLost`] if somebody else handles the event by now; [`StoreError::AlreadyCompleted`] if a
    /// transaction of this run has been committed; [`StoreError::Unavailable`] if the event was not handed out by a store,
    /// and for a store that does not work.
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
    /// [`StoreError::LeaseLost`] if the lease has ended, [`StoreError::AlreadyCompleted`] if a transaction under it has
    /// been committed, [`StoreError::Unavailable`] if the store does not work.
    pub async fn transaction_under(&self, lease: &Lease) -> Result<SqliteTransaction, StoreError> {
        SqliteTransaction::begin(Arc::clone(&self.inner.database), lease).await
    }
}

#[cfg(test)]
impl SqliteStore {
    /// How many ids are in memory.
    pub(crate) async fn ids_in_memory(&self) -> usize {
        let mut turn = self.inner.database.turn().await.unwrap();
        self.inner.database.connection(&mut turn).await.unwrap().recent.len()
    }

    pub(crate) fn queue(&self) -> &mpsc::Sender<Task> {
        &self.inner.queue
    }

    /// From now on nothing is merged in the background.
    pub(crate) fn stop_upkeep(&self) {
        self.inner.upkeep.iter().for_each(AbortHandle::abort);
    }
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
    use std::time::Duration;

    use idnow_webhooks_core::SystemClock;
    use idnow_webhooks_core::store::{EventStore as _, NewEvent};

    use super::*;
    use crate::settings::Settings;

    #[tokio::test]
    async fn without_the_task_that_writes_nothing_is_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            path: folder.path().join("events.db"),
            create_if_missing: true,
            busy_timeout: Duration::from_secs(1),
            max_readers: 1,
            merge_after: 1,
        };
        let database = Arc::new(Database::open(settings, Arc::new(SystemClock)).await.unwrap());
        let (queue, crashed) = mpsc::channel(1);
        drop(crashed);
        let upkeep = [(); 2].map(|()| tokio::spawn(async {}).abort_handle());
        let store = SqliteStore::new(database, Retention::default(), queue, upkeep);
        let event = NewEvent::from_json(r#"{"eventId": "1", "eventName": "session.created"}"#);
        let error = store.insert(event).await.unwrap_err();
        assert!(error.to_string().contains("restart"), "{error}");
        assert!(store.check().await.is_err());
        assert!(store.get("1").await.unwrap().is_none());
    }
}
