use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument;

use super::Inner;
use crate::event::{Arrival, RawEvent, Run};
use crate::handler::{HandlerError, HandlerResult};
use crate::store::{ClaimedEvent, Lease, StoreError};
use crate::telemetry::{self, Ending};

/// The wait before the end of an event is noted anew, while its lease lasts.
const SETTLE_AGAIN: Duration = Duration::from_millis(500);

/// What becomes of an event after a run.
enum Settlement {
    Complete,
    Retry { wait: Duration, error: String },
    Bury { error: String },
}

impl Inner {
    /// Handles one event under its lease.
    pub(super) async fn job(self: Arc<Self>, event: ClaimedEvent) {
        let run = Run::new(event.lease.clone(), event.run, event.order);
        let arrival = Arrival::from(RawEvent::from_json(&event.data)).in_run(run);
        let span = telemetry::job_span(&event);
        async {
            telemetry::identify(&arrival);
            let started = Instant::now();
            let ending = match self.handle(&event.lease, arrival).await {
                Some(result) => self.settle(&event, result).await,
                None => Ending::Lost,
            };
            telemetry::job(&ending, started.elapsed());
        }
        .instrument(span)
        .await;
    }

    /// Runs the handlers and extends the lease meanwhile. `None` when the lease was lost: somebody else may be
    /// handling the event by now, so the handlers are stopped.
    async fn handle(&self, lease: &Lease, arrival: Arrival) -> Option<HandlerResult> {
        let mut handlers = pin!(self.handling.handle(arrival));
        let mut ends = Instant::now() + self.lease;
        loop {
            tokio::select! {
                result = &mut handlers => return Some(result),
                () = tokio::time::sleep(self.lease / 3) => {}
            }
            match self.store.extend(lease, self.lease).await {
                Ok(()) => ends = Instant::now() + self.lease,
                Err(StoreError::LeaseLost(_)) => return None,
                Err(_) if Instant::now() >= ends => return None,
                // The lease still lasts, and the store may be back before it ends.
                Err(error) => telemetry::extend_failed(&error),
            }
        }
    }

    /// Notes the end of a run, again and again while the lease lasts: otherwise the event is handled once more.
    async fn settle(&self, event: &ClaimedEvent, result: HandlerResult) -> Ending {
        let settlement = self.settlement(event.run, result);
        let give_up = Instant::now() + self.lease;
        loop {
            let lease = &event.lease;
            let noted = match &settlement {
                Settlement::Complete => self.store.complete(lease).await,
                Settlement::Retry { wait, error } => self.store.retry(lease, *wait, error).await,
                Settlement::Bury { error } => self.store.bury(lease, error).await,
            };
            match noted {
                Ok(()) => break,
                Err(StoreError::LeaseLost(_)) => return Ending::Lost,
                Err(error) if Instant::now() + SETTLE_AGAIN >= give_up => return Ending::NotNoted(error),
                Err(_) => tokio::time::sleep(SETTLE_AGAIN).await,
            }
        }
        match settlement {
            Settlement::Complete => Ending::Completed,
            Settlement::Retry { wait, error } => Ending::Retried { wait, error },
            Settlement::Bury { error } => Ending::Buried { error },
        }
    }

    fn settlement(&self, run: u32, result: HandlerResult) -> Settlement {
        let error = match result.map_err(HandlerError::into_unreadable) {
            Ok(()) => return Settlement::Complete,
            // What cannot be read now cannot be read later either.
            Err(Ok(unreadable)) => {
                return Settlement::Bury { error: HandlerError::permanent(unreadable).for_store() };
            }
            Err(Err(error)) => error,
        };
        if error.is_permanent() {
            Settlement::Bury { error: error.for_store() }
        } else if run >= self.max_runs {
            Settlement::Bury { error: format!("failed {run} times, at last: {}", error.for_store()) }
        } else {
            Settlement::Retry { wait: self.backoff.wait(run), error: error.for_store() }
        }
    }
}
