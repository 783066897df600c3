//! How connections to the file are made.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqlitePool};
use tokio::time::Instant;

use crate::error::{Cause, OpenError};
use crate::files::Files;
use crate::schema::{KNOWN, Migration, look, migrate, probe};

/// Pages in the write-ahead log, 4 KiB each, after which they are copied into the file. Pages that are written again and
/// again are copied once. Many more than these gain little, and make the one commit that copies them slow.
const CHECKPOINT_PAGES: &str = "16000";
/// What the log is cut to once its pages are copied, in bytes, if a long read let it grow.
const LOG_SIZE: &str = "67108864";
const OPEN_AGAIN: Duration = Duration::from_millis(20);

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Absolute, so that it is never taken for a URI or for SQLite's name of a database in memory.
    pub(crate) path: PathBuf,
    pub(crate) create_if_missing: bool,
    pub(crate) busy_timeout: Duration,
    pub(crate) max_readers: u32,
    /// So many ids are [kept in memory](crate::recent) before they are merged into their table.
    pub(crate) merge_after: usize,
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

    /// A connection to write, and the file that it has open.
    pub(crate) async fn open(&self, create: bool) -> Result<(SqliteConnection, Files), OpenError> {
        let give_up = Instant::now() + self.busy_timeout;
        let connection = loop {
            Files::prepare(&self.path, create)?;
            match self.connect(create).await {
                // SQLite does not wait for the lock that the change to a write-ahead log takes.
                Err(OpenError::Locked { .. }) if Instant::now() < give_up => {
                    tokio::time::sleep(OPEN_AGAIN).await;
                }
                connected => break connected?,
            }
        };
        let files = Files::of(&self.path)
            .map_err(|source| OpenError::CannotOpen { path: self.path.clone(), source: source.into() })?;
        Ok((connection, files))
    }

    async fn connect(&self, create: bool) -> Result<SqliteConnection, OpenError> {
        let error = |error| self.refusal(error);
        let mut connection = self.writing().connect().await.map_err(error)?;
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

    /// SQLite does not say what is wrong with a file, so that is looked at here.
    fn refusal(&self, error: sqlx::Error) -> OpenError {
        let (path, cause) = (self.path.clone(), Cause::of(&error));
        let reason = match cause {
            Cause::ReadOnly | Cause::CannotOpen => Files::why_not(&path),
            _ => None,
        };
        reason.unwrap_or_else(|| match cause {
            Cause::Locked => OpenError::Locked { path, waited: self.busy_timeout },
            Cause::ReadOnly => OpenError::ReadOnly { path },
            Cause::Corrupt => OpenError::Corrupt { path, source: error.into() },
            Cause::Full => OpenError::Full { path },
            Cause::CannotOpen | Cause::InputOutput | Cause::Other => {
                OpenError::CannotOpen { path, source: error.into() }
            }
        })
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
    pub(crate) fn pools(&self, files: Arc<Files>) -> Pools {
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

/// Connections beside the writer's.
#[derive(Debug, Clone)]
pub(crate) struct Pools {
    pub(crate) files: Arc<Files>,
    pub(crate) readers: SqlitePool,
    pub(crate) transactions: SqlitePool,
}
