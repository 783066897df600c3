//! Where events are remembered: for recognising duplicates, and in queued mode until they are handled.

pub(crate) mod call;
mod error;
mod event;
mod lease;
mod memory;
mod order;
mod parked;
mod retention;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use error::StoreError;
pub(crate) use event::hashed_id;
pub use event::{Backlog, EventFilter, EventState, Evidence, NewEvent, Purge, Replay, StoredEvent};
pub use lease::{Beginning, Claim, ClaimedEvent, Insertion, Lease};
pub use memory::MemoryStore;
pub use order::{Order, SessionOrder};
pub use parked::{ParkLimits, ParkOutcome, ParkedToken};
pub use retention::{Retention, RetentionTooShort};

/// Remembers events by their id, and hands them out to be handled, one holder at a time.
///
/// # Contract
///
/// When [`insert`](Self::insert) or [`begin`](Self::begin) returns `Ok`, the event is as safe as the store
/// can make it: the delivery is answered 2xx on the strength of that. Every call is atomic, and safe to drop at any
/// point: the work is then done or not done. In inline mode a call that takes longer than 5 s is dropped.
///
/// A store has one clock, which all that share the store go by: the machine's in one process or file, the server's in
/// a database. Callers therefore give times as durations from now.
///
/// A [`Lease`] is the right to handle an event until a given time. Whoever holds it must extend it in time,
/// and ends it with one of [`complete`](Self::complete), [`retry`](Self::retry), [`release`](Self::release) and
/// [`bury`](Self::bury). Each of these fails with [`StoreError::LeaseLost`] when the lease has ended: somebody else
/// took the event over, or an operator has changed it. No two leases on one event are the same, even if it was forgotten
/// and came again in between.
///
/// Errors of handlers, which the store keeps for operators, are one line of at most a few thousand characters.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a store of events",
    label = "expected an open store",
    note = "open one: `SqliteStore::open(..).await?`, `PostgresStore::connect(..).await?`, `settings.open_store().await?`, \
            or, for tests, `MemoryStore::new()`"
)]
#[async_trait]
pub trait EventStore: Send + Sync + fmt::Debug + 'static {
    /// Queued mode: remembers a new event and puts it into the queue, in one step.
    ///
    /// An event that was begun in inline mode and is not finished is a duplicate, and enters the queue: this delivery is
    /// answered 2xx, so the provider will not send it again.
    async fn insert(&self, event: NewEvent) -> Result<Insertion, StoreError>;

    /// Inline mode: remembers a new event and takes a lease on it, in one step. No worker will claim it.
    ///
    /// An event that was given back by [`retry`](Self::retry), or whose lease has run out, is handed out again. Events
    /// of inline mode hold back no others of their session, and are not part of the [`backlog`](Self::backlog).
    async fn begin(&self, event: NewEvent, lease: Duration) -> Result<Beginning, StoreError>;

    /// Takes leases on events that are due, those that have been due for longest first.
    ///
    /// In [`SessionOrder::Sequence`], an event waits while one of its session runs, or one with a lower number is not
    /// finished; [`Order::judge`] says the rest. Two holders that claim at once never get two events of one session.
    async fn claim(&self, claim: Claim) -> Result<Vec<ClaimedEvent>, StoreError>;

    /// The lease now lasts this long from now. It is no error if the event was completed under this very lease before,
    /// by a transaction of its handler: nothing changes then, and the handler runs to its end.
    async fn extend(&self, lease: &Lease, lasts: Duration) -> Result<(), StoreError>;

    /// The event is handled, for good; unless the handler has left a transaction for it open, which is
    /// [`StoreError::NotCommitted`]. It is no error if the event was completed under this very lease before.
    async fn complete(&self, lease: &Lease) -> Result<(), StoreError>;

    /// The event is to be handled again, after a wait.
    async fn retry(&self, lease: &Lease, wait: Duration, error: &str) -> Result<(), StoreError>;

    /// Gives a lease back unused: the event is due at once, and the run does not count.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;

    /// The event is not to be handled again unless an operator says so: a dead letter.
    async fn bury(&self, lease: &Lease, error: &str) -> Result<(), StoreError>;

    /// Returns when events may have been added to the queue. Workers look from time to time anyway, so a store that
    /// cannot tell may wait for ever, as this does.
    ///
    /// # Cancel safety
    ///
    /// An addition that happens between two calls must end the next one.
    async fn changed(&self) {
        std::future::pending::<()>().await;
    }

    /// For operators: events, the latest first.
    async fn list(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError>;

    /// For operators: one event.
    async fn get(&self, event_id: &str) -> Result<Option<StoredEvent>, StoreError>;

    /// For operators: a dead letter, or an event that waits to be retried, is handled at once, by a worker. One that
    /// is completed or runs is left alone.
    async fn replay(&self, event_id: &str) -> Result<Replay, StoreError>;

    /// For operators: [replays](Self::replay) up to `limit` dead letters, the oldest first, and says how many.
    async fn replay_dead(&self, limit: usize) -> Result<usize, StoreError>;

    /// Forgets finished events, the oldest first, and says how many. The limit keeps one call short, so that
    /// insertions go on beside it.
    ///
    /// Events of inline mode that were never completed count as completed when nobody has touched them for so long.
    ///
    /// Before it forgets completed events, it drops all parked tokens that were stored at least [as long
    /// ago](Purge::older_than), whatever the limit; they are not part of the result. The event of such a token may have been
    /// completed by a later attempt. If only that were forgotten, the token could be admitted as a new event.
    async fn purge(&self, purge: Purge) -> Result<usize, StoreError>;

    /// Whether events could be stored now. It is asked every few seconds by readiness routes, so it should be cheap, but
    /// it must notice what keeps others from writing, such as a full disk.
    async fn check(&self) -> Result<(), StoreError> {
        self.backlog().await.map(drop)
    }

    /// What is still to be done. Cheap: it looks at unfinished events, dead letters and parked tokens only.
    async fn backlog(&self) -> Result<Backlog, StoreError>;

    /// How many completed events are remembered. This may look at every event.
    async fn completed(&self) -> Result<u64, StoreError>;

    /// Keeps a genuine token that does not fit the receiver's settings or clock, unless one of the same
    /// [id](ParkedToken::id) is kept already. Its texts are [cut](ParkedToken::bounded), never a cause of failure.
    ///
    /// The same call enforces the [limits](ParkLimits): it drops what is too old, then what is too much of the pair of issuer
    /// and audience, then what is too much in all; tokens without an [expected flow](ParkedToken::is_expected_flow) first,
    /// then the oldest. To stay short, one call may drop only some hundreds of them.
    ///
    /// No token stays parked for longer than the store remembers completed events, whatever the limits.
    async fn park(&self, token: ParkedToken, limits: ParkLimits) -> Result<ParkOutcome, StoreError>;

    /// For operators: parked tokens, the oldest first. Only those whose [position](ParkedToken::position) is greater than
    /// `after`, at most `limit`.
    async fn parked(&self, after: i64, limit: usize) -> Result<Vec<ParkedToken>, StoreError>;

    /// For operators: forgets a parked token, and returns whether it was there. Its id can then be parked again.
    async fn unpark(&self, id: &str) -> Result<bool, StoreError>;
}

