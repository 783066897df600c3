//! The task that writes, for all callers at once.
//!
//! What came in while the last commit was being synced makes the next one: that is all of group commit, and an idle
//! store waits for nothing.

use std::sync::Arc;

use async_trait::async_trait;
use idnow_webhooks_core::store::{Insertion, StoreError};
use sqlx::Connection as _;
use tokio::sync::{mpsc, oneshot};

use crate::database::{Database, Open, Turn};
use crate::error::Failure;
use crate::ops::{MOST_ROWS, NewRow, insert, insert_new};
use crate::unit::{Unit, Work};

/// The most that one commit takes along. It bounds how long the first caller waits for the last one.
const BATCH: usize = 256;

/// How often the writer lets all other tasks of the runtime run without anybody coming of it.
const GATHER: usize = 3;

pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

pub(crate) enum Task {
    Insert(NewRow, Reply<Insertion>),
    Other(Box<dyn Job>),
}

impl Task {
    pub(crate) fn of<W: Work>(work: W, reply: Reply<W::Output>) -> Self {
        Self::Other(Box::new(Pending { work, reply, output: None }))
    }

    /// Whether nobody waits for it any more. It must not be done then: the caller may have said so to others.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Insert(_, reply) => reply.is_closed(),
            Self::Other(job) => job.is_abandoned(),
        }
    }
}

/// [`Work`] of any kind, and who waits for it.
#[async_trait]
pub(crate) trait Job: Send {
    fn is_abandoned(&self) -> bool;
    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), sqlx::Error>;
    fn answer(self: Box<Self>, committed: Result<(), Failure>);
}

struct Pending<W: Work> {
    work: W,
    reply: Reply<W::Output>,
    output: Option<W::Output>,
}

#[async_trait]
impl<W: Work> Job for Pending<W> {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), sqlx::Error> {
        self.output = Some(self.work.run(unit).await?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), Failure>) {
        let result = match (committed, self.output) {
            (Ok(()), Some(output)) => Ok(output),
            (Ok(()), None) => Err(StoreError::unavailable("it was not run")),
            (Err(failure), _) => Err(failure.into()),
        };
        // A caller that has gone away wants no answer.
        let _ = self.reply.send(result);
    }
}

/// Runs until the last handle of the store is gone and everything is done.
pub(crate) async fn write(database: Arc<Database>, mut queue: mpsc::Receiver<Task>) {
    let mut tasks = Vec::with_capacity(BATCH);
    let mut last = 0;
    loop {
        gather(&queue, last).await;
        if queue.recv_many(&mut tasks, BATCH).await == 0 {
            break;
        }
        let turn = database.turn().await;
        // Others have come while somebody else was writing, and some have gone.
        while turn.is_ok()
            && tasks.len() < BATCH
            && let Ok(task) = queue.try_recv()
        {
            tasks.push(task);
        }
        tasks.retain(|task| !task.is_abandoned());
        last = tasks.len();
        if !tasks.is_empty() {
            batch(&database, turn, &mut tasks).await;
        }
    }
    if let Ok(mut turn) = database.turn().await {
        database.close(&mut turn).await;
    }
}

/// Lets those who have just been answered come again, as long as they do come. Without this, the first of them would
/// get a commit to itself. An idle store has answered one at most, and waits for nobody.
async fn gather(queue: &mpsc::Receiver<Task>, answered: usize) {
    let (mut here, mut in_vain) = (queue.len(), 0);
    while answered > 1 && here < answered && in_vain < GATHER {
        tokio::task::yield_now().await;
        // They may be on another thread that waits for this processor, as those of actix-web's workers are.
        std::thread::yield_now();
        in_vain = if queue.len() > here { 0 } else { in_vain + 1 };
        here = queue.len();
    }
}

async fn batch(database: &Database, turn: Result<Turn, Failure>, tasks: &mut Vec<Task>) {
    let (mut rows, mut replies) = (Vec::with_capacity(tasks.len()), Vec::with_capacity(tasks.len()));
    let mut jobs = Vec::new();
    for task in tasks.drain(..) {
        match task {
            Task::Insert(row, reply) => {
                rows.push(row);
                replies.push(reply);
            }
            Task::Other(job) => jobs.push(job),
        }
    }
    let committed = match turn {
        Ok(turn) => commit(database, turn, &rows, &mut jobs).await,
        Err(failure) => Err(failure),
    };
    // A caller that has gone away wants no answer.
    match &committed {
        Ok(insertions) => {
            for (reply, insertion) in replies.into_iter().zip(insertions) {
                let _ = reply.send(Ok(*insertion));
            }
        }
        Err(failure) => {
            for reply in replies {
                let _ = reply.send(Err(failure.clone().into()));
            }
        }
    }
    for job in jobs {
        job.answer(committed.as_ref().map(|_| ()).map_err(Clone::clone));
    }
}

/// Inserts one event in the caller's own task, which saves an idle store the way through the writer's. If the caller
/// goes away meanwhile, the statement is run to its end or not at all.
pub(crate) async fn insert_alone(database: &Database, turn: Turn, row: NewRow) -> Result<Insertion, Failure> {
    let insertions = commit(database, turn, &[row], &mut []).await?;
    insertions.first().copied().ok_or_else(|| Failure::new("it was not run"))
}

/// Commits all of it, or nothing.
async fn commit(
    database: &Database,
    mut turn: Turn,
    rows: &[NewRow],
    jobs: &mut [Box<dyn Job>],
) -> Result<Vec<Insertion>, Failure> {
    let now = database.now();
    let open = database.connection(&mut turn).await?;
    match transact(open, now, rows, jobs).await {
        Ok((insertions, news)) => {
            if open.recent.is_to_be_merged() {
                database.grown.notify_one();
            }
            database.check_after(&mut turn).await?;
            if news {
                database.wake();
            }
            Ok(insertions)
        }
        Err(error) => {
            let failure = database.failure(&error);
            if !failure.connection_is_good {
                database.close(&mut turn).await;
            }
            Err(failure)
        }
    }
}

async fn transact(
    Open { connection, recent, .. }: &mut Open,
    now: i64,
    rows: &[NewRow],
    jobs: &mut [Box<dyn Job>],
) -> Result<(Vec<Insertion>, bool), sqlx::Error> {
    // Not in the transaction, which keeps other processes from writing: this may be a lot.
    recent.load(connection).await?;
    recent.make_room(connection).await?;
    // A statement alone is a transaction: three trips to the connection's thread become one.
    if jobs.is_empty() && rows.len() <= MOST_ROWS {
        let mut unit = Unit::new(connection, now, recent);
        if insert_new(&mut unit, rows).await? {
            return Ok((vec![Insertion::New; rows.len()], unit.news));
        }
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    // Until it is committed, what is known by then is not to be believed.
    let mut then = recent.take();
    let mut unit = Unit::new(&mut transaction, now, &mut then);
    let mut inserted = Vec::with_capacity(rows.len());
    for rows in rows.chunks(MOST_ROWS) {
        inserted.extend(insert(&mut unit, rows).await?);
    }
    for job in jobs {
        job.run(&mut unit).await?;
    }
    let news = unit.news;
    transaction.commit().await?;
    *recent = then;
    Ok((inserted, news))
}
