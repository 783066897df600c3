//! The connections to the file: one that writes, and some beside it.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use idnow_webhooks_core::Clock;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, Sqlite, SqlitePool};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};
use tokio::time::Instant;

use crate::error::{Failure, OpenError};
use crate::files::Files;
use crate::schema::{KNOWN, Migration, migrate};

/// Pages in the write-ahead log, 4 KiB each, after which they are copied into the file. Ids are random, so the pages of
/// their index are written all over the file: the more events share a copy, the less each of them costs. With a million
/// events stored, 4000 pages slow a busy store down to about 0.6, these to about 0.75, twice as many to about 0.8.
const CHECKPOINT_PAGES: &str = "16000";
/// What the log is cut to once its pages are copied, in bytes, if a long read let it grow.
const LOG_SIZE: &str = "67108864";
/// The writer's memory for pages, in KiB, negative by SQLite's convention.
const WRITER_CACHE: &str = "-32768";
const OPEN_AGAIN: Duration = Duration::from_millis(20);

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Absolute, so that it is never taken for a URI or for SQLite's name of a database in memory.
    pub(crate) path: PathBuf,
    pub(crate) create_if_missing: bool,
    pub(crate) busy_timeout: Duration,
    pub(crate) max_readers: u32,
}

impl Settings {
    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .busy_timeout(self.busy_timeout)
            .disable_statement_logging()
    }

    /// Of every connection that commits: it is the one that commits which copies the log.
    fn writing(&self) -> SqliteConnectOptions {
        self.options()
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .pragma("journal_size_limit", LOG_SIZE)
    }

    pub(crate) fn failure(&self, error: &sqlx::Error) -> Failure {
        Failure::of(&self.path, self.busy_timeout, error)
    }

    async fn connect(&self) -> Result<SqliteConnection, OpenError> {
        let error = |error| OpenError::of(&self.path, self.busy_timeout, error);
        let options = self.writing().journal_mode(SqliteJournalMode::Wal).pragma("cache_size", WRITER_CACHE);
        let mut connection = options.connect().await.map_err(error)?;
        let mode = sqlx::query("PRAGMA journal_mode").fetch_one(&mut connection).await.map_err(error)?;
        let mode: String = mode.try_get(0).map_err(error)?;
        if mode != "wal" {
            return Err(OpenError::NoWriteAheadLog { path: self.path.clone(), mode });
        }
        match migrate(&mut connection).await.map_err(error)? {
            Migration::Done => Ok(connection),
            Migration::Newer(found) => {
                Err(OpenError::NewerSchema { path: self.path.clone(), found, known: KNOWN.into() })
            }
        }
    }

    /// Connections beside the writer's. They are made when they are needed.
    fn pools(&self, files: Arc<Files>) -> Pools {
        let readers = SqlitePoolOptions::new()
            .max_connections(self.max_readers)
            .acquire_timeout(self.busy_timeout)
            .test_before_acquire(false)
            .connect_lazy_with(self.options().read_only(true));
        let transactions = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(self.busy_timeout)
            .test_before_acquire(false)
            // A rollback that failed would leave the next one inside of a transaction.
            .after_release(|connection, _| {
                Box::pin(async move {
                    connection.ping().await?;
                    Ok(!connection.is_in_transaction())
                })
            })
            .connect_lazy_with(self.writing());
        Pools { files, readers, transactions }
    }
}

#[derive(Debug, Clone)]
struct Pools {
    files: Arc<Files>,
    readers: SqlitePool,
    transactions: SqlitePool,
}

/// The writer's connection, while there is one that works.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    open: Option<(SqliteConnection, Arc<Files>)>,
}

/// Whoever holds it may write: SQLite has one writer at a time, and its own lock is not fair.
pub(crate) type Turn = OwnedMutexGuard<Writer>;

#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) changed: Notify,
    writer: Arc<Mutex<Writer>>,
    pools: RwLock<Pools>,
}

