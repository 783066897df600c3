//! Takes each event to the handler for its type.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::event::{Arrival, DOCUMENTED_NAMES, Event, EventPayload, RawEvent, Unreadable};
use crate::handler::{HandlerError, HandlerResult};
use crate::telemetry::{self, QuietSpan};

type Handler = Arc<dyn Fn(RawEvent) -> Result<BoxFuture<'static, HandlerResult>, Unreadable> + Send + Sync>;
type UnreadableHandler = Arc<dyn Fn(Unreadable) -> BoxFuture<'static, HandlerResult> + Send + Sync>;
type FailureHandler = Arc<dyn Fn(Failure) -> BoxFuture<'static, ()> + Send + Sync>;

/// Handlers, each typed by its argument.
///
/// A handler gets shared state by capturing a clone of it. The same event may reach a handler again after a
/// failure or a crash, so what a handler does should be safe to do twice.
///
/// ```
/// use idnow_webhooks_core::event::{Event, RawEvent, SessionCompleted, SessionExpired};
/// use idnow_webhooks_core::{EventRouter, HandlerError};
///
/// let router = EventRouter::new()
///     .on(|event: Event<SessionCompleted>| async move {
///         let outcome: Vec<u8> = std::fs::read("/run/outcomes")?; // `?` means: try again later
///         if outcome.is_empty() {
///             return Err(HandlerError::permanent("no outcome for this session, and there never will be"));
///         }
///         Ok(())
///     })
///     .on(|event: Event<SessionExpired>| async move {
///         println!("session {} has expired", event.payload.session_id);
///         Ok(())
///     })
///     .on_unknown(|event: RawEvent| async move {
///         println!("new kind of event: {}", event.json());
///         Ok(())
///     });
/// # drop(router);
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct EventRouter {
    typed: HashMap<&'static str, Handler>,
    any: Option<Handler>,
    unknown: Option<Handler>,
    unreadable: Option<UnreadableHandler>,
    failure: Option<FailureHandler>,
    repeated: Option<&'static str>,
}

/// Something that went wrong with an event, for [`EventRouter::on_failure`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Failure {
    /// `eventId`, as far as it could be read.
    pub event_id: Option<String>,
    /// `eventName`, as far as it could be read.
    pub event_name: Option<String>,
    /// The error, with its causes, in one line.
    pub error: String,
    /// Whether it was final: the event is a dead letter now. Otherwise it will be handled again.
    pub permanent: bool,
    arrival: Arrival,
}

impl Failure {
    pub(crate) fn new(arrival: Arrival, error: &HandlerError, permanent: bool) -> Self {
        Self {
            event_id: arrival.id().map(str::to_owned),
            event_name: arrival.name().map(str::to_owned),
            error: error.to_string(),
            permanent,
            arrival,
        }
    }

    /// The whole of `data`, exactly as it was signed.
    pub fn json(&self) -> &str {
        self.arrival.data().get()
    }
}

/// A router that names one event twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is registered twice: join the two handlers into one")]
pub struct RepeatedHandler(
    /// The event's name, or the method of [`EventRouter`] that was called twice.
    pub &'static str,
);

impl EventRouter {
    /// A router without handlers: it acknowledges every event and does nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Handles the events whose payload is `P`. One handler for each type.
    pub fn on<P, F, R>(mut self, handler: F) -> Self
    where
        P: EventPayload,
        F: Fn(Event<P>) -> R + Send + Sync + 'static,
        R: Future<Output = HandlerResult> + Send + 'static,
    {
        match self.typed.entry(P::NAME) {
            Entry::Occupied(_) => self.repeated = Some(P::NAME),
            Entry::Vacant(slot) => {
                slot.insert(Arc::new(move |event| Ok(handler(event.read()?).boxed())));
            }
        }
        self
    }

    /// Sees every event first, before the handler for its type. If it fails, the event has failed.
    pub fn on_any<F, R>(mut self, handler: F) -> Self
    where
        F: Fn(RawEvent) -> R + Send + Sync + 'static,
        R: Future<Output = HandlerResult> + Send + 'static,
    {
        self.note_repeated(self.any.is_some(), "on_any");
        self.any = Some(Arc::new(move |event| Ok(handler(event).boxed())));
        self
    }

    /// Handles events with a name that neither this version nor a handler of yours knows. Without it they are
    /// acknowledged, counted and logged.
    pub fn on_unknown<F, R>(mut self, handler: F) -> Self
    where
        F: Fn(RawEvent) -> R + Send + Sync + 'static,
        R: Future<Output = HandlerResult> + Send + 'static,
    {
        self.note_repeated(self.unknown.is_some(), "on_unknown");
        self.unknown = Some(Arc::new(move |event| Ok(handler(event).boxed())));
        self
    }

    /// Handles genuine deliveries that cannot be read as an event, or not as the type that a handler wants.
    /// Without it they are answered 503 in inline mode, and become dead letters in queued mode.
    ///
    /// One without a usable `eventId` is recognised by a hash of the token's `sub` and the whole `data`. The provider writes
    /// the number of the attempt into `data`, so each attempt counts as an event of its own.
    pub fn on_unreadable<F, R>(mut self, handler: F) -> Self
    where
        F: Fn(Unreadable) -> R + Send + Sync + 'static,
        R: Future<Output = HandlerResult> + Send + 'static,
    {
        self.note_repeated(self.unreadable.is_some(), "on_unreadable");
        self.unreadable = Some(Arc::new(move |event| handler(event).boxed()));
        self
    }

