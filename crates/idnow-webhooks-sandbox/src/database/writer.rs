//! The task that writes, for all callers at once.
//!
//! What came in while the last commit was being synced makes the next one: that is all of group commit, and an idle
//! sandbox waits for nothing.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection as _, Sqlite, SqliteConnection, Transaction};
use tokio::sync::mpsc;

use super::attempts::Terms;
use super::batch::{Batch, Done, Task};
use super::open::is_of_one_call;
use super::shared::Shared;
use super::taken::{Begun, Loose};
use super::unit::{Effects, Numbers, Unit};
use super::{connect, load};
use crate::clock;
use crate::error::Error;
use crate::known::Known;

/// The most that one commit takes along. It bounds how long the first caller waits for the last one.
const BATCH: usize = 512;

/// How often the writer lets all other tasks of the runtime run without anybody coming of it.
const GATHER: usize = 3;

/// After a failure, before what is left is tried again although nobody has asked for anything.
const PAUSE: Duration = Duration::from_secs(1);

/// What only the writer has.
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// None after it has failed: a new one is opened for the next batch.
    connection: Option<SqliteConnection>,
    known: Arc<Known>,
    numbers: Numbers,
    terms: Terms,
    /// Attempts that were given up, and not put back yet.
    orphans: Vec<Begun>,
}

/// How far a batch has come.
enum Failed {
    /// Nothing of it was done.
    Before(sqlx::Error),
    /// It may be durable all the same, and so may these attempts have begun.
    Doubtful(sqlx::Error, Vec<Begun>),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Before(error)
    }
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Together,
    Apart,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        connection: SqliteConnection,
        known: Arc<Known>,
        numbers: Numbers,
        terms: Terms,
    ) -> Self {
        Self { shared, connection: Some(connection), known, numbers, terms, orphans: Vec::new() }
    }

    /// Runs until the sandbox has stopped and everything is done.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Task>) {
        let shared = Arc::clone(&self.shared);
        let mut tasks = Vec::with_capacity(BATCH);
        let (mut last, mut closed) = (0, false);
        loop {
            gather(&queue, last).await;
            tokio::select! {
                biased;
                // First: the queue may never be empty until it is closed. What is in it then is still done.
                () = shared.closing.cancelled(), if !closed => {
                    closed = true;
                    queue.close();
                }
                count = queue.recv_many(&mut tasks, BATCH) => if count == 0 { break },
                () = shared.orphans.added() => {}
                () = tokio::time::sleep(PAUSE), if self.has_failed() => {}
            }
            tasks.retain(|task| !task.is_abandoned());
            last = tasks.len();
            self.orphans.append(&mut shared.orphans.take());
            if !tasks.is_empty() || self.has_failed() {
                let mut batch = Batch::new(tasks.drain(..), mem::take(&mut self.orphans));
                let done = self.commit(&mut batch).await;
                if done.is_err() {
                    self.orphans.append(&mut batch.orphans);
                }
                batch.answer(done, |error| shared.failure(error));
            }
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "closing the database failed");
        }
    }

    /// Whether something is left to be done that nobody asks for.
    fn has_failed(&self) -> bool {
        self.connection.is_none() || !self.orphans.is_empty()
    }

    /// What is wrong with one call is not the others' business. Everything else fails all of them.
    async fn commit(&mut self, batch: &mut Batch) -> Result<Done, Error> {
        self.shared.file.check()?;
        if self.connection.is_none() {
            self.open().await?;
        }
        let done = match self.transaction(batch, Way::Together).await {
            Err(Failed::Before(error)) if is_of_one_call(&error) => {
                tracing::debug!(%error, "a call has failed, and is done apart from the others");
                self.transaction(batch, Way::Apart).await
            }
            done => done,
        };
        let error = match done {
            Ok(done) => return Ok(done),
            Err(Failed::Before(error)) => error,
            Err(Failed::Doubtful(error, mut begun)) => {
                self.orphans.append(&mut begun);
                error
            }
        };
        // Whatever state it is in, a new one is in a good one.
        if let Some(connection) = self.connection.take() {
            let _ = connection.close().await;
        }
        Err(self.shared.failure(error))
    }

    async fn transaction(&mut self, batch: &mut Batch, way: Way) -> Result<Done, Failed> {
        // It is opened before: this is never so.
        let connection = self.connection.as_mut().ok_or(sqlx::Error::WorkerCrashed)?;
        let mut outcome = Effects { has_listeners: self.shared.live.has_listeners(), ..Effects::default() };
        // The map is shared by this, so the first change of a transaction copies it.
        let mut known = Arc::clone(&self.known);
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mut unit = Unit {
            connection: &mut transaction,
            now: clock::now().timestamp_micros(),
            known: &mut known,
            numbers: &mut self.numbers,
            outcome: &mut outcome,
        };
        let done = match way {
            Way::Together => batch.together(&mut unit, &self.terms).await,
            Way::Apart => batch.apart(&mut unit, &self.terms).await,
        };
        let done = match done {
            Ok(done) => done,
            Err(error) => {
                transaction.rollback().await?;
                return Err(error.into());
            }
        };
        if let Err(error) = commit(transaction, &self.shared).await {
            return Err(Failed::Doubtful(error, done.attempts().map(Loose::attempt).collect()));
        }
        for loose in done.attempts() {
            loose.arm();
        }
        self.known = known;
        self.shared.committed(&self.known, outcome);
        Ok(done)
    }

    /// After a failure. Whether what failed has reached the disk is not known, so everything is read anew.
    async fn open(&mut self) -> Result<(), Error> {
        let mut connection = connect(&self.shared.file).await?;
        let loaded = load::load(&mut connection).await.map_err(|fault| self.shared.fault(fault))?;
        self.known = Arc::new(loaded.known);
        self.numbers = Numbers {
            session: self.numbers.session.max(loaded.numbers.session),
            event: self.numbers.event.max(loaded.numbers.event),
            delivery: self.numbers.delivery.max(loaded.numbers.delivery),
        };
        self.shared.read_anew(&self.known, loaded.tally);
        self.connection = Some(connection);
        tracing::info!("the database was reopened");
        Ok(())
    }
}

#[cfg_attr(not(test), expect(unused_variables, reason = "only tests let it fail"))]
async fn commit(transaction: Transaction<'_, Sqlite>, shared: &Shared) -> Result<(), sqlx::Error> {
    transaction.commit().await?;
    #[cfg(test)]
    if shared.doubtful.swap(false, std::sync::atomic::Ordering::Relaxed) {
        return Err(sqlx::Error::Io(std::io::Error::other("on purpose")));
    }
    Ok(())
}

/// Lets those who have just been answered come again, as long as they do come. Without this, the first of them would get
/// a commit to itself. An idle sandbox has answered one at most, and waits for nobody.
async fn gather(queue: &mpsc::Receiver<Task>, answered: usize) {
    let (mut here, mut in_vain) = (queue.len(), 0);
    while answered > 1 && here < answered && in_vain < GATHER {
        tokio::task::yield_now().await;
        in_vain = if queue.len() > here { 0 } else { in_vain + 1 };
        here = queue.len();
    }
}
