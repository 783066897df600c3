use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Inner;
use crate::event::{Arrival, RawEvent, Run};
use crate::handler::{HandlerError, HandlerResult};
use crate::store::call::{guarded, measured};
use crate::store::{ClaimedEvent, Lease, StoreError};
use crate::telemetry::{self, work::Ending};
use crate::turns::Turn;

/// The wait before the end of an event is noted anew, while its lease lasts.
const SETTLE_AGAIN: Duration = Duration::from_millis(500);

/// What becomes of an event after a run.
enum Settlement {
    Complete,
    Retry { wait: Duration, error: String },
    Bury { error: String },
}

/// Extends the lease of one event, in a task of its own that ends with this.
pub(super) struct Heartbeat(JoinHandle<()>);

impl Heartbeat {
    /// Start it before the job, and from outside of it: Tokio keeps what a task starts on the thread of that task
    /// until its next wait, and a handler that blocks has none.
    pub(super) fn start(inner: &Arc<Inner>, lease: &Lease) -> Self {
        Self(tokio::spawn(Arc::clone(inner).keep(lease.clone())))
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Settlement {
    fn into_error(self) -> Option<String> {
        match self {
            Self::Complete => None,
            Self::Retry { error, .. } | Self::Bury { error } => Some(error),
        }
    }
}

/// So far ahead, or as far as time goes.
pub(super) fn in_future(wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    Instant::now() + wait.min(FAR)
}

impl Inner {
    /// Handles one event under its lease.
    pub(super) async fn job(self: Arc<Self>, event: ClaimedEvent, heartbeat: Heartbeat) {
        let Some(turn) = self.running.take(&event.lease.event_id) else {
            telemetry::work::still_running(&event.lease);
            return;
        };
        telemetry::work::order(&event);
        let run = Run::new(event.lease.clone(), event.run, event.order);
        let arrival = Arrival::from(RawEvent::from_json(&event.data)).in_run(run);
        let event_name = self.handling.router.label(arrival.name());
        let run = async {
            telemetry::identify(&arrival);
            let started = Instant::now();
            let ending = match self.earlier_runs(event.run) {
                Some(settlement) => self.settle(&event, settlement).await,
                None => match self.handle(&event, arrival, turn, heartbeat).await {
                    Some(result) => self.settle(&event, self.settlement(event.run, result)).await,
                    None => Ending::Lost { error: None },
                },
            };
            telemetry::work::job(&ending, event_name, started.elapsed());
        };
        telemetry::work::job_span(&event).instrument(run).await;
    }

    /// An event whose handler kills the process, or never gives a result, must not do so for ever.
    fn earlier_runs(&self, run: u32) -> Option<Settlement> {
        let before = run.saturating_sub(1);
        (before >= self.max_runs)
            .then(|| Settlement::Bury { error: format!("{before} runs ended without a result") })
    }

    /// Runs the handlers, until the lease is lost: `None` then. Somebody else may be handling the event by now.
    async fn handle(
        &self,
        event: &ClaimedEvent,
        arrival: Arrival,
        // It ends before the end of the run is noted: from then on, the event may be claimed again.
        _turn: Turn<'_>,
        mut heartbeat: Heartbeat,
    ) -> Option<HandlerResult> {
        let last = event.run >= self.max_runs;
        let handlers = pin!(self.handling.handle(arrival, move |error| last || error.is_final_in_queue()));
        tokio::select! {
            biased;
            result = handlers => Some(result),
            _ = &mut heartbeat.0 => None,
        }
    }

    /// Extends a lease until it is lost.
    pub(super) async fn keep(self: Arc<Self>, lease: Lease) {
        let mut ends = in_future(self.lease);
        loop {
            tokio::time::sleep(self.lease / 3).await;
            let started = Instant::now();
            let extended = guarded(self.store.extend(&lease, self.lease)).await;
            telemetry::work::store_call("extend", &extended, started);
            match extended {
                Ok(()) => ends = in_future(self.lease),
                Err(StoreError::LeaseLost(_)) => return,
                Err(_) if Instant::now() >= ends => return,
                // The lease still lasts, and the store may be back before it ends.
                Err(error) => telemetry::work::extend_failed(&lease, &error),
            }
        }
    }

    /// Notes the end of a run, again and again while the lease lasts: otherwise the event is handled once more.
    async fn settle(&self, event: &ClaimedEvent, mut settlement: Settlement) -> Ending {
        let lease = &event.lease;
        let give_up = in_future(self.lease);
        loop {
            let noted = match &settlement {
                Settlement::Complete => measured("complete", self.store.complete(lease)).await,
                Settlement::Retry { wait, error } => {
                    measured("retry", self.store.retry(lease, *wait, error)).await
                }
                Settlement::Bury { error } => measured("bury", self.store.bury(lease, error)).await,
            };
            match noted {
                Ok(()) => break,
                Err(StoreError::LeaseLost(_)) => return Ending::Lost { error: settlement.into_error() },
                Err(error @ StoreError::NotCommitted(_)) if matches!(settlement, Settlement::Complete) => {
                    settlement = self.settlement(event.run, Err(HandlerError::retry(error)));
                }
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