    /// Is told of each failure of a handler, for an alarm. It runs beside the answer, for at most as long as a
    /// handler may, and what it does changes nothing. [`Receiver::idle`](crate::Receiver::idle) and
    /// [`Worker::stop`](crate::Worker::stop) wait for it.
    pub fn on_failure<F, R>(mut self, handler: F) -> Self
    where
        F: Fn(Failure) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.note_repeated(self.failure.is_some(), "on_failure");
        self.failure = Some(Arc::new(move |failure| handler(failure).boxed()));
        self
    }

    fn note_repeated(&mut self, occupied: bool, what: &'static str) {
        if occupied {
            self.repeated = Some(what);
        }
    }

    pub(crate) fn check(&self) -> Result<(), RepeatedHandler> {
        self.repeated.map_or(Ok(()), |name| Err(RepeatedHandler(name)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        let others =
            [self.any.is_some(), self.unknown.is_some(), self.unreadable.is_some(), self.failure.is_some()];
        self.typed.is_empty() && !others.contains(&true)
    }

    /// Whether anybody would do something with it.
    pub(crate) fn takes(&self, arrival: &Arrival) -> bool {
        matches!(arrival, Arrival::Event(_)) || self.unreadable.is_some()
    }

    /// The name of an event as a metric's label: one that the provider documents or that a handler is registered for, since
    /// a label must not take endless values.
    pub(crate) fn label(&self, name: Option<&str>) -> &'static str {
        let known = self.typed.keys().chain(DOCUMENTED_NAMES).find(|known| Some(**known) == name);
        known.copied().unwrap_or("other")
    }

    /// Runs the handlers for what arrived. A panic is a failure like any other.
    pub(crate) async fn dispatch(&self, arrival: Arrival) -> HandlerResult {
        match arrival {
            Arrival::Event(event) => self.run(event).await,
            Arrival::Unreadable(event) => guarded(|| self.unreadable_handler(*event)).await,
        }
    }

    /// Whether failures are to be [reported](Self::report).
    pub(crate) fn reports(&self) -> bool {
        self.failure.is_some()
    }

    /// Tells of a failure, in a task of its own that keeps `until_told`.
    pub(crate) fn report(&self, failure: Failure, limit: Duration, until_told: impl Send + 'static) {
        let Some(handler) = self.failure.clone() else { return };
        let told = async move {
            let _until_told = until_told;
            let told = guarded(|| Ok(handler(failure).map(Ok).boxed()));
            match tokio::time::timeout(limit, told).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "the on_failure handler failed"),
                Err(_) => tracing::error!("the on_failure handler was stopped after {limit:?}"),
            }
        };
        let span = QuietSpan::current();
        tokio::spawn(async move { span.instrument(told).await });
    }

    async fn run(&self, event: Box<RawEvent>) -> HandlerResult {
        if let Some(handler) = &self.any {
            self.call(handler, RawEvent::clone(&event)).await?;
        }
        let handler = match self.typed.get(event.name.as_str()) {
            Some(handler) => Some(handler),
            None if DOCUMENTED_NAMES.contains(&event.name.as_str()) => None,
            None => {
                telemetry::unknown_event(&event.name);
                self.unknown.as_ref()
            }
        };
        match handler {
            Some(handler) => self.call(handler, *event).await,
            None => Ok(()),
        }
    }

    fn call(&self, handler: &Handler, event: RawEvent) -> impl Future<Output = HandlerResult> {
        guarded(|| match handler(event) {
            Ok(future) => Ok(future),
            Err(unreadable) => self.unreadable_handler(unreadable),
        })
    }

    fn unreadable_handler(
        &self,
        event: Unreadable,
    ) -> Result<BoxFuture<'static, HandlerResult>, HandlerError> {
        match &self.unreadable {
            Some(handler) => Ok(handler(event)),
            None => Err(HandlerError::unreadable(event)),
        }
    }
}

/// Calls a handler at once, and turns a panic into an error, now and when the result is awaited.
fn guarded<'a>(
    start: impl FnOnce() -> Result<BoxFuture<'a, HandlerResult>, HandlerError>,
) -> impl Future<Output = HandlerResult> {
    let started = std::panic::catch_unwind(AssertUnwindSafe(start));
    async {
        let finished = match started {
            Ok(Ok(future)) => AssertUnwindSafe(future).catch_unwind().await,
            Ok(Err(error)) => return Err(error),
            Err(panic) => Err(panic),
        };
        finished.unwrap_or_else(|panic| Err(HandlerError::panicked(&*panic)))
    }
}

impl fmt::Debug for EventRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.typed.keys().collect();
        names.sort_unstable();
        f.debug_struct("EventRouter")
            .field("on", &names)
            .field("on_any", &self.any.is_some())
            .field("on_unknown", &self.unknown.is_some())
            .field("on_unreadable", &self.unreadable.is_some())
            .field("on_failure", &self.failure.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
