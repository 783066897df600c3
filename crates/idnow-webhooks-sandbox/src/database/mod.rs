//! The SQLite file: one connection that writes, and some beside it that read.

pub(crate) mod again;
pub(crate) mod attempts;
mod batch;
pub(crate) mod check;
pub(crate) mod codes;
pub(crate) mod deliveries;
pub(crate) mod endpoints;
pub(crate) mod events;
mod file;
pub(crate) mod ids;
mod job;
pub(crate) mod keys;
mod load;
mod open;
pub(crate) mod purge;
mod row;
mod schema;
pub(crate) mod sessions;
mod shared;
pub(crate) mod taken;
mod tally;
pub(crate) mod unit;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Sqlite, SqlitePool};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::clock::micros;
use crate::error::Error;
use crate::known::Known;
use attempts::{Recording, Taking, Terms};
use batch::Task;
use file::OwnFile;
use job::Pending;
use open::{connect, failure, fault, options};
use shared::Shared;
use taken::Taken;
use tally::Tally;
use unit::Work;
use writer::Writer;

/// Calls that may wait to be written. Those beyond it wait to wait.
const QUEUE: usize = 2048;

/// How many calls may read at the same time. Reading never holds up writing.
const READERS: u32 = 4;

/// How long a call waits for a lock or a connection: nobody has any for long.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many deliveries one transaction changes, of many. Others come in between.
pub(crate) const STEP: u32 = 2000;

/// A cheap handle.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) shared: Arc<Shared>,
    queue: mpsc::Sender<Task>,
    readers: SqlitePool,
}

impl Database {
    /// Opens the file, or a temporary one. The task ends after [`close`](Self::close). What tokens name as their issuer, and
    /// the longest that a delivery waits, are noted with attempts.
    pub(crate) async fn open(
        path: Option<PathBuf>,
        issuer: &str,
        longest_wait: Duration,
    ) -> Result<(Self, JoinHandle<()>), Error> {
        let file = match path {
            Some(path) => OwnFile::open(&path)?,
            None => OwnFile::temporary()?,
        };
        let mut connection = connect(&file).await?;
        let loaded = load::load(&mut connection).await.map_err(|error| fault(&file, error))?;
        let issuer = endpoints::text(&mut connection, issuer).await.map_err(|error| failure(&file, error))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(false)
            .connect_lazy_with(options(&file).read_only(true));
        let known = Arc::new(loaded.known);
        let shared = Arc::new(Shared::new(file, &known, loaded.tally));
        let terms =
            Terms { issuer, longest_wait: micros(longest_wait), orphans: Arc::clone(&shared.orphans) };
        let writer = Writer::new(Arc::clone(&shared), connection, known, loaded.numbers, terms);
        let (queue, receiver) = mpsc::channel(QUEUE);
        let task = tokio::spawn(writer.run(receiver));
        let database = Self { shared, queue, readers };
        database.write(attempts::Recover).await?;
        database.sweep().await?;
        Ok((database, task))
    }

    /// Whoever comes after this is told that the sandbox has stopped; whoever came before is served.
    pub(crate) async fn close(&self, writer: JoinHandle<()>) {
        self.shared.closing.cancel();
        self.readers.close().await;
        if let Err(error) = writer.await {
            tracing::error!(%error, "the task that writes to the database has broken down");
        }
        self.shared.file.release();
    }

    /// Does it in a transaction, which is durable when this returns. If the caller goes away, it is done or not.
    pub(crate) async fn write<W: Work>(&self, work: W) -> Result<W::Output, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Task::Other(Box::new(Pending::new(work, reply)))).await?;
        answer.await.map_err(|_| stopped())?
    }

    /// Begins attempts of what is due.
    pub(crate) async fn take(&self, taking: Taking) -> Result<Taken, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Task::Take(taking, reply)).await?;
        answer.await.map_err(|_| stopped())?
    }

    /// Notes what came of an attempt.
    pub(crate) async fn record(&self, recording: Recording) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Task::Record(recording, reply)).await?;
        answer.await.map_err(|_| stopped())?
    }

    /// Ends what waits for endpoints that were deleted.
    pub(crate) async fn sweep(&self) -> Result<(), Error> {
        while self.write(again::Sweep { limit: STEP }).await? > 0 {}
        Ok(())
    }

    async fn send(&self, task: Task) -> Result<(), Error> {
        self.queue.send(task).await.map_err(|_| stopped())
    }

    /// A connection to read by, which sees everything that was committed.
    pub(crate) async fn reader(&self) -> Result<PoolConnection<Sqlite>, Error> {
        self.readers.acquire().await.map_err(|error| match error {
            sqlx::Error::PoolClosed => stopped(),
            sqlx::Error::PoolTimedOut => Error::unavailable(format!(
                "all {READERS} connections for reading were in use for {PATIENCE:?}"
            )),
            error => self.failure(error),
        })
    }

    pub(crate) fn failure(&self, error: sqlx::Error) -> Error {
        failure(&self.shared.file, error)
    }

    pub(crate) fn known(&self) -> watch::Receiver<Arc<Known>> {
        self.shared.known.subscribe()
    }

    /// How it is now.
    pub(crate) fn now_known(&self) -> Arc<Known> {
        Arc::clone(&self.shared.known.borrow())
    }

    pub(crate) fn tally(&self) -> Tally {
        *lock(&self.shared.tally)
    }

    pub(crate) fn signal(&self, endpoint: Uuid) -> Arc<Notify> {
        self.shared.signal(endpoint)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stopped() -> Error {
    Error::unavailable("the sandbox has stopped")
}

#[cfg(test)]
pub(crate) mod tests;
