use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::flexible;
use crate::json::{self, Json};
use crate::one_line::one_line;

/// The longest event id that is accepted, in bytes. The provider sends a UUID.
const MAX_ID_BYTES: usize = 256;
/// The longest reason that is kept, in characters: the JSON reader may quote what it could not read.
const MAX_REASON: usize = 300;

/// A verified event with its payload.
///
/// ```
/// use idnow_webhooks_core::event::{Event, RawEvent, SessionCompleted};
///
/// let text = r#"{
///     "eventId": "61a51c5b-480d-4f47-8334-34b0ba7ae0be",
///     "eventName": "session.completed",
///     "eventVersion": "1.0",
///     "eventSequence": "2",
///     "eventDeliverId": "1",
///     "createdAt": "2026-01-08T08:35:37.581Z",
///     "environment": "staging",
///     "payload": {
///         "flowId": "bf8e2e27-2340-426f-a0bb-f1081e4a07ac",
///         "sessionId": "fe1941c2-bc45-4142-b516-fa0fc9fd7754",
///         "sessionStatus": "COMPLETED"
///     }
/// }"#;
/// let event: Event<SessionCompleted> = RawEvent::from_json(text)?.read()?;
/// assert_eq!(event.sequence, 2);
/// assert_eq!(event.payload.session_id.to_string(), "fe1941c2-bc45-4142-b516-fa0fc9fd7754");
/// # Ok::<(), idnow_webhooks_core::event::Unreadable>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Event<P> {
    /// `eventId`: the same on every attempt of the same event, and so the key for deduplication.
    pub id: String,
    /// `eventName`: what happened, as `resource.action`.
    pub name: String,
    /// `eventVersion`, such as `1.0`.
    pub version: String,
    /// `eventSequence`: the place of the event within its session, from 1. Events may arrive out of order.
    pub sequence: u64,
    /// `eventDeliverId`: tells the attempts of one event apart. See [`attempt`](Self::attempt).
    pub deliver_id: String,
    /// `createdAt`: when this attempt was sent.
    pub created_at: DateTime<Utc>,
    /// `environment` that the endpoint was configured for, such as `staging` or `live`.
    pub environment: String,
    /// What the event is about.
    pub payload: P,
    data: Json,
}

/// An event whose payload has not been read yet.
pub type RawEvent = Event<RawPayload>;

/// The JSON text of a payload.
#[derive(Clone)]
pub struct RawPayload(Json);

impl RawPayload {
    /// The text, exactly as it was signed.
    pub fn get(&self) -> &str {
        self.0.get()
    }
}

impl fmt::Debug for RawPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The payload of one kind of event.
///
/// Implement it for an event that this crate does not know yet; the type only has to be readable from the
/// member `payload`:
///
/// ```
/// use idnow_webhooks_core::event::EventPayload;
///
/// #[derive(serde::Deserialize)]
/// #[serde(rename_all = "camelCase")]
/// struct DocumentRenewed {
///     document_id: String,
/// }
///
/// impl EventPayload for DocumentRenewed {
///     const NAME: &'static str = "document.renewed";
/// }
/// ```
pub trait EventPayload: DeserializeOwned + Send + 'static {
    /// The `eventName` that carries this payload.
    const NAME: &'static str;

    /// Reads the payload. Override it when members beside `payload` are needed too.
    fn read(event: &RawEvent) -> Result<Self, serde_json::Error> {
        serde_json::from_str(event.payload.get())
    }
}

/// A verified `data` that is not an event as this version understands it: the provider changed something.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the signed `data` is not a readable event: {reason}")]
pub struct Unreadable {
    /// `eventId`, if at least that could be read.
    pub event_id: Option<String>,
    /// `eventName`, if at least that could be read.
    pub event_name: Option<String>,
    reason: Arc<str>,
    data: Json,
}

