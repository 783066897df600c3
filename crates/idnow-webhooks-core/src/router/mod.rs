//! Takes each event to the handler for its type.

mod error;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::event::{DOCUMENTED_NAMES, Event, EventPayload, RawEvent, Unreadable};

pub use error::HandlerError;

/// What a handler returns. `?` works on any error, and means "try again later".
pub type HandlerResult = Result<(), HandlerError>;

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
///         let number: u32 = event.version.trim_end_matches(".0").parse()?; // `?` means: try again later
///         if number > 1 {
///             return Err(HandlerError::permanent("this bank has not agreed to version 2"));
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
    /// The event that was not handled.
    pub event: RawEvent,
    /// The error, with its causes, in one line.
    pub error: String,
    /// Whether it was final; otherwise the event will be handled again.
    pub permanent: bool,
}

/// A router that names one event twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is registered twice: join the two handlers into one")]
pub struct RepeatedHandler(pub &'static str);

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
    /// Without it they are answered 503 in inline mode, and kept as dead letters in queued mode.
    pub fn on_unreadable<F, R>(mut self, handler: F) -> Self
    where
        F: Fn(Unreadable) -> R + Send + Sync + 'static,
        R: Future<Output = HandlerResult> + Send + 'static,
    {
        self.note_repeated(self.unreadable.is_some(), "on_unreadable");
        self.unreadable = Some(Arc::new(move |event| handler(event).boxed()));
        self
    }

    /// Is told of each failure of a handler, for an alarm. What it does changes nothing.
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

    /// Whether the event's name is documented or has a handler.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.typed.contains_key(name) || DOCUMENTED_NAMES.contains(&name)
    }

    /// Runs the handlers for an event. A panic is a failure like any other.
    ///
    /// Neither this nor what it calls is an `async fn`: such a future holds its arguments twice, and an event is
    /// what makes the future of a whole delivery large.
    pub(crate) fn dispatch(&self, event: RawEvent) -> impl Future<Output = HandlerResult> {
        // Only who is told of failures needs the event afterwards.
        let failure = self.failure.as_ref().map(|handler| (handler, event.clone()));
        let run = self.run(event);
        async move {
            let result = run.await;
            if let (Err(error), Some((handler, event))) = (&result, failure) {
                let failure = Failure { event, error: error.to_string(), permanent: error.is_permanent() };
                let notified = guarded(|| Ok(handler(failure).map(Ok).boxed()));
                if let Err(error) = notified.await {
                    tracing::error!(%error, "the on_failure handler failed");
                }
            }
            result
        }
    }

    #[expect(clippy::manual_async_fn, reason = "it would hold the event twice")]
    fn run(&self, event: RawEvent) -> impl Future<Output = HandlerResult> {
        async move {
            if let Some(handler) = &self.any {
                self.call(handler, event.clone()).await?;
            }
            let handler = match (self.typed.get(event.name.as_str()), &self.unknown) {
                (Some(handler), _) => handler,
                (None, Some(handler)) if !self.knows(&event.name) => handler,
                _ => return Ok(()),
            };
            self.call(handler, event).await
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

    pub(crate) fn handles_unreadable(&self) -> bool {
        self.unreadable.is_some()
    }

    /// Runs the handler for unreadable events, if there is one.
    pub(crate) async fn dispatch_unreadable(&self, event: Unreadable) -> HandlerResult {
        guarded(|| self.unreadable_handler(event)).await
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
