use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::intake::Intake;
use super::parking::MAX_PARKING;
use super::{Inner, Receiver};
use crate::admission::Admission;
use crate::clock::{Clock, SystemClock};
use crate::keys::KeySource;
use crate::router::{EventRouter, RepeatedHandler};
use crate::store::{EventStore, MemoryStore};
use crate::telemetry::RefusalLog;
use crate::verifier::Verifier;

const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-idnow-signature");
const MAX_BODY_BYTES: usize = 256 * 1024;
/// The provider waits for 10 s. What it does not get in time it sends again.
const ANSWER_DEADLINE: Duration = Duration::from_secs(8);
const HANDLER_LIMIT: Duration = Duration::from_secs(60);
const MAX_IN_PROGRESS: u32 = 4096;

/// Builds a [`Receiver`].
#[derive(Debug)]
#[must_use]
pub struct ReceiverBuilder {
    verifier: Verifier,
    keys: Arc<dyn KeySource>,
    admission: Admission,
    clock: Arc<dyn Clock>,
    token_header: HeaderName,
    max_body_bytes: usize,
    answer_deadline: Duration,
    handler_limit: Duration,
    max_in_progress: u32,
    keep_evidence: bool,
    router: Option<EventRouter>,
    store: Option<Arc<dyn EventStore>>,
    queue: Option<Arc<dyn EventStore>>,
    runtime: Option<Handle>,
}

impl ReceiverBuilder {
    pub(super) fn new(verifier: Verifier, keys: Arc<dyn KeySource>) -> Self {
        Self {
            verifier,
            keys,
            admission: Admission::default(),
            clock: Arc::new(SystemClock),
            token_header: TOKEN_HEADER,
            max_body_bytes: MAX_BODY_BYTES,
            answer_deadline: ANSWER_DEADLINE,
            handler_limit: HANDLER_LIMIT,
            max_in_progress: MAX_IN_PROGRESS,
            keep_evidence: false,
            router: None,
            store: None,
            queue: None,
            runtime: None,
        }
    }

    /// Handles events inline: the handler runs before the answer, and its result is the answer.
    ///
    /// Without this and without [`queued`](Self::queued), events are answered 503: the receiver is then only good for
    /// [`Receiver::verify`].
    pub fn handlers(mut self, router: EventRouter) -> Self {
        self.router = Some(router);
        self
    }

