//! The fields of an event that may be given another value, and what fits them.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use uuid::Uuid;

use crate::error::Error;
use crate::model::{EventKind, SessionStatus};

/// The longest value, in bytes.
const LONGEST_VALUE: usize = 1024;
const PAYLOAD: &str = "payload.";

/// What fits a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Uuid,
    /// From 1, as text.
    Number,
    /// ISO 8601.
    Time,
    /// `resource.action`.
    EventName,
    Status,
    /// Anything but an empty one.
    Text,
}

use Form::{EventName, Number, Status, Text, Time, Uuid as Id};

/// In the order of the provider's published example.
const FIELDS: [(&str, Form); 13] = [
    ("eventId", Id),
    ("eventName", EventName),
    ("eventVersion", Text),
    ("eventSequence", Number),
    ("eventDeliverId", Number),
    ("createdAt", Time),
    ("environment", Text),
    ("payload.flowId", Text),
    ("payload.sessionId", Id),
    ("payload.sessionStatus", Status),
    ("payload.lastStepId", Text),
    ("payload.lastStepType", Text),
    ("payload.lastStepStatus", Text),
];

/// The `data` of an event: a value, or none, for each field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Data([Option<String>; FIELDS.len()]);

impl Data {
    /// An event of this kind, as a session that has just come so far has it. `created_at` is ISO 8601.
    pub(super) fn new(kind: EventKind, created_at: String) -> Self {
        let (sequence, status, step) = match kind {
            EventKind::Created => ("1", "CREATED", None),
            EventKind::Completed => ("2", "COMPLETED", Some(("END-ACCEPT", "END", "COMPLETED"))),
            EventKind::Expired => ("2", "EXPIRED", None),
            EventKind::Aborted => ("2", "ABORTED", None),
            EventKind::Error => ("2", "ERROR", None),
        };
        let id = || Some(Uuid::new_v4().to_string());
        let text = |text: &str| Some(text.to_owned());
        Self([
            id(),
            text(kind.name()),
            text("1.0"),
            text(sequence),
            text("1"),
            Some(created_at),
            text("staging"),
            id(),
            id(),
            text(status),
            step.and_then(|(id, _, _)| text(id)),
            step.and_then(|(_, kind, _)| text(kind)),
            step.and_then(|(_, _, status)| text(status)),
        ])
    }

    /// Gives fields other values.
    pub(super) fn set(&mut self, values: BTreeMap<String, String>) -> Result<(), Error> {
        for (name, value) in values {
            let found = FIELDS.iter().zip(&mut self.0).find(|((field, _), _)| *field == name);
            let Some(((_, form), slot)) = found else { return Err(unknown(&name)) };
            *slot = Some(form.fitting(value).map_err(|expected| {
                // What a field is called is known here, so that nothing needs to be escaped.
                Error::invalid("set", format!("{name}: expected {expected}"))
            })?);
        }
        Ok(())
    }

    /// The `eventId`.
    pub(super) fn id(&self) -> &str {
        self.0.first().and_then(Option::as_deref).unwrap_or_default()
    }
}

impl Form {
    /// The value as it stands in an event, or else what is expected.
    fn fitting(self, value: String) -> Result<String, String> {
        if value.len() > LONGEST_VALUE {
            return Err(format!("at most {LONGEST_VALUE} bytes"));
        }
        match self {
            Id => match Uuid::try_parse(&value) {
                Ok(id) => Ok(id.to_string()),
                Err(_) => Err("a UUID, such as 6f1d4a1e-22c7-4b57-9a5b-0d4f1f0f2c11".into()),
            },
            Number => match value.parse::<u64>() {
                Ok(number) if number > 0 => Ok(number.to_string()),
                _ => Err("a whole number from 1".into()),
            },
            Time => match DateTime::parse_from_rfc3339(&value) {
                Ok(_) => Ok(value),
                Err(_) => Err("a time, such as 2026-01-08T08:35:37.581Z".into()),
            },
            EventName => match value.split_once('.') {
                Some((resource, action)) if is_word(resource) && is_word(action) => Ok(value),
                _ => Err("resource.action, such as session.completed".into()),
            },
            Status if SessionStatus::ALL.iter().any(|status| status.name() == value) => Ok(value),
            Status => Err(format!("one of {}", SessionStatus::ALL.map(SessionStatus::name).join(", "))),
            Text if value.is_empty() => Err("a text that is not empty".into()),
            Text => Ok(value),
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn unknown(name: &str) -> Error {
    let names = || FIELDS.iter().map(|(field, _)| *field);
    let short = |field: &str| field.strip_prefix(PAYLOAD).unwrap_or(field).to_lowercase();
    // Most often it is the prefix that is missing.
    let nearest = names().min_by_key(|field| strsim::damerau_levenshtein(&short(field), &short(name)));
    let shown: String = name.chars().take(100).collect();
    let known = names().collect::<Vec<_>>().join(", ");
    Error::invalid(
        "set",
        format!(
            "there is no field {shown:?}: the nearest is `{}`; known are {known}",
            nearest.unwrap_or_default()
        ),
    )
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for ((name, _), value) in FIELDS.iter().zip(&self.0) {
            if let (false, Some(value)) = (name.starts_with(PAYLOAD), value) {
                map.serialize_entry(name, value)?;
            }
        }
        map.serialize_entry("payload", &Payload(self))?;
        map.end()
    }
}

struct Payload<'a>(&'a Data);

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for ((name, _), value) in FIELDS.iter().zip(&self.0.0) {
            if let (Some(name), Some(value)) = (name.strip_prefix(PAYLOAD), value) {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests;