impl Database {
    pub(crate) async fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let (connection, files) = open_writer(&settings).await?;
        let pools = settings.pools(Arc::clone(&files));
        Ok(Self {
            settings,
            clock,
            changed: Notify::new(),
            writer: Arc::new(Mutex::new(Writer { open: Some((connection, files)) })),
            pools: RwLock::new(pools),
        })
    }

    /// Microseconds since the epoch.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now().timestamp_micros()
    }

    /// Wakes workers: those that wait, and the next one that comes to wait.
    pub(crate) fn wake(&self) {
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    /// Waits for the right to write.
    ///
    /// Not for ever: a worker extends the lease of an event while its handler may hold a transaction, and does not go
    /// on with the handler until it has an answer.
    pub(crate) async fn turn(&self) -> Result<Turn, Failure> {
        let wait = self.settings.busy_timeout;
        tokio::time::timeout(wait, Arc::clone(&self.writer).lock_owned()).await.map_err(|_| {
            Failure::busy(format!(
                "somebody else was writing for longer than {wait:?}: a handler that keeps its transaction open (let \
                 it do what is slow before it begins one), or the disk is slow"
            ))
        })
    }

    pub(crate) fn turn_if_free(&self) -> Option<Turn> {
        Arc::clone(&self.writer).try_lock_owned().ok()
    }

    /// The writer's connection: the one there is, if it is still that of the file at the path, or a new one.
    pub(crate) async fn connection<'t>(
        &self,
        turn: &'t mut Turn,
    ) -> Result<&'t mut SqliteConnection, Failure> {
        if let Err(failure) = check(turn) {
            self.close(turn).await;
            return Err(failure);
        }
        if turn.open.is_none() {
            let (connection, files) =
                open_writer(&self.settings).await.map_err(|error| Failure::from(&error))?;
            let pools = self.settings.pools(Arc::clone(&files));
            let old = {
                let mut current = self.pools.write().unwrap_or_else(PoisonError::into_inner);
                std::mem::replace(&mut *current, pools)
            };
            tokio::spawn(async move {
                old.readers.close().await;
                old.transactions.close().await;
            });
            turn.open = Some((connection, files));
            tracing::info!(path = ?self.settings.path, "the event store was opened anew");
        }
        match &mut turn.open {
            Some((connection, _)) => Ok(connection),
            None => Err(Failure::new("there is no connection")),
        }
    }

    /// What was just committed is only safe if the file is still the one at the path.
    pub(crate) async fn check_after(&self, turn: &mut Turn) -> Result<(), Failure> {
        let checked = check(turn);
        if checked.is_err() {
            self.close(turn).await;
        }
        checked
    }

    pub(crate) async fn close(&self, turn: &mut Turn) {
        if let Some((connection, _)) = turn.open.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "closing a connection to the event store failed");
        }
    }

    fn pools(&self) -> Pools {
        self.pools.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A connection to read, which holds up nobody.
    pub(crate) async fn reader(&self) -> Result<PoolConnection<Sqlite>, Failure> {
        let mut pools = self.pools();
        if pools.files.check().is_err() {
            let mut turn = self.turn().await?;
            // The first call finds out, the second one opens the new file.
            if self.connection(&mut turn).await.is_err() {
                self.connection(&mut turn).await?;
            }
            pools = self.pools();
        }
        let limit = self.settings.max_readers;
        pools.readers.acquire().await.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => {
                Failure::busy(format!("all {limit} connections for reading are in use"))
            }
            error => self.settings.failure(&error),
        })
    }

    /// Begins a transaction for others to write in. The turn must be held until it ends.
    pub(crate) async fn transaction(
        &self,
        turn: &mut Turn,
    ) -> Result<sqlx::Transaction<'static, Sqlite>, Failure> {
        self.connection(turn).await?;
        let begun = self.pools().transactions.begin_with("BEGIN IMMEDIATE").await;
        begun.map_err(|error| self.settings.failure(&error))
    }
}

fn check(turn: &Turn) -> Result<(), Failure> {
    match &turn.open {
        Some((_, files)) => files.check().map_err(Failure::new),
        None => Ok(()),
    }
}

async fn open_writer(settings: &Settings) -> Result<(SqliteConnection, Arc<Files>), OpenError> {
    let give_up = Instant::now() + settings.busy_timeout;
    let connection = loop {
        Files::prepare(&settings.path, settings.create_if_missing)?;
        match settings.connect().await {
            // SQLite does not wait for the lock that the change to a write-ahead log takes.
            Err(OpenError::Locked { .. }) if Instant::now() < give_up => tokio::time::sleep(OPEN_AGAIN).await,
            connected => break connected?,
        }
    };
    let files = Files::of(&settings.path)
        .map_err(|source| OpenError::CannotOpen { path: settings.path.clone(), source: source.into() })?;
    Ok((connection, Arc::new(files)))
}

#[cfg(test)]
mod tests;
