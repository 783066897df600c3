use super::{RawEvent, Run, Subject, Unreadable};
use crate::json::Json;

/// What a genuine token brings: an event, or what cannot be read as one.
#[derive(Debug, Clone)]
pub(crate) enum Arrival {
    /// Boxed, as every `async fn` on its way would hold it twice.
    Event(Box<RawEvent>),
    Unreadable(Box<Unreadable>),
}

impl Arrival {
    pub(crate) fn into_event(self) -> Result<RawEvent, Unreadable> {
        match self {
            Self::Event(event) => Ok(*event),
            Self::Unreadable(event) => Err(*event),
        }
    }

    /// Tells the handlers under which lease they run.
    pub(crate) fn in_run(mut self, run: Run) -> Self {
        if let Self::Event(event) = &mut self {
            event.run = Some(run);
        }
        self
    }

    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            Self::Event(event) => Some(&event.id),
            Self::Unreadable(event) => event.event_id.as_deref(),
        }
    }

    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Event(event) => Some(&event.name),
            Self::Unreadable(event) => event.event_name.as_deref(),
        }
    }

    /// Whom it is about, as far as that can be read.
    pub(crate) fn subject(&self) -> Subject<'_> {
        match self {
            Self::Event(event) => event.payload.subject(),
            Self::Unreadable(event) => Subject::read(event.payload()),
        }
    }

    pub(crate) fn environment(&self) -> Option<&str> {
        match self {
            Self::Event(event) => Some(&event.environment),
            Self::Unreadable(event) => event.environment.as_deref(),
        }
    }

    pub(crate) fn data(&self) -> &Json {
        match self {
            Self::Event(event) => event.data(),
            Self::Unreadable(event) => event.data(),
        }
    }
}

impl From<Result<RawEvent, Unreadable>> for Arrival {
    fn from(event: Result<RawEvent, Unreadable>) -> Self {
        match event {
            Ok(event) => Self::Event(Box::new(event)),
            Err(event) => Self::Unreadable(Box::new(event)),
        }
    }
}
