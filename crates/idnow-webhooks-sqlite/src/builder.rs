use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use idnow_webhooks_core::store::Retention;
use idnow_webhooks_core::{Clock, SystemClock};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::database::Database;
use crate::error::OpenError;
use crate::settings::Settings;
use crate::store::SqliteStore;
use crate::{medium, merge, retention, writer};

/// Calls that may wait to be written. Those beyond it wait to wait.
const QUEUE: usize = 1024;
/// So many ids are kept in memory, in a few megabytes, before they are merged into their table. If that has a million of
/// them, each of its pages gets about four new ones.
const MERGE_AFTER: usize = 32_768;
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// Opens a [`SqliteStore`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use idnow_webhooks_core::store::Retention;
/// use idnow_webhooks_sqlite::SqliteStore;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("events.db");
/// let store = SqliteStore::builder(&path)
///     .retention(Retention::new(Duration::from_secs(90 * 24 * 3600))?)
///     .open()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SqliteStoreBuilder {
    path: PathBuf,
    create_if_missing: bool,
    busy_timeout: Duration,
    max_readers: u32,
    retention: Retention,
    clock: Arc<dyn Clock>,
    merge_after: usize,
}

impl SqliteStoreBuilder {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            create_if_missing: true,
            busy_timeout: Duration::from_secs(2),
            max_readers: 4,
            retention: Retention::default(),
            clock: Arc::new(SystemClock),
            merge_after: MERGE_AFTER,
        }
    }

    /// Whether to create the file if there is none, or the tables if a database has none (default: yes). Only this user
    /// can read a file that was created so. Its folder must exist. A file that is gone later is never created anew.
    pub fn create_if_missing(mut self, create: bool) -> Self {
        self.create_if_missing = create;
        self
    }

    /// How long to wait while another connection holds the lock on the file, or a handler's transaction is open
    /// (default: 2 s; at most 10 min). Then the call fails, and the provider is told to try again later, so
    /// keep this well below the receiver's deadline.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// How many operators' calls may read at the same time (default: 4, at least 1). Reading never holds up writing.
    pub fn max_readers(mut self, connections: u32) -> Self {
        self.max_readers = connections;
        self
    }

    /// How long completed events are kept (default: 30 days). The store removes them by itself. Parked tokens are kept for
    /// 7 days, but never for longer than this.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Goes by another clock (default: the machine's).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// So many ids are kept in memory.
    #[cfg(test)]
    pub(crate) fn merge_after(mut self, ids: usize) -> Self {
        self.merge_after = ids;
        self
    }

    /// Opens the file. The current Tokio runtime then does the store's work until the last handle is dropped.
    ///
    /// The file is put into SQLite's write-ahead mode, and gets the store's tables, whose names begin with
    /// `idnow_webhooks_`, beside whatever is in it.
    ///
    /// On Linux the log warns of a file where what was acknowledged may be lost: on the layer of a container (overlay),
    /// in memory (tmpfs) or over a network (NFS, SMB, FUSE).
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what is wrong with the file and what to do about it.
    pub async fn open(self) -> Result<SqliteStore, OpenError> {
        self.check()?;
        let runtime = Handle::try_current().map_err(|_| OpenError::NoRuntime)?;
        let path = path::absolute(&self.path)
            .map_err(|source| OpenError::CannotOpen { path: self.path.clone(), source: source.into() })?;
        let settings = Settings {
            path,
            create_if_missing: self.create_if_missing,
            busy_timeout: self.busy_timeout,
            max_readers: self.max_readers,
            merge_after: self.merge_after,
        };
        let path = settings.path.clone();
        let database = Arc::new(Database::open(settings, self.clock).await?);
        medium::warn(&path);
        let (sender, receiver) = mpsc::channel(QUEUE);
        runtime.spawn(writer::write(Arc::clone(&database), receiver));
        let upkeep = [
            runtime.spawn(retention::keep(sender.downgrade(), self.retention)).abort_handle(),
            runtime.spawn(merge::keep(sender.downgrade(), Arc::clone(&database.grown))).abort_handle(),
        ];
        Ok(SqliteStore::new(database, self.retention, sender, upkeep))
    }

    fn check(&self) -> Result<(), OpenError> {
        if self.busy_timeout > LONGEST_WAIT {
            let problem = "is longer than 10 min: give a shorter time";
            return Err(OpenError::InvalidSetting { setting: "busy_timeout", problem });
        }
        if self.max_readers == 0 {
            return Err(OpenError::InvalidSetting {
                setting: "max_readers",
                problem: "is 0: give at least 1",
            });
        }
        Ok(())
    }
}
