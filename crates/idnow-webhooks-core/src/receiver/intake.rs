use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use super::Inner;
use crate::deadline::within;
use crate::event::{Arrival, Run, Unreadable};
use crate::handler::{HandlerError, HandlerResult};
use crate::handling::Handling;
use crate::outcome::{Outcome, Refusal};
use crate::router::EventRouter;
use crate::store::call::{guarded, measured};
use crate::store::{Backlog, Beginning, EventStore, Insertion, Lease, NewEvent, Order, StoreError};
use crate::telemetry::{self, QuietSpan};
use crate::turns::Turns;
use crate::verifier::VerifiedToken;

/// How long a store may take for one call beside a handler: one that hangs must not keep an event's place for ever.
const STORE_LIMIT: Duration = Duration::from_secs(5);
/// A lease outlives the handler's limit by this, so that the end of a stopped handler can still be noted.
const LEASE_MARGIN: Duration = STORE_LIMIT.saturating_mul(2);

/// What happens to a verified event.
#[derive(Debug)]
pub(super) enum Intake {
    /// One durable write; someone else runs the handlers.
    Queued(Arc<dyn EventStore>),
    /// The handlers run now, and their result is the answer.
    Inline(Arc<Inline>),
    /// Nobody said what to do with events: only for [`Receiver::verify`](super::Receiver::verify).
    Nothing,
}

#[derive(Debug)]
pub(super) struct Inline {
    store: Arc<dyn EventStore>,
    handling: Handling,
    /// Where handlers run, if not where their delivery is served.
    runtime: Option<Handle>,
    running: Turns,
}

impl Intake {
    pub(super) fn queued(store: Arc<dyn EventStore>) -> Self {
        Self::Queued(store)
    }

    pub(super) fn inline(
        store: Arc<dyn EventStore>,
        router: EventRouter,
        limit: Duration,
        runtime: Option<Handle>,
    ) -> Self {
        let handling = Handling::new(router, limit);
        Self::Inline(Arc::new(Inline { store, handling, runtime, running: Turns::default() }))
    }

    /// Whether events could be stored now, and what the store has to do. `None` without a store.
    pub(super) async fn health(&self, limit: Duration) -> Option<Result<Backlog, StoreError>> {
        let store = match self {
            Self::Queued(store) => store,
            Self::Inline(inline) => &inline.store,
            Self::Nothing => return None,
        };
        let asked = async {
            store.check().await?;
            store.backlog().await
        };
        let backlog = match within(None, limit, guarded(asked)).await {
            Ok(backlog) => backlog,
            Err(_) => Err(StoreError::unavailable(format!("it did not answer within {limit:?}"))),
        };
        telemetry::work::backlog(&backlog);
        Some(backlog)
    }

    /// Waits until all who are to know of a failure have been told.
    pub(super) async fn told(&self) {
        if let Self::Inline(inline) = self {
            inline.handling.told().await;
        }
    }
}

type Boxed = Pin<Box<dyn Future<Output = Result<Outcome, Refusal>> + Send>>;

/// What is left to do for a verified event. Boxed, or the future of every delivery would be as large.
pub(super) enum Step {
    /// Safe to drop at any point.
    Insert(Boxed),
    /// To be run to its end.
    Run(Boxed, Option<Handle>),
}

impl Step {
    pub(super) async fn finish(self) -> Result<Outcome, Refusal> {
        match self {
            Self::Insert(insert) => insert.await,
            Self::Run(run, runtime) => to_the_end(run, runtime).await,
        }
    }
}

impl Inner {
    /// No `async fn`: its future would hold the token and the event, and so would every future around it.
    pub(super) fn take_in(&self, token: VerifiedToken) -> Result<Step, Refusal> {
        let (arrival, subject, evidence) = token.into_parts();
        telemetry::identify(&arrival);
        // Only now: unauthenticated clients must not be able to take the places of genuine deliveries.
        let place = Arc::clone(&self.in_progress).try_acquire_owned().map_err(|_| Refusal::Overloaded)?;
        match &self.intake {
            Intake::Queued(store) => {
                let event = NewEvent::of(&arrival, subject.as_deref(), evidence);
                let store = Arc::clone(store);
                Ok(Step::Insert(Box::pin(async move {
                    let _place = place;
                    Ok(match measured("insert", store.insert(event)).await? {
                        Insertion::New => Outcome::Stored,
                        Insertion::Duplicate => Outcome::Duplicate,
                    })
                })))
            }
            Intake::Inline(inline) if inline.handling.router.takes(&arrival) => {
                let event = NewEvent::of(&arrival, subject.as_deref(), evidence);
                let run = Arc::clone(inline).run(arrival, event, place);
                Ok(Step::Run(run, inline.runtime.clone()))
            }
            Intake::Nothing => Err(Refusal::NoHandlers),
            Intake::Inline(inline) => {
                if let Arrival::Unreadable(event) = &arrival {
                    let error = HandlerError::retry(Unreadable::clone(event));
                    inline.handling.report(arrival.clone(), &error, false);
                }
                Err(arrival.into_refusal())
            }
        }
    }
}

