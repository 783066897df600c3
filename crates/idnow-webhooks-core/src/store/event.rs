use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::event::{Arrival, RawEvent, RawPayload, UNREADABLE_PREFIX};
use crate::json::Json;
use crate::one_line::one_line;

/// The longest event name and the longest session id that stores are given, in characters.
const MAX_LABEL: usize = 256;

/// A verified event, as it enters the store. What is large in it is shared, and so cheap to clone.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewEvent {
    /// `eventId`: 1 to 256 bytes without control characters. For what has no usable one: `unreadable:` and a hash of the
    /// token's `sub` and the whole `data`.
    pub id: Arc<str>,
    /// What proves where the event came from, if it is to be kept.
    pub evidence: Option<Arc<Evidence>>,
    /// `eventSequence`; 0 if it cannot be read.
    pub sequence: u64,
    name: Option<Arc<str>>,
    payload: Option<RawPayload>,
    data: Json,
}

impl NewEvent {
    /// Reads an event from the text of a token's `data`, as it would come out of a genuine delivery. For tests of
    /// stores.
    pub fn from_json(data: &str) -> Self {
        Self::of(&Arrival::from(RawEvent::from_json(data)), None, None)
    }

    /// What the store needs to know of a genuine delivery; `subject` is the token's `sub`.
    pub(crate) fn of(arrival: &Arrival, subject: Option<&str>, evidence: Option<Arc<Evidence>>) -> Self {
        let id = match arrival.id() {
            Some(id) => id.into(),
            None => id_of_unreadable(subject, arrival.data().get()),
        };
        let name = arrival.name().map(Into::into);
        // What cannot be read is kept like any other: the worker has the handler for it.
        let (sequence, payload) = match arrival {
            Arrival::Event(event) => (event.sequence, Some(event.payload.clone())),
            Arrival::Unreadable(_) => (0, None),
        };
        Self { id, evidence, sequence, name, payload, data: arrival.data().clone() }
    }

    /// `eventName`, as far as it could be read, in one line of at most 256 characters.
    pub fn name(&self) -> Option<String> {
        self.name.as_deref().map(|name| one_line(&name, MAX_LABEL))
    }

    /// `sessionId`: whose event it is. `None` for one that belongs to no session, or that cannot be read.
    pub fn session_id(&self) -> Option<String> {
        let id = self.payload.as_ref()?.subject().session_id?;
        let usable = !id.is_empty() && id.chars().count() <= MAX_LABEL && !id.contains(char::is_control);
        usable.then(|| id.into_owned())
    }

    /// The text of `data`, exactly as it was signed.
    pub fn data(&self) -> &str {
        self.data.get()
    }

    pub(crate) fn json(&self) -> &Json {
        &self.data
    }
}

/// The id of what has no usable one of its own. No `eventId` begins like this, so the two never meet.
fn id_of_unreadable(subject: Option<&str>, data: &str) -> Arc<str> {
    format!("{UNREADABLE_PREFIX}{}", hashed_id(&[subject.unwrap_or_default(), data])).into()
}

/// SHA-256 of these texts, in hexadecimal.
pub(crate) fn hashed_id(texts: &[&str]) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    for text in texts {
        // The length keeps the texts apart.
        hash.update(&(text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finish().as_ref().iter().fold(String::new(), |mut id, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(id, "{byte:02x}");
        id
    })
}

/// What proves, later and to others, that the provider has sent an event. `Debug` does not show the token.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Evidence {
    /// The token, as it came. It is past its expiry by the time anybody looks, and holds no more than the event.
    pub token: String,
    /// The public key that verified it, as a JWK. `None` for a shared secret, which is never stored.
    pub key: Option<String>,
}

impl Evidence {
    /// A token and the JWK that verified it. For implementations of [`EventStore`](super::EventStore).
    pub fn new(token: impl Into<String>, key: Option<String>) -> Self {
        Self { token: token.into(), key }
    }
}

/// A token is good for an hour, and logs are read by many.
impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventState {
    /// It is to be handled, now or when it is due.
    Waiting,
    /// Somebody holds a lease on it.
    Running,
    /// It was handled, for good.
    Completed,
    /// It is a dead letter: handled no more, unless an operator says so.
    Dead,
}

impl EventState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Running, Self::Completed, Self::Dead];

    /// Its name: `waiting`, `running`, `completed`, `dead`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Dead => "dead",
        }
    }
}

/// An event as the store holds it, for operators.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredEvent {
    /// Its place in the order of arrival: what [`EventFilter::before`] counts by.
    pub position: i64,
    /// `eventId`.
    pub id: String,
    /// `eventName`.
    pub name: Option<String>,
    /// `sessionId`.
    pub session_id: Option<String>,
    /// `eventSequence`; 0 if it could not be read.
    pub sequence: u64,
    /// Where it stands.
    pub state: EventState,
    /// How often it has been handled, the run in progress among them.
    pub runs: u32,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// When it is due, or until when the lease on it lasts. `None` when it is finished.
    pub due_at: Option<DateTime<Utc>>,
    /// When it was completed, or became a dead letter.
    pub finished_at: Option<DateTime<Utc>>,
    /// How the last run failed, if it did.
    pub error: Option<String>,
    /// The text of `data`, exactly as it was signed. `None` if the store has dropped it.
    pub data: Option<String>,
    /// What proves where it came from, if that is kept.
    pub evidence: Option<Evidence>,
}

/// Which events [`EventStore::list`](super::EventStore::list) gives: those that fit every member that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only in this state.
    pub state: Option<EventState>,
    /// Only of this name, exactly.
    pub name: Option<String>,
    /// Only of this session.
    pub session_id: Option<String>,
    /// Only what arrived before this [position](StoredEvent::position): the last one of the page before.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: usize,
}

/// What [`EventStore::replay`](super::EventStore::replay) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// The event is due now, with its runs counted anew.
    Queued,
    /// Nothing: the event is in a state from which it is not handled again.
    Refused(EventState),
    /// Nothing: there is no such event.
    Unknown,
}

/// Which finished events [`EventStore::purge`](super::EventStore::purge) forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purge {
    /// [`EventState::Completed`], or [`EventState::Dead`]; for other states nothing is forgotten.
    pub state: EventState,
    /// Only what was finished at least so long ago.
    pub older_than: Duration,
    /// At most so many at once.
    pub limit: usize,
}

/// What a store has to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backlog {
    /// Events that wait to be handled, due or not.
    pub waiting: u64,
    /// Events on which somebody holds a lease.
    pub running: u64,
    /// Dead letters.
    pub dead: u64,
    /// Tokens that are [parked](super::ParkedToken).
    pub parked: u64,
    /// For how long the oldest event that waits has been here.
    #[serde(serialize_with = "crate::health::seconds")]
    pub oldest_waiting: Option<Duration>,
}
