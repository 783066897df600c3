//! One event of the store in memory.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::json::Json;
use crate::store::{EventState, Evidence, NewEvent, StoredEvent};

pub(super) struct Record {
    /// Whether a worker may claim it. Otherwise it is handled inline, and belongs to no session here.
    pub(super) queued: bool,
    /// The event of inline mode while it is not finished: should it be put into the queue, a worker needs it.
    pub(super) begun: Option<Box<NewEvent>>,
    pub(super) runs: u32,
    pub(super) phase: Phase,
    pub(super) position: i64,
    pub(super) token: u64,
    pub(super) received_at: DateTime<Utc>,
    /// Its key in the queue.
    pub(super) wake: Option<DateTime<Utc>>,
    /// Only of queued events.
    pub(super) details: Option<Box<Details>>,
}

pub(super) struct Details {
    pub(super) name: Option<String>,
    pub(super) session: Option<Arc<str>>,
    pub(super) sequence: u64,
    pub(super) data: Option<Json>,
    pub(super) evidence: Option<Arc<Evidence>>,
    pub(super) error: Option<String>,
}

impl Details {
    pub(super) fn of(event: &NewEvent) -> Self {
        Self {
            name: event.name(),
            session: event.session_id().map(Into::into),
            sequence: event.sequence,
            data: Some(event.json().clone()),
            evidence: event.evidence.clone(),
            error: None,
        }
    }
}

#[derive(Clone, Copy)]
pub(super) enum Phase {
    Waiting { due: DateTime<Utc> },
    Running { until: DateTime<Utc> },
    Completed { at: DateTime<Utc> },
    Dead { at: DateTime<Utc> },
}

impl Phase {
    pub(super) fn state(self) -> EventState {
        match self {
            Self::Waiting { .. } => EventState::Waiting,
            Self::Running { .. } => EventState::Running,
            Self::Completed { .. } => EventState::Completed,
            Self::Dead { .. } => EventState::Dead,
        }
    }

    /// When a lease can be taken, if ever.
    pub(super) fn due(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Waiting { due: at } | Self::Running { until: at } => Some(at),
            Self::Completed { .. } | Self::Dead { .. } => None,
        }
    }

    pub(super) fn finished(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Completed { at } | Self::Dead { at } => Some(at),
            Self::Waiting { .. } | Self::Running { .. } => None,
        }
    }
}

impl Record {
    pub(super) fn inline(event: NewEvent, now: DateTime<Utc>) -> Self {
        Self { begun: Some(Box::new(event)), ..Self::empty(now) }
    }

    pub(super) fn queued(event: &NewEvent, now: DateTime<Utc>) -> Self {
        Self { queued: true, details: Some(Box::new(Details::of(event))), ..Self::empty(now) }
    }

    fn empty(now: DateTime<Utc>) -> Self {
        Self {
            queued: false,
            begun: None,
            runs: 0,
            phase: Phase::Waiting { due: now },
            position: 0,
            token: 0,
            received_at: now,
            wake: None,
            details: None,
        }
    }

    pub(super) fn failed(&mut self, error: &str) {
        if let Some(details) = &mut self.details {
            details.error = Some(error.to_owned());
        }
    }

    /// Nobody needs the text of a completed event any more.
    pub(super) fn forget_text(&mut self) {
        self.begun = None;
        if let Some(details) = &mut self.details {
            (details.data, details.error) = (None, None);
        }
    }

    /// How and when it ended. What was begun inline is as good as completed when nobody ends it or begins it again.
    pub(super) fn ended(&self) -> Option<(EventState, DateTime<Utc>)> {
        match self.phase {
            Phase::Completed { at } | Phase::Dead { at } => Some((self.phase.state(), at)),
            Phase::Waiting { due: at } | Phase::Running { until: at } if !self.queued => {
                Some((EventState::Completed, at))
            }
            Phase::Waiting { .. } | Phase::Running { .. } => None,
        }
    }

    pub(super) fn session(&self) -> Option<(&Arc<str>, u64)> {
        let details = self.details.as_deref()?;
        Some((details.session.as_ref()?, details.sequence))
    }

    /// As operators see it.
    pub(super) fn stored(&self, id: &str) -> StoredEvent {
        let details = self.details.as_deref();
        StoredEvent {
            position: self.position,
            id: id.to_owned(),
            name: details.and_then(|details| details.name.clone()),
            session_id: self.session().map(|(session, _)| session.to_string()),
            sequence: details.map_or(0, |details| details.sequence),
            state: self.phase.state(),
            runs: self.runs,
            received_at: self.received_at,
            due_at: self.phase.due(),
            finished_at: self.phase.finished(),
            error: details.and_then(|details| details.error.clone()),
            data: details.and_then(|details| details.data.as_ref()).map(|data| data.get().to_owned()),
            evidence: details.and_then(|details| details.evidence.as_deref().cloned()),
        }
    }
}
