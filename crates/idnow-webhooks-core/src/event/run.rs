use crate::store::{Lease, Order};

/// One run of the handlers for an event.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Run {
    /// The right under which they run: with it, a store can let a handler take part in its transaction.
    pub lease: Lease,
    /// Which time the event is being handled, from 1; inline always 1. This counts runs here, and
    /// [`attempt`](super::Event::attempt) those of the provider.
    pub number: u32,
    /// The place of the event among those of its session.
    pub order: Order,
}

impl Run {
    pub(crate) fn new(lease: Lease, number: u32, order: Order) -> Self {
        Self { lease, number, order }
    }
}
