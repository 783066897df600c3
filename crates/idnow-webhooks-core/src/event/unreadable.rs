use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::flexible;
use crate::json::{self, Json};
use crate::one_line::one_line;

/// The longest reason that is kept, in characters: the JSON reader may quote what it could not read.
const MAX_REASON: usize = 300;

/// A verified `data` that is not an event as this version understands it: the provider changed something.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the signed `data` is not a readable event: {reason}")]
pub struct Unreadable {
    /// `eventId`, if at least that could be read.
    pub event_id: Option<String>,
    /// `eventName`, if at least that could be read.
    pub event_name: Option<String>,
    /// `environment`, if at least that could be read.
    pub environment: Option<String>,
    pub(super) reason: Arc<str>,
    pub(super) data: Json,
}

impl Unreadable {
    /// Keeps what little can still be read, for the log and for deduplication. Each member by itself, so that one that is
    /// repeated does not take the others along.
    pub(super) fn salvaged(data: Json, reason: &impl fmt::Display) -> Self {
        let member = |name| {
            let raw = json::members(data.get(), [name]).ok().and_then(|[value]| value)?;
            flexible::text_or_number(raw).map(Cow::into_owned)
        };
        let event_id = member("eventId").filter(|id| flexible::is_usable_id(id));
        let (event_name, environment) = (member("eventName"), member("environment"));
        Self { event_id, event_name, environment, reason: short(reason), data }
    }

    /// The text of `data`, exactly as it was signed.
    pub fn json(&self) -> &str {
        self.data.get()
    }

    /// What may be its payload.
    pub(super) fn payload(&self) -> &str {
        json::members(self.json(), ["payload"]).ok().and_then(|[payload]| payload).unwrap_or_default()
    }

    pub(crate) fn data(&self) -> &Json {
        &self.data
    }

    /// What could not be read, and where in the text.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

pub(super) fn short(reason: &impl fmt::Display) -> Arc<str> {
    one_line(reason, MAX_REASON).into()
}
