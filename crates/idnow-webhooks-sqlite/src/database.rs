//! The connections to the file: one that writes, and some beside it.

use std::path::PathBuf;
use std::sync::{self, Arc, PoisonError, RwLock};
use std::time::Duration;

use idnow_webhooks_core::Clock;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, Sqlite, SqlitePool};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};
use tokio::time::Instant;

use crate::begun::BegunTransactions;
use crate::error::{Cause, Failure, OpenError};
use crate::files::{Files, Origin};
use crate::schema::{KNOWN, Migration, look, migrate, probe};

/// Pages in the write-ahead log, 4 KiB each, after which they are copied into the file. Ids are random, so the pages of
/// their index are written all over the file: the more events share a copy, the less each of them costs. Many more pages
/// than these gain little, and make the one commit that copies them slow.
const CHECKPOINT_PAGES: &str = "16000";
/// What the log is cut to once its pages are copied, in bytes, if a long read let it grow.
const LOG_SIZE: &str = "67108864";
/// The writer's memory for pages, in KiB, negative by SQLite's convention. More makes no difference: the system keeps the
/// file in memory, too.
const WRITER_CACHE: &str = "-16384";
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

    async fn connect(&self, create: bool) -> Result<SqliteConnection, OpenError> {
        let error = |error| OpenError::of(&self.path, self.busy_timeout, error);
        let options = self.writing().pragma("cache_size", WRITER_CACHE);
        let mut connection = options.connect().await.map_err(error)?;
        let found = look(&mut connection, create).await.map_err(error)?;
        self.accept(found.as_ref())?;
        // Not before: it changes the file.
        let mode =
            sqlx::query("PRAGMA journal_mode = WAL").fetch_one(&mut connection).await.map_err(error)?;
        let mode: String = mode.try_get(0).map_err(error)?;
        if mode != "wal" {
            return Err(OpenError::NoWriteAheadLog { path: self.path.clone(), mode });
        }
        if found.is_some() {
            probe(&mut connection, self.busy_timeout).await.map_err(error)?;
        } else {
            let migrated = migrate(&mut connection).await.map_err(error)?;
            self.accept(Some(&migrated))?;
        }
        Ok(connection)
    }

    fn accept(&self, migration: Option<&Migration>) -> Result<(), OpenError> {
        let path = self.path.clone();
        match migration {
            Some(Migration::Newer(found)) => {
                Err(OpenError::NewerSchema { path, found: *found, known: KNOWN.into() })
            }
            Some(Migration::NoStore) => Err(OpenError::NoStore { path }),
            Some(Migration::Done) | None => Ok(()),
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

/// A file that was found damaged.
#[derive(Debug)]
struct Damage {
    origin: Origin,
    failure: Failure,
}

/// Whoever holds it may write: SQLite has one writer at a time, and its own lock is not fair.
pub(crate) type Turn = OwnedMutexGuard<Writer>;

/// Whoever holds it may begin a transaction of a handler.
pub(crate) type HandlersTurn = OwnedMutexGuard<()>;

#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) changed: Notify,
    pub(crate) begun: BegunTransactions,
    writer: Arc<Mutex<Writer>>,
    handlers: Arc<Mutex<()>>,
    pools: RwLock<Pools>,
    damage: sync::Mutex<Option<Damage>>,
}

impl Database {
    pub(crate) async fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let (connection, files) = open_writer(&settings, settings.create_if_missing).await?;
        let pools = settings.pools(Arc::clone(&files));
        Ok(Self {
            settings,
            clock,
            changed: Notify::new(),
            writer: Arc::new(Mutex::new(Writer { open: Some((connection, files)) })),
            begun: BegunTransactions::default(),
            handlers: Arc::default(),
            pools: RwLock::new(pools),
            damage: sync::Mutex::default(),
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

    /// Waits until no other handler has a transaction, or waits for its turn to write: otherwise everybody else would
    /// wait for all handlers that came before. There is no limit: that is the worker's, for the handler.
    pub(crate) async fn handlers_turn(&self) -> HandlersTurn {
        Arc::clone(&self.handlers).lock_owned().await
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
        if let Some(failure) = self.known_damage() {
            self.close(turn).await;
            return Err(failure);
        }
        if turn.open.is_none() {
            // Nothing is created: where a file system is not mounted, an empty store would take every event for new.
            let (connection, files) =
                open_writer(&self.settings, false).await.map_err(|error| Failure::from(&error))?;
            let path = self.settings.path.display();
            if files.origin() == self.pools().files.origin() {
                tracing::info!(%path, "the event store was opened anew");
            } else {
                tracing::warn!(
                    "{path} is another file than before: duplicates of earlier events are not recognised, and \
                     events that waited in the old one are not handled"
                );
            }
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

    /// What went wrong with the file. It is not used again if it is damaged.
    pub(crate) fn failure(&self, error: &sqlx::Error) -> Failure {
        let failure = Failure::of(&self.settings.path, self.settings.busy_timeout, error);
        if Cause::of(error) == Cause::Corrupt
            && self.pools().files.check().is_ok()
            && let Ok(origin) = Origin::at(&self.settings.path)
        {
            *self.damage() = Some(Damage { origin, failure: failure.clone() });
        }
        failure
    }

    /// Of the file that is at the path now.
    fn known_damage(&self) -> Option<Failure> {
        let damage = self.damage();
        let known = damage.as_ref()?;
        let same = Origin::at(&self.settings.path).is_ok_and(|origin| origin == known.origin);
        same.then(|| known.failure.clone())
    }

    fn damage(&self) -> sync::MutexGuard<'_, Option<Damage>> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner)
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
            error => self.failure(&error),
        })
    }

    /// Begins a transaction for others to write in. The turn must be held until it ends.
    pub(crate) async fn transaction(
        &self,
        turn: &mut Turn,
    ) -> Result<sqlx::Transaction<'static, Sqlite>, Failure> {
        self.connection(turn).await?;
        let begun = self.pools().transactions.begin_with("BEGIN IMMEDIATE").await;
        begun.map_err(|error| self.failure(&error))
    }
}

fn check(turn: &Turn) -> Result<(), Failure> {
    match &turn.open {
        Some((_, files)) => files.check(),
        None => Ok(()),
    }
}

async fn open_writer(settings: &Settings, create: bool) -> Result<(SqliteConnection, Arc<Files>), OpenError> {
    let give_up = Instant::now() + settings.busy_timeout;
    let connection = loop {
        Files::prepare(&settings.path, create)?;
        match settings.connect(create).await {
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
