use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

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
        #[derive(Deserialize)]
        struct Id {
            #[serde(rename = "eventId", default, deserialize_with = "flexible::optional_text")]
            id: Option<String>,
        }
        #[derive(Deserialize)]
        struct Name {
            #[serde(rename = "eventName", default, deserialize_with = "flexible::optional_text")]
            name: Option<String>,
        }
        #[derive(Deserialize)]
        struct Environment {
            #[serde(default, deserialize_with = "flexible::optional_text")]
            environment: Option<String>,
        }
        let text = data.get();
        let event_id = json::object(text).ok().and_then(|Id { id }| id);
        let event_id = event_id.filter(|id| flexible::is_usable_id(id));
        let event_name = json::object(text).ok().and_then(|Name { name }| name);
        let environment = json::object(text).ok().and_then(|Environment { environment }| environment);
        Self { event_id, event_name, environment, reason: short(reason), data }
    }

    /// The text of `data`, exactly as it was signed.
    pub fn json(&self) -> &str {
        self.data.get()
    }

    /// What may be its payload.
    pub(super) fn payload(&self) -> &str {
        #[derive(Deserialize)]
        struct Payload<'a> {
            #[serde(borrow, default)]
            payload: Option<&'a RawValue>,
        }
        json::object(self.json()).map_or("", |Payload { payload }| payload.map_or("", RawValue::get))
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