impl Arrival {
    /// For one that nobody can take.
    fn into_refusal(self) -> Refusal {
        match self {
            Self::Unreadable(event) => Refusal::Unreadable(*event),
            // Every store and every router takes an event that can be read.
            Self::Event(event) => {
                Refusal::Handler(HandlerError::retry(format!("nobody takes {}", event.name)))
            }
        }
    }
}

impl Inline {
    /// Takes a lease on the event, runs the handlers, and notes how that ended.
    fn run(self: Arc<Self>, arrival: Arrival, event: NewEvent, place: OwnedSemaphorePermit) -> Boxed {
        Box::pin(async move {
            let _place = place;
            let Some(_turn) = self.running.take(&event.id) else { return Err(Refusal::InProgress) };
            let lease = self.handling.limit().saturating_add(LEASE_MARGIN);
            let lease = match in_time(self.store.begin(event, lease)).await? {
                Beginning::Run(lease) => lease,
                Beginning::Completed => return Ok(Outcome::Duplicate),
                Beginning::Buried => return Err(Refusal::Buried),
                Beginning::Running => return Err(Refusal::InProgress),
            };
            let arrival = arrival.in_run(Run::new(lease.clone(), 1, Order::Unchecked));
            let result = self.handling.handle(arrival, HandlerError::is_permanent).await;
            // Pinned, so that what is around it holds a pointer and not the whole.
            if let Err(error) = in_time(pin!(self.settle(&lease, &result))).await {
                telemetry::not_noted(&result);
                return Err(error.into());
            }
            outcome(result)
        })
    }

    async fn settle(&self, lease: &Lease, result: &HandlerResult) -> Result<(), StoreError> {
        match result {
            Ok(()) => match self.store.complete(lease).await {
                // Given back, so that the provider's next attempt need not wait for the end of the lease.
                Err(error @ StoreError::NotCommitted(_)) => {
                    self.store.retry(lease, Duration::ZERO, &error.to_string()).await?;
                    Err(error)
                }
                result => result,
            },
            Err(error) if error.is_permanent() => self.store.bury(lease, &error.for_store()).await,
            Err(error) => self.store.retry(lease, Duration::ZERO, &error.for_store()).await,
        }
    }
}

/// Gives up a call of the store that takes too long.
async fn in_time<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    within(None, STORE_LIMIT, guarded(call))
        .await
        .unwrap_or_else(|_| Err(StoreError::unavailable(format!("it did not answer within {STORE_LIMIT:?}"))))
}

fn outcome(result: HandlerResult) -> Result<Outcome, Refusal> {
    match result.map_err(HandlerError::into_unreadable) {
        Ok(()) => Ok(Outcome::Handled),
        Err(Ok(event)) => Err(Refusal::Unreadable(event)),
        Err(Err(error)) => Err(Refusal::Handler(error)),
    }
}

/// Runs to its end whatever the caller does: one who goes away, or whose deadline passes, must not stop a
/// handler half way. Most handlers are done at the first poll; only the others cost a task of their own.
async fn to_the_end(mut run: Boxed, elsewhere: Option<Handle>) -> Result<Outcome, Refusal> {
    // Timers and sockets belong to the runtime that polls first, so it must be the right one from the start.
    if elsewhere.is_none()
        && let Poll::Ready(result) = poll_fn(|context| Poll::Ready(run.as_mut().poll(context))).await
    {
        return result;
    }
    let (sender, receiver) = oneshot::channel();
    let run = async move {
        let started = Instant::now();
        if let Err(result) = sender.send(run.await) {
            telemetry::after_the_answer(&result, started.elapsed());
        }
    };
    let span = QuietSpan::current();
    elsewhere.unwrap_or_else(Handle::current).spawn(async move { span.instrument(run).await });
    // Without a word when the runtime is shutting down: panics of handlers and of the store are caught.
    let silent = || Refusal::Handler(HandlerError::retry("its task ended without a result"));
    receiver.await.unwrap_or_else(|_| Err(silent()))
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;
    use crate::event::RawEvent;
    use crate::store::MemoryStore;

    /// glibc gives and takes pieces of up to about 1 KiB without a lock and without a search; others cost a delivery
    /// several hundred instructions.
    #[test]
    fn what_is_left_to_do_inline_fits_into_a_small_piece_of_memory() {
        let router = EventRouter::new().on_any(|_| async { Ok(()) });
        let intake = Intake::inline(Arc::new(MemoryStore::new()), router, STORE_LIMIT, None);
        let Intake::Inline(inline) = intake else { unreachable!() };
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let run = inline.run(Arrival::from(RawEvent::from_json("{}")), NewEvent::from_json("{}"), place);
        let bytes = size_of_val(&*run);
        assert!(bytes <= 1024, "{bytes} bytes");
    }
}
