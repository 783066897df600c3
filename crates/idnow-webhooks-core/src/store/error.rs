use std::sync::Arc;

/// A store that could not do what was asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The lease ran out, or has ended: someone else may have taken over, or the event is finished.
    #[error("the lease on event {0:?} has ended")]
    LeaseLost(Arc<str>),
    /// The handler has begun a transaction of the store for this event, and has neither committed nor rolled it back:
    /// what it wrote is gone, so the event is not handled.
    #[error("the handler ended without committing its transaction for event {0:?}")]
    NotCommitted(Arc<str>),
    /// An earlier transaction of this run has completed the event with its commit. There is one transaction for each
    /// event: it belongs into the last of its handlers that writes.
    #[error("event {0:?} was completed in this run already: use one transaction for each event")]
    AlreadyCompleted(Arc<str>),
    /// The store holds as much as it may.
    #[error("the store is full: it holds {0} events that are not finished")]
    Full(usize),
    /// The store cannot be reached or does not work.
    #[error("the store is not available: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// The store cannot be reached or does not work. The reason goes to the log, never into an answer.
    pub fn unavailable(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(reason.into())
    }
}
