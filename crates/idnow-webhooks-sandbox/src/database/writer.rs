//! The task that writes, for all callers at once.
//!
//! What came in while the last commit was being synced makes the next one: that is all of group commit, and an idle
//! sandbox waits for nothing.

use std::sync::Arc;

use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::mpsc;

use super::attempts::{self, Recording, Taking};
use super::unit::{Effects, Job, Numbers, Reply, Unit};
use super::{Shared, connect, load};
use crate::clock;
use crate::error::Error;
use crate::known::Known;
use crate::state::Taken;

/// The most that one commit takes along. It bounds how long the first caller waits for the last one.
const BATCH: usize = 512;

/// How often the writer lets all other tasks of the runtime run without anybody coming of it.
const GATHER: usize = 3;

pub(crate) enum Task {
    Take(Taking, Reply<Taken>),
    Record(Recording, Reply<()>),
    Other(Box<dyn Job>),
}

impl Task {
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Take(_, reply) => reply.is_closed(),
            // What has happened is noted, whoever waits for it.
            Self::Record(..) => false,
            Self::Other(job) => job.is_abandoned(),
        }
    }
}

/// What only the writer has.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    /// None after it has failed: a new one is opened for the next batch.
    pub(crate) connection: Option<SqliteConnection>,
    pub(crate) known: Arc<Known>,
    pub(crate) numbers: Numbers,
    /// What the tokens name as their issuer.
    pub(crate) issuer: i64,
    /// Deliveries whose attempts were given up.
    pub(crate) orphans: Vec<i64>,
}

/// A batch, sorted.
#[derive(Default)]
struct Batch {
    recordings: Vec<Recording>,
    recorded: Vec<Reply<()>>,
    jobs: Vec<Box<dyn Job>>,
    takings: Vec<Taking>,
    taken: Vec<Reply<Taken>>,
}

impl Writer {
    /// Runs until the sandbox has stopped and everything is done.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Task>) {
        let shared = Arc::clone(&self.shared);
        let mut tasks = Vec::with_capacity(BATCH);
        let (mut last, mut closed) = (0, false);
        loop {
            gather(&queue, last).await;
            tokio::select! {
                biased;
                count = queue.recv_many(&mut tasks, BATCH) => if count == 0 { break },
                () = shared.orphaned.notified() => {}
                () = shared.closing.cancelled(), if !closed => {
                    closed = true;
                    queue.close();
                }
            }
            tasks.retain(|task| !task.is_abandoned());
            last = tasks.len();
            self.orphans.append(&mut super::lock(&shared.orphans));
            if !tasks.is_empty() || !self.orphans.is_empty() {
                self.batch(&mut tasks).await;
            }
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "closing the database failed");
        }
    }

    async fn batch(&mut self, tasks: &mut Vec<Task>) {
        let mut batch = Batch::default();
        for task in tasks.drain(..) {
            match task {
                Task::Record(recording, reply) => {
                    batch.recordings.push(recording);
                    batch.recorded.push(reply);
                }
                Task::Take(taking, reply) => {
                    batch.takings.push(taking);
                    batch.taken.push(reply);
                }
                Task::Other(job) => batch.jobs.push(job),
            }
        }
        let committed = self.commit(&mut batch).await;
        // A caller that has gone away wants no answer. Attempts that nobody makes were counted, which does no harm: at the
        // next start they are due again.
        for reply in batch.recorded {
            let _ = reply.send(committed.as_ref().map(|_| ()).map_err(Clone::clone));
        }
        let outcome = committed.as_ref().map(|_| ()).map_err(Clone::clone);
        for job in batch.jobs {
            job.answer(outcome.clone());
        }
        match committed {
            Ok(taken) => {
                for (reply, taken) in batch.taken.into_iter().zip(taken) {
                    let _ = reply.send(taken);
                }
            }
            Err(error) => {
                for reply in batch.taken {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }

    /// All of it, or nothing.
    async fn commit(&mut self, batch: &mut Batch) -> Result<Vec<Result<Taken, Error>>, Error> {
        self.shared.file.check()?;
        if self.connection.is_none() {
            self.open().await?;
        }
        let Some(connection) = &mut self.connection else {
            return Err(Error::unavailable("there is no connection to the database"));
        };
        let mut outcome = Effects { has_listeners: self.shared.live.has_listeners(), ..Effects::default() };
        // The map is shared by this, so the first change of a transaction copies it.
        let mut known = Arc::clone(&self.known);
        let begun = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let now = clock::now().timestamp_micros();
            let mut unit = Unit {
                connection: &mut transaction,
                now,
                known: &mut known,
                numbers: &mut self.numbers,
                outcome: &mut outcome,
            };
            if !self.orphans.is_empty() {
                attempts::give_up(&mut unit, Some(&self.orphans)).await?;
            }
            attempts::record(&mut unit, &batch.recordings).await?;
            for job in &mut batch.jobs {
                job.run(&mut unit).await?;
            }
            // Last, so that they find what has just been made.
            let taken = attempts::take(&mut unit, &batch.takings, self.issuer, &self.shared).await?;
            transaction.commit().await?;
            Ok(taken)
        };
        match begun.await {
            Ok(taken) => {
                self.orphans.clear();
                self.known = known;
                self.shared.committed(&self.known, outcome);
                Ok(taken)
            }
            Err(error) => {
                let failure = self.shared.failure(error);
                // Whatever state it is in, a new one is in a good one.
                if let Some(connection) = self.connection.take() {
                    let _ = connection.close().await;
                }
                Err(failure)
            }
        }
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
        *super::lock(&self.shared.tally) = loaded.tally;
        self.shared.known.send_replace(Arc::clone(&self.known));
        self.connection = Some(connection);
        tracing::info!("the database was opened anew");
        Ok(())
    }
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
