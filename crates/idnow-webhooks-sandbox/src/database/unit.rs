//! What is done in a transaction.

use std::mem;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::tally::Tally;
use crate::clock::Micros;
use crate::error::Error;
use crate::known::Known;
use crate::live::Change;

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

    /// Begins a part of the transaction that may fail without the rest.
    pub(super) async fn mark(&mut self) -> Result<Mark, sqlx::Error> {
        sqlx::query("SAVEPOINT part").execute(&mut *self.connection).await?;
        let effects = Effects { has_listeners: self.outcome.has_listeners, ..Effects::default() };
        Ok(Mark { known: Arc::clone(self.known), effects: mem::replace(self.outcome, effects) })
    }

    /// Ends this part. If it has failed, it has never been. The outer error is of the whole transaction.
    pub(super) async fn settle<T>(
        &mut self,
        mark: Mark,
        result: Result<T, sqlx::Error>,
    ) -> Result<Result<T, sqlx::Error>, sqlx::Error> {
        if result.is_ok() {
            let part = mem::replace(self.outcome, mark.effects);
            self.outcome.merge(part);
        } else {
            sqlx::query("ROLLBACK TO part").execute(&mut *self.connection).await?;
            *self.outcome = mark.effects;
            *self.known = mark.known;
        }
        sqlx::query("RELEASE part").execute(&mut *self.connection).await?;
        Ok(result)
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

/// How it was before a part of a transaction.
pub(super) struct Mark {
    known: Arc<Known>,
    effects: Effects,
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

impl Effects {
    fn merge(&mut self, part: Self) {
        self.known |= part.known;
        self.changes.extend(part.changes);
        for endpoint in part.wakes {
            if !self.wakes.contains(&endpoint) {
                self.wakes.push(endpoint);
            }
        }
        self.removed.extend(part.removed);
        self.tally.add(&part.tally);
        self.expiry = match (self.expiry, part.expiry) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.next_expiry = part.next_expiry.or(self.next_expiry);
    }
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