#[async_trait]
impl<S: EventStore + ?Sized> EventStore for Arc<S> {
    async fn insert(&self, event: NewEvent) -> Result<Insertion, StoreError> {
        (**self).insert(event).await
    }

    async fn begin(&self, event: NewEvent, lease: Duration) -> Result<Beginning, StoreError> {
        (**self).begin(event, lease).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<ClaimedEvent>, StoreError> {
        (**self).claim(claim).await
    }

    async fn extend(&self, lease: &Lease, lasts: Duration) -> Result<(), StoreError> {
        (**self).extend(lease, lasts).await
    }

    async fn complete(&self, lease: &Lease) -> Result<(), StoreError> {
        (**self).complete(lease).await
    }

    async fn retry(&self, lease: &Lease, wait: Duration, error: &str) -> Result<(), StoreError> {
        (**self).retry(lease, wait, error).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        (**self).release(lease).await
    }

    async fn bury(&self, lease: &Lease, error: &str) -> Result<(), StoreError> {
        (**self).bury(lease, error).await
    }

    async fn changed(&self) {
        (**self).changed().await;
    }

    async fn list(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
        (**self).list(filter).await
    }

    async fn get(&self, event_id: &str) -> Result<Option<StoredEvent>, StoreError> {
        (**self).get(event_id).await
    }

    async fn replay(&self, event_id: &str) -> Result<Replay, StoreError> {
        (**self).replay(event_id).await
    }

    async fn replay_dead(&self, limit: usize) -> Result<usize, StoreError> {
        (**self).replay_dead(limit).await
    }

    async fn purge(&self, purge: Purge) -> Result<usize, StoreError> {
        (**self).purge(purge).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        (**self).check().await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        (**self).backlog().await
    }

    async fn completed(&self) -> Result<u64, StoreError> {
        (**self).completed().await
    }

    async fn park(&self, token: ParkedToken, limits: ParkLimits) -> Result<ParkOutcome, StoreError> {
        (**self).park(token, limits).await
    }

    async fn parked(&self, after: i64, limit: usize) -> Result<Vec<ParkedToken>, StoreError> {
        (**self).parked(after, limit).await
    }

    async fn unpark(&self, id: &str) -> Result<bool, StoreError> {
        (**self).unpark(id).await
    }
}
