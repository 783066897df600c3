//! Where events are remembered: for recognising duplicates, and in queued mode until they are handled.

mod memory;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::event::Arrival;
use crate::json::Json;

pub use memory::MemoryStore;

/// Remembers events by their id, and hands them out to be handled, one holder at a time.
///
/// # Contract
///
/// When [`insert`](Self::insert) or [`begin`](Self::begin) returns `Ok`, the event is as safe as the store
/// can make it: the delivery is answered 2xx on the strength of that. Every call is atomic, and safe to drop at any
/// point: the work is then done or not done. In inline mode a call that takes longer than 5 s is dropped. Times are
/// arguments, so that tests can choose them.
///
/// A [`Lease`] is the right to handle an event until a given time. Whoever holds it must extend it in time,
/// and ends it with one of [`complete`](Self::complete), [`retry`](Self::retry) and [`bury`](Self::bury).
/// Each of these fails with [`StoreError::LeaseLost`] when the lease ran out and someone else took over.
#[async_trait]
pub trait EventStore: Send + Sync + fmt::Debug + 'static {
    /// Queued mode: remembers a new event and puts it into the queue, in one step.
    async fn insert(&self, event: NewEvent) -> Result<Insertion, StoreError>;

    /// Inline mode: remembers a new event and takes a lease on it, in one step.
    ///
    /// An event that was given back by [`retry`](Self::retry), or whose lease has run out, is handed out again.
    async fn begin(
        &self,
        event: NewEvent,
        now: DateTime<Utc>,
        lease: Duration,
    ) -> Result<Beginning, StoreError>;

    /// Takes leases on up to `limit` events that are due, oldest first.
    async fn claim(
        &self,
        limit: usize,
        now: DateTime<Utc>,
        lease: Duration,
    ) -> Result<Vec<ClaimedEvent>, StoreError>;

    /// Moves the end of a lease to `until`.
    async fn extend(&self, lease: &Lease, until: DateTime<Utc>) -> Result<(), StoreError>;

    /// The event is handled, for good.
    async fn complete(&self, lease: &Lease, now: DateTime<Utc>) -> Result<(), StoreError>;

    /// The event is to be handled again, from `due` on.
    async fn retry(&self, lease: &Lease, due: DateTime<Utc>, error: &str) -> Result<(), StoreError>;

    /// Gives a lease back unused: the event is due at once, and the run does not count.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;

    /// The event is not to be handled again unless an operator says so: a dead letter.
    async fn bury(&self, lease: &Lease, now: DateTime<Utc>, error: &str) -> Result<(), StoreError>;

    /// Returns when events may have been added to the queue. Workers look from time to time anyway, so a store that
    /// cannot tell may wait for ever, as this does.
    ///
    /// # Cancel safety
    ///
    /// An addition that happens between two calls must end the next one.
    async fn changed(&self) {
        std::future::pending::<()>().await;
    }
}

#[async_trait]
impl<S: EventStore + ?Sized> EventStore for Arc<S> {
    async fn insert(&self, event: NewEvent) -> Result<Insertion, StoreError> {
        (**self).insert(event).await
    }

    async fn begin(
        &self,
        event: NewEvent,
        now: DateTime<Utc>,
        lease: Duration,
    ) -> Result<Beginning, StoreError> {
        (**self).begin(event, now, lease).await
    }

    async fn claim(
        &self,
        limit: usize,
        now: DateTime<Utc>,
        lease: Duration,
    ) -> Result<Vec<ClaimedEvent>, StoreError> {
        (**self).claim(limit, now, lease).await
    }

    async fn extend(&self, lease: &Lease, until: DateTime<Utc>) -> Result<(), StoreError> {
        (**self).extend(lease, until).await
    }

    async fn complete(&self, lease: &Lease, now: DateTime<Utc>) -> Result<(), StoreError> {
        (**self).complete(lease, now).await
    }

    async fn retry(&self, lease: &Lease, due: DateTime<Utc>, error: &str) -> Result<(), StoreError> {
        (**self).retry(lease, due, error).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        (**self).release(lease).await
    }

    async fn bury(&self, lease: &Lease, now: DateTime<Utc>, error: &str) -> Result<(), StoreError> {
        (**self).bury(lease, now, error).await
    }

    async fn changed(&self) {
        (**self).changed().await;
    }
}

/// A verified event, as it enters the store. What is large in it is shared, and so cheap to clone.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewEvent {
    /// `eventId`.
    pub id: Arc<str>,
    /// When the delivery arrived.
    pub received_at: DateTime<Utc>,
    /// Why the event cannot be read, if so. In queued mode it enters as a dead letter with this reason.
    pub dead: Option<Arc<str>>,
    name: Option<Arc<str>>,
    data: Json,
}

impl NewEvent {
    /// What the store needs to know of a genuine delivery. `None` without at least an id.
    pub(crate) fn of(arrival: &Arrival, received_at: DateTime<Utc>) -> Option<Self> {
        let dead = match arrival {
            Arrival::Event(_) => None,
            Arrival::Unreadable(event) => Some(event.reason().into()),
        };
        let (id, name) = (arrival.id()?.into(), arrival.name().map(Into::into));
        Some(Self { id, received_at, dead, name, data: arrival.data().clone() })
    }

    /// `eventName`, as far as it could be read.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The text of `data`, exactly as it was signed.
    pub fn data(&self) -> &str {
        self.data.get()
    }
}

/// What [`EventStore::insert`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insertion {
    /// The event is new, and safe.
    New,
    /// The event was here before, whatever became of it.
    Duplicate,
}

/// What [`EventStore::begin`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beginning {
    /// The event is yours to handle.
    Run(Lease),
    /// The event was handled before.
    Completed,
    /// The event is a dead letter: it was buried before.
    Buried,
    /// Someone else holds a lease on it.
    Running,
}

/// The right to handle one event for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// `eventId`.
    pub event_id: Arc<str>,
    /// Tells this lease from every earlier one on the same event.
    pub token: u64,
}

impl Lease {
    /// A lease on an event. For implementations of [`EventStore`].
    pub fn new(event_id: impl Into<Arc<str>>, token: u64) -> Self {
        Self { event_id: event_id.into(), token }
    }
}

/// An event and the lease on it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClaimedEvent {
    /// The right to handle it.
    pub lease: Lease,
    /// Which time the event is being handled, from 1.
    pub run: u32,
    /// The text of `data`, exactly as it was signed.
    pub data: String,
}

impl ClaimedEvent {
    /// A claimed event. For implementations of [`EventStore`].
    pub fn new(lease: Lease, run: u32, data: impl Into<String>) -> Self {
        Self { lease, run, data: data.into() }
    }
}

/// A store that could not do what was asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The lease ran out, and someone else may have taken over.
    #[error("the lease on event {0:?} has run out")]
    LeaseLost(Arc<str>),
    /// The store holds as much as it may.
    #[error("the store is full: it holds {0} events that are not finished")]
    Full(usize),
    /// The store cannot be reached or does not work.
    #[error("the store is not available: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[cfg(test)]
mod tests;
