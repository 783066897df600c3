use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::deadline::within;
use crate::event::Arrival;
use crate::handler::{HandlerError, HandlerResult};
use crate::router::{EventRouter, Failure};
use crate::telemetry;

/// Handlers and how long they may take: what both modes share.
#[derive(Debug)]
pub(crate) struct Handling {
    pub(crate) router: EventRouter,
    limit: Duration,
    /// Each alarm that is being raised holds a receiver.
    alarms: watch::Sender<()>,
}

impl Handling {
    pub(crate) fn new(router: EventRouter, limit: Duration) -> Self {
        Self { router, limit, alarms: watch::Sender::new(()) }
    }

    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Runs the handlers within their limit, and tells of a failure.
    /// A failure that `is_final` is told of as such.
    pub(crate) async fn handle(
        &self,
        arrival: Arrival,
        is_final: impl FnOnce(&HandlerError) -> bool,
    ) -> HandlerResult {
        let event_name = self.router.label(arrival.name());
        let failed = self.router.reports().then(|| arrival.clone());
        let started = Instant::now();
        // Pinned, so that the futures on the way hold a pointer and not the whole.
        let handlers = pin!(self.router.dispatch(arrival));
        let result = match within(Some(started), self.limit, handlers).await {
            Ok(result) => result,
            Err(_) => Err(HandlerError::too_slow(self.limit)),
        };
        telemetry::handler(event_name, &result, started);
        if let (Err(error), Some(arrival)) = (&result, failed) {
            self.report(arrival, error, is_final(error));
        }
        result
    }

    /// Tells of a failure.
    pub(crate) fn report(&self, arrival: Arrival, error: &HandlerError, permanent: bool) {
        self.router.report(Failure::new(arrival, error, permanent), self.limit, self.alarms.subscribe());
    }

    /// Waits until all who are to know of a failure have been told.
    pub(crate) async fn told(&self) {
        self.alarms.closed().await;
    }
}