    /// Where handled events are remembered in inline mode, so that they are recognised when they come again
    /// (default: a [`MemoryStore`] of 100,000 events).
    pub fn store(mut self, store: impl EventStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Puts events into this store and answers at once; a [`Worker`](crate::Worker), which has the handlers, takes
    /// them from there.
    pub fn queued(mut self, store: impl EventStore) -> Self {
        self.queue = Some(Arc::new(store));
        self
    }

    /// Who may send at all (default: everyone).
    pub fn admission(mut self, admission: Admission) -> Self {
        self.admission = admission;
        self
    }

    /// As [`VerifierBuilder::expected_environment`](crate::VerifierBuilder::expected_environment).
    pub fn expected_environment(mut self, environment: impl Into<String>) -> Self {
        self.verifier.expect_environment(environment.into());
        self
    }

    /// As [`VerifierBuilder::expected_flow`](crate::VerifierBuilder::expected_flow). Call it again for another one.
    pub fn expected_flow(mut self, flow: impl Into<String>) -> Self {
        self.verifier.expect_flow(flow.into());
        self
    }

    /// The header that may carry the token instead of the body (default: `X-Idnow-Signature`).
    pub fn token_header(mut self, name: HeaderName) -> Self {
        self.token_header = name;
        self
    }

    /// The longest body, or token in a header, that is accepted (default: 256 KiB). The provider's have about 1.5 KiB.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// When to answer at the latest (default: 8 s). The provider waits for 10 s.
    pub fn answer_deadline(mut self, deadline: Duration) -> Self {
        self.answer_deadline = deadline;
        self
    }

    /// How long a handler may run in all, the answer notwithstanding (default: 60 s). Then it is stopped, and the
    /// provider's next attempt starts it anew.
    pub fn handler_limit(mut self, limit: Duration) -> Self {
        self.handler_limit = limit;
        self
    }

    /// How many verified events may be in progress at once (default: 4096), among them those whose handler still
    /// runs after the answer. More are answered 503.
    pub fn max_in_progress(mut self, events: u32) -> Self {
        self.max_in_progress = events;
        self
    }

    /// Stores each token and the public key that verified it beside its event (default: no), to prove later and to
    /// others where the event came from. This takes 2 to 4 KiB more for each event; the store in memory keeps it for
    /// queued events only.
    pub fn keep_evidence(mut self, keep: bool) -> Self {
        self.keep_evidence = keep;
        self
    }

    /// Runs handlers on this runtime (default: on the one that serves their delivery, and in place for as long as
    /// they do not wait).
    ///
    /// For actix-web, which serves from runtimes of its own that end with the server: give it the one of `main`, so
    /// that [`Receiver::idle`] can wait for handlers that outlive the answer.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// The clock (default: the machine's).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks the settings once, for good.
    pub fn build(self) -> Result<Receiver, ReceiverError> {
        self.router.as_ref().map_or(Ok(()), EventRouter::check)?;
        for (what, zero) in [
            ("max_body_bytes", self.max_body_bytes == 0),
            ("answer_deadline", self.answer_deadline.is_zero()),
            ("handler_limit", self.handler_limit.is_zero()),
            ("max_in_progress", self.max_in_progress == 0),
        ] {
            if zero {
                return Err(ReceiverError::Zero(what));
            }
        }
        if self.handler_limit < self.answer_deadline {
            return Err(ReceiverError::HandlerLimit);
        }
        let intake = match (self.queue, self.router) {
            (Some(_), Some(router)) if !router.is_empty() => return Err(ReceiverError::Conflict("handlers")),
            (Some(_), _) if self.store.is_some() => return Err(ReceiverError::Conflict("store")),
            (Some(_), _) if self.runtime.is_some() => return Err(ReceiverError::Conflict("runtime")),
            (Some(queue), _) => Intake::queued(queue),
            (None, Some(router)) => {
                let store = self
                    .store
                    .unwrap_or_else(|| Arc::new(MemoryStore::new().with_clock(Arc::clone(&self.clock))));
                Intake::inline(store, router, self.handler_limit, self.runtime)
            }
            (None, None) => Intake::Nothing,
        };
        Ok(Receiver {
            inner: Arc::new(Inner {
                admission: self.admission,
                verifier: self.verifier,
                keys: self.keys,
                clock: self.clock,
                token_header: self.token_header,
                max_body_bytes: self.max_body_bytes,
                answer_deadline: self.answer_deadline,
                in_progress: Arc::new(Semaphore::new(
                    (self.max_in_progress as usize).min(Semaphore::MAX_PERMITS),
                )),
                max_in_progress: self.max_in_progress,
                parking: Semaphore::new(MAX_PARKING),
                keep_evidence: self.keep_evidence,
                refusals: RefusalLog::default(),
                intake,
            }),
        })
    }
}

/// A [`ReceiverBuilder`] that cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiverError {
    /// Two handlers are registered for one event.
    #[error(transparent)]
    Handlers(#[from] RepeatedHandler),
    /// A setting of inline mode stands beside `queued`, where it has no effect.
    #[error("`{0}` has no effect together with `queued`: give it to the worker, or leave out one of the two")]
    Conflict(&'static str),
    /// A limit of zero would refuse everything.
    #[error("`{0}` must not be zero")]
    Zero(&'static str),
    /// A handler would be stopped before its answer is due.
    #[error("`handler_limit` must not be shorter than `answer_deadline`")]
    HandlerLimit,
}