impl Unreadable {
    pub(crate) fn new(event: &RawEvent, reason: &impl fmt::Display) -> Self {
        Self {
            event_id: Some(event.id.clone()),
            event_name: Some(event.name.clone()),
            reason: one_line(reason, MAX_REASON).into(),
            data: event.data.clone(),
        }
    }

    /// The text of `data`, exactly as it was signed.
    pub fn json(&self) -> &str {
        self.data.get()
    }

    /// What could not be read, and where in the text.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(deserialize_with = "flexible::text")]
    event_id: String,
    event_name: String,
    #[serde(deserialize_with = "flexible::text")]
    event_version: String,
    #[serde(deserialize_with = "flexible::number")]
    event_sequence: u64,
    #[serde(deserialize_with = "flexible::text")]
    event_deliver_id: String,
    #[serde(deserialize_with = "flexible::time")]
    created_at: DateTime<Utc>,
    environment: String,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl RawEvent {
    /// Reads an event from the text of a token's `data`.
    ///
    /// The text is believed as it stands: this is for tools, tests and stores. Deliveries go through the
    /// [`Receiver`](crate::Receiver), which reads only what was signed.
    pub fn from_json(data: &str) -> Result<Self, Unreadable> {
        Self::from_data(Json::copy(data))
    }

    pub(crate) fn from_data(data: Json) -> Result<Self, Unreadable> {
        if !json::is_object(data.get()) {
            return Err(unreadable(data, &"not an object"));
        }
        let envelope = match serde_json::from_str::<Envelope<'_>>(data.get()) {
            Ok(envelope) if (1..=MAX_ID_BYTES).contains(&envelope.event_id.len()) => envelope,
            Ok(_) => return Err(unreadable(data, &"`eventId` must have 1 to 256 bytes")),
            Err(error) => return Err(unreadable(data, &error)),
        };
        let payload = RawPayload(data.piece(envelope.payload.get()));
        Ok(Self {
            id: envelope.event_id,
            name: envelope.event_name,
            version: envelope.event_version,
            sequence: envelope.event_sequence,
            deliver_id: envelope.event_deliver_id,
            created_at: envelope.created_at,
            environment: envelope.environment,
            payload,
            data,
        })
    }

    /// Reads the payload as `P`, whatever the event's name is.
    pub fn read<P: EventPayload>(self) -> Result<Event<P>, Unreadable> {
        let payload = P::read(&self).map_err(|error| Unreadable::new(&self, &error))?;
        Ok(Event {
            id: self.id,
            name: self.name,
            version: self.version,
            sequence: self.sequence,
            deliver_id: self.deliver_id,
            created_at: self.created_at,
            environment: self.environment,
            payload,
            data: self.data,
        })
    }
}

/// Keeps what little can still be read, for the log and for deduplication.
fn unreadable(data: Json, reason: &impl fmt::Display) -> Unreadable {
    #[derive(Deserialize)]
    struct Field {
        #[serde(rename = "eventId", default, deserialize_with = "flexible::optional_text")]
        id: Option<String>,
    }
    #[derive(Deserialize)]
    struct Name {
        #[serde(rename = "eventName", default, deserialize_with = "flexible::optional_text")]
        name: Option<String>,
    }
    let event_id = serde_json::from_str(data.get()).ok().and_then(|Field { id }| id);
    let event_name = serde_json::from_str(data.get()).ok().and_then(|Name { name }| name);
    Unreadable {
        event_id: event_id.filter(|id| (1..=MAX_ID_BYTES).contains(&id.len())),
        event_name,
        reason: one_line(reason, MAX_REASON).into(),
        data,
    }
}

impl<P> Event<P> {
    /// Which attempt of the provider this is, from 1, as far as `eventDeliverId` says so.
    pub fn attempt(&self) -> Option<u64> {
        self.deliver_id.parse().ok()
    }

    /// The whole of `data`, exactly as it was signed, with all members that this version does not know.
    pub fn json(&self) -> &str {
        self.data.get()
    }
}
