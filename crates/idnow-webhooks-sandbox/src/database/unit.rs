//! What is done in a transaction.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::codes::Code as _;
use crate::clock::Micros;
use crate::error::Error;
use crate::known::Known;
use crate::live::Change;
use crate::model::{DeliveryState, SessionStatus};

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It must not be done. Whoever says so has written nothing yet: the transaction goes on without it.
    Refused(Error),
    /// The database failed, and with it the whole transaction.
    Database(sqlx::Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// One thing to do in a transaction.
#[async_trait]
pub(crate) trait Work: Send + 'static {
    type Output: Send + 'static;

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<Self::Output, Fault>;
}

/// A transaction, as [`Work`] sees it.
pub(crate) struct Unit<'c> {
    pub(crate) connection: &'c mut SqliteConnection,
    /// The same for all that share the transaction.
    pub(crate) now: Micros,
    /// How it is at this point of the transaction. It is changed with what it is read from.
    pub(crate) known: &'c mut Arc<Known>,
    pub(crate) numbers: &'c mut Numbers,
    pub(crate) outcome: &'c mut Effects,
}

impl Unit<'_> {
    pub(crate) fn known_mut(&mut self) -> &mut Known {
        self.outcome.known = true;
        Arc::make_mut(self.known)
    }

    pub(crate) fn tell(&mut self, change: impl FnOnce() -> Change) {
        if self.outcome.has_listeners {
            self.outcome.changes.push(change());
        }
    }

    /// Tells the lane of an endpoint, once it is committed.
    pub(crate) fn wake(&mut self, endpoint: Uuid) {
        if !self.outcome.wakes.contains(&endpoint) {
            self.outcome.wakes.push(endpoint);
        }
    }
}

/// What follows from a transaction, once it is committed.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) has_listeners: bool,
    /// Whether flows, endpoints or keys have changed.
    pub(crate) known: bool,
    pub(crate) changes: Vec<Change>,
    pub(crate) wakes: Vec<Uuid>,
    /// Endpoints that are no more.
    pub(crate) removed: Vec<Uuid>,
    pub(crate) tally: Tally,
    /// When the first of the new sessions expires.
    pub(crate) expiry: Option<Micros>,
    /// When the next of those that were there before expires, if that was asked for.
    pub(crate) next_expiry: Option<NextExpiry>,
}

/// When the next session expires; none if none can.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NextExpiry(pub(crate) Option<Micros>);

/// The rows that come next. What a transaction that failed has used up is skipped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    pub(crate) session: i64,
    pub(crate) event: i64,
    pub(crate) delivery: i64,
}

impl Numbers {
    pub(crate) fn next(number: &mut i64) -> i64 {
        let next = *number;
        *number = next.saturating_add(1);
        next
    }
}

/// How many there are in each state, or how many more.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    sessions: [i64; 6],
    deliveries: [i64; 5],
}

impl Tally {
    pub(crate) fn sessions(&mut self, status: SessionStatus, more: i64) {
        add(&mut self.sessions, status.code(), more);
    }

    pub(crate) fn deliveries(&mut self, state: DeliveryState, more: i64) {
        add(&mut self.deliveries, state.code(), more);
    }

    pub(crate) fn moved(&mut self, from: DeliveryState, to: DeliveryState, count: i64) {
        self.deliveries(from, -count);
        self.deliveries(to, count);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (here, more) in self.sessions.iter_mut().zip(other.sessions) {
            *here += more;
        }
        for (here, more) in self.deliveries.iter_mut().zip(other.deliveries) {
            *here += more;
        }
    }

    pub(crate) fn session_count(&self, status: SessionStatus) -> u64 {
        count(&self.sessions, status.code())
    }

    pub(crate) fn delivery_count(&self, state: DeliveryState) -> u64 {
        count(&self.deliveries, state.code())
    }
}

fn add(counts: &mut [i64], code: i64, more: i64) {
    if let Some(count) = usize::try_from(code).ok().and_then(|code| counts.get_mut(code)) {
        *count += more;
    }
}

fn count(counts: &[i64], code: i64) -> u64 {
    let count = usize::try_from(code).ok().and_then(|code| counts.get(code));
    count.and_then(|count| u64::try_from(*count).ok()).unwrap_or_default()
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// [`Work`] of any kind, and who waits for it.
#[async_trait]
pub(crate) trait Job: Send {
    /// Whether nobody waits for it any more. It is not begun then.
    fn is_abandoned(&self) -> bool;
    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), sqlx::Error>;
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

pub(crate) struct Pending<W: Work> {
    work: W,
    reply: Reply<W::Output>,
    output: Option<Result<W::Output, Error>>,
}

impl<W: Work> Pending<W> {
    pub(crate) fn new(work: W, reply: Reply<W::Output>) -> Self {
        Self { work, reply, output: None }
    }
}

#[async_trait]
impl<W: Work> Job for Pending<W> {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), sqlx::Error> {
        self.output = Some(match self.work.run(unit).await {
            Ok(output) => Ok(output),
            Err(Fault::Refused(error)) => Err(error),
            Err(Fault::Database(error)) => return Err(error),
        });
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let result = match (committed, self.output) {
            // What was refused was refused, whatever became of the others.
            (_, Some(Err(refused))) => Err(refused),
            (Ok(()), Some(Ok(output))) => Ok(output),
            (Ok(()), None) => Err(Error::unavailable("it was not run")),
            (Err(error), _) => Err(error),
        };
        // A caller that has gone away wants no answer.
        let _ = self.reply.send(result);
    }
}
