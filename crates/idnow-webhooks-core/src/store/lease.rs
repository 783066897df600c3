use std::sync::Arc;
use std::time::Duration;

use super::{Order, SessionOrder};

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
    /// A lease on an event. For implementations of [`EventStore`](super::EventStore).
    pub fn new(event_id: impl Into<Arc<str>>, token: u64) -> Self {
        Self { event_id: event_id.into(), token }
    }
}

/// What a worker asks of [`EventStore::claim`](super::EventStore::claim).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// At most so many events.
    pub limit: usize,
    /// How long the leases last.
    pub lease: Duration,
    /// What to heed within a session.
    pub order: SessionOrder,
}

/// An event and the lease on it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClaimedEvent {
    /// The right to handle it.
    pub lease: Lease,
    /// Which time the event is being handled, from 1.
    pub run: u32,
    /// Its place among the events of its session.
    pub order: Order,
    /// The text of `data`, exactly as it was signed.
    pub data: String,
}

impl ClaimedEvent {
    /// A claimed event. For implementations of [`EventStore`](super::EventStore).
    pub fn new(lease: Lease, run: u32, order: Order, data: impl Into<String>) -> Self {
        Self { lease, run, order, data: data.into() }
    }
}

/// What [`EventStore::insert`](super::EventStore::insert) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insertion {
    /// The event is new, and safe.
    New,
    /// The event was here before, whatever became of it.
    Duplicate,
}

/// What [`EventStore::begin`](super::EventStore::begin) found.
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
