use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument;

use super::Inner;
use crate::clock::Clock;
use crate::event::{RawEvent, Unreadable};
use crate::outcome::{Outcome, Refusal};
use crate::router::{EventRouter, HandlerError, HandlerResult};
use crate::store::{Beginning, EventStore, Insertion, Lease, NewEvent, StoreError};
use crate::telemetry;
use crate::verifier::VerifiedToken;

/// A lease outlives the handler's limit by this, so that the end of a stopped handler can still be noted.
const LEASE_MARGIN: Duration = Duration::from_secs(10);

/// What happens to a verified event.
#[derive(Debug)]
pub(super) enum Intake {
    /// One durable write; someone else runs the handlers.
    Queued(Arc<dyn EventStore>),
    /// The handlers run now, and their result is the answer.
    Inline(Arc<Inline>),
}

#[derive(Debug)]
pub(super) struct Inline {
    store: Arc<dyn EventStore>,
    router: EventRouter,
    limit: Duration,
}

impl Intake {
    pub(super) fn queued(store: Arc<dyn EventStore>) -> Self {
        Self::Queued(store)
    }

    pub(super) fn inline(store: Arc<dyn EventStore>, router: EventRouter, limit: Duration) -> Self {
        Self::Inline(Arc::new(Inline { store, router, limit }))
    }
}

/// What is left to do for a verified event.
pub(super) enum Step {
    Insert(Arc<dyn EventStore>, NewEvent, OwnedSemaphorePermit),
    Run(Run),
}

impl Step {
    pub(super) async fn finish(self) -> Result<Outcome, Refusal> {
        match self {
            Self::Insert(store, event, _place) => insert(&*store, event).await,
            Self::Run(run) => to_the_end(run).await,
        }
    }
}

impl Inner {
    /// `place` is given back when the handler has ended, which may be after the answer.
    ///
    /// No `async fn`: its future would hold the token and the event, and so would every future around it.
    pub(super) fn take_in(&self, token: VerifiedToken, place: OwnedSemaphorePermit) -> Result<Step, Refusal> {
        let now = self.clock.now();
        match token.into_event() {
            Ok(event) => self.take_in_event(event, now, place),
            Err(unreadable) => self.take_in_unreadable(unreadable, now, place),
        }
    }

    fn take_in_event(
        &self,
        event: RawEvent,
        now: DateTime<Utc>,
        place: OwnedSemaphorePermit,
    ) -> Result<Step, Refusal> {
        let span = tracing::Span::current();
        span.record("event_id", event.id.as_str());
        span.record("event_name", event.name.as_str());
        span.record("attempt", event.deliver_id.as_str());
        self.check_environment(&event)?;
        Ok(match &self.intake {
            Intake::Queued(store) => Step::Insert(Arc::clone(store), NewEvent::new(&event, now), place),
            Intake::Inline(inline) => {
                if !inline.router.knows(&event.name) {
                    telemetry::unknown_event(&event.name);
                }
                Step::Run(Arc::clone(inline).run(event, now, Arc::clone(&self.clock), place))
            }
        })
    }

    fn take_in_unreadable(
        &self,
        event: Unreadable,
        now: DateTime<Utc>,
        place: OwnedSemaphorePermit,
    ) -> Result<Step, Refusal> {
        match &self.intake {
            Intake::Queued(store) => match NewEvent::unreadable(&event, now) {
                Some(dead) => Ok(Step::Insert(Arc::clone(store), dead, place)),
                None => Err(Refusal::Unreadable(event)),
            },
            Intake::Inline(inline) if inline.router.handles_unreadable() => {
                let inline = Arc::clone(inline);
                Ok(Step::Run(Box::pin(async move {
                    let handlers = pin!(inline.router.dispatch_unreadable(event));
                    let result = inline.limited(handlers).await;
                    drop(place);
                    result.map(|()| Outcome::Handled).map_err(refusal)
                })))
            }
            Intake::Inline(_) => Err(Refusal::Unreadable(event)),
        }
    }
}

async fn insert(store: &dyn EventStore, event: NewEvent) -> Result<Outcome, Refusal> {
    Ok(match store.insert(event).await? {
        Insertion::New => Outcome::Stored,
        Insertion::Duplicate => Outcome::Duplicate,
    })
}

impl Inline {
    /// Takes a lease on the event, runs the handlers, and notes how that ended.
    fn run(
        self: Arc<Self>,
        event: RawEvent,
        now: DateTime<Utc>,
        clock: Arc<dyn Clock>,
        place: OwnedSemaphorePermit,
    ) -> Run {
        Box::pin(async move {
            let _place = place;
            let lease = self.limit.saturating_add(LEASE_MARGIN);
            let lease = match self.store.begin(NewEvent::new(&event, now), now, lease).await? {
                Beginning::Run(lease) => lease,
                Beginning::Ended => return Ok(Outcome::Duplicate),
                Beginning::Running => return Err(Refusal::InProgress),
            };
            let handlers = pin!(self.router.dispatch(event));
            let result = self.limited(handlers).await;
            self.settle(&lease, &result, clock.now()).await?;
            result.map(|()| Outcome::Handled).map_err(refusal)
        })
    }

    /// Pinned, so that the futures on the way hold a pointer and not the whole.
    async fn limited(&self, handlers: Pin<&mut impl Future<Output = HandlerResult>>) -> HandlerResult {
        let started = Instant::now();
        let result = match tokio::time::timeout(self.limit, handlers).await {
            Ok(result) => result,
            Err(_) => Err(HandlerError::too_slow(self.limit)),
        };
        telemetry::handler(&result, started);
        result
    }

    async fn settle(
        &self,
        lease: &Lease,
        result: &HandlerResult,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        match result {
            Ok(()) => self.store.complete(lease, now).await,
            Err(error) if error.is_permanent() => self.store.bury(lease, now, &error.to_string()).await,
            Err(error) => self.store.retry(lease, now, &error.to_string()).await,
        }
    }
}

fn refusal(error: HandlerError) -> Refusal {
    match error.into_unreadable() {
        Ok(event) => Refusal::Unreadable(event),
        Err(error) => Refusal::Handler(error),
    }
}

type Run = Pin<Box<dyn Future<Output = Result<Outcome, Refusal>> + Send>>;

/// Runs to its end whatever the caller does: one who goes away, or whose deadline passes, must not stop a
/// handler half way. Most handlers are done at the first poll; only the others cost a task of their own.
async fn to_the_end(mut run: Run) -> Result<Outcome, Refusal> {
    match poll_fn(|context| Poll::Ready(run.as_mut().poll(context))).await {
        Poll::Ready(result) => result,
        Poll::Pending => match tokio::spawn(run.in_current_span()).await {
            Ok(result) => result,
            // The runtime is shutting down: handlers' panics are caught before they get here.
            Err(_) => Err(Refusal::Overloaded),
        },
    }
}
