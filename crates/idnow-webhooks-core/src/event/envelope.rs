use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;

use super::unreadable::{self, Unreadable};
use super::{Run, flexible};
use crate::json::{self, Json};

/// A verified event with its payload.
///
/// What no handler can do without is always there. The documents promise the other members too, but an event is
/// not lost for want of them: one that is missing, or has another form than it should, is `None`.
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
    pub version: Option<String>,
    /// `eventSequence`: the place of the event within its session, from 1. Events may arrive out of order.
    pub sequence: u64,
    /// `eventDeliverId`: tells the attempts of one event apart. See [`attempt`](Self::attempt).
    pub deliver_id: Option<String>,
    /// `createdAt`: when this attempt was sent.
    pub created_at: Option<DateTime<Utc>>,
    /// `environment` that the endpoint was configured for, such as `staging` or `live`.
    pub environment: String,
    /// What the event is about.
    pub payload: P,
    pub(super) run: Option<Run>,
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

    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject::read(self.get())
    }
}

/// Whom an event is about: the ids of flow and session, as far as they can be read.
#[derive(Default)]
pub(crate) struct Subject<'a> {
    pub(crate) flow_id: Option<Cow<'a, str>>,
    pub(crate) session_id: Option<Cow<'a, str>>,
}

impl<'a> Subject<'a> {
    pub(super) fn read(payload: &'a str) -> Self {
        let Ok([flow_id, session_id]) = json::members(payload, ["flowId", "sessionId"]) else {
            return Self::default();
        };
        Self {
            flow_id: flow_id.and_then(flexible::text_or_number),
            session_id: session_id.and_then(json::text),
        }
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the payload of an event",
    label = "this handler takes no event that is known",
    note = "`on` takes an `Event<SessionCompleted>`, or an event with another of the payloads listed here",
    note = "for events that this version does not know, implement `EventPayload` for the type of the payload",
    note = "for a `RawEvent`, whose payload has not been read, use `on_any` or `on_unknown`"
)]
pub trait EventPayload: DeserializeOwned + Send + 'static {
    /// The `eventName` that carries this payload.
    const NAME: &'static str;

    /// Reads the payload. Override it when members beside `payload` are needed too.
    fn read(event: &RawEvent) -> Result<Self, serde_json::Error> {
        serde_json::from_str(event.payload.get())
    }
}

/// A member that no handler can do without.
fn required<'a, T>(
    name: &str,
    value: Option<&'a str>,
    read: impl FnOnce(&'a str) -> Option<T>,
) -> Result<T, String> {
    let value = value.filter(|value| *value != json::NULL).ok_or_else(|| format!("`{name}` is missing"))?;
    read(value).ok_or_else(|| format!("`{name}` has the wrong type"))
}

impl RawEvent {
    /// Reads an event from the text of a token's `data`.
    ///
    /// The text is believed as it stands: this is for tools, tests and stores. Deliveries go through the
    /// [`Receiver`](crate::Receiver), which reads only what was signed.
    pub fn from_json(data: &str) -> Result<Self, Unreadable> {
        Self::from_data(Json::new(data))
    }

    /// Reads an event from a piece of what was signed.
    pub(crate) fn from_data(data: Json) -> Result<Self, Unreadable> {
        match Self::read_data(&data) {
            Ok(event) => Ok(event),
            Err(reason) => Err(Unreadable::salvaged(data, &reason)),
        }
    }

    fn read_data(data: &Json) -> Result<Self, String> {
        let names = [
            "eventId",
            "eventName",
            "eventVersion",
            "eventSequence",
            "eventDeliverId",
            "createdAt",
            "environment",
            "payload",
        ];
        let [id, name, version, sequence, deliver_id, created_at, environment, payload] =
            json::members(data.get(), names)?;
        let id = required("eventId", id, flexible::text_or_number)?;
        if !flexible::is_usable_id(&id) {
            return Err("`eventId` must have 1 to 256 bytes, none of them a control character".to_owned());
        }
        let optional = |raw: Option<&str>| raw.and_then(flexible::text_or_number).map(Cow::into_owned);
        Ok(Self {
            id: id.into_owned(),
            name: required("eventName", name, json::text)?.into_owned(),
            version: optional(version),
            sequence: required("eventSequence", sequence, flexible::whole_number)?,
            deliver_id: optional(deliver_id),
            created_at: created_at.and_then(flexible::time),
            environment: required("environment", environment, json::text)?.into_owned(),
            payload: RawPayload(required("payload", payload, |raw| Some(data.piece(raw)))?),
            run: None,
            data: data.clone(),
        })
    }

    pub(super) fn unreadable(&self, reason: &impl fmt::Display) -> Unreadable {
        Unreadable {
            event_id: Some(self.id.clone()),
            event_name: Some(self.name.clone()),
            environment: Some(self.environment.clone()),
            reason: unreadable::short(reason),
            data: self.data.clone(),
        }
    }

    /// A derived `Deserialize` would take an array for an object.
    pub(super) fn check_payload(&self) -> Result<(), Unreadable> {
        if json::is_object(self.payload.get()) {
            return Ok(());
        }
        Err(self.unreadable(&"`payload` is not an object"))
    }

    /// Reads the payload as `P`.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] when the payload is not one, or when the event has another name than
    /// [`P::NAME`](EventPayload::NAME): a session that was aborted must never pass for one that was completed.
    pub fn read<P: EventPayload>(self) -> Result<Event<P>, Unreadable> {
        if self.name != P::NAME {
            let reason = format!("the event is {:?}, and not {:?}", self.name, P::NAME);
            return Err(self.unreadable(&reason));
        }
        self.check_payload()?;
        let payload = P::read(&self).map_err(|error| self.unreadable(&error))?;
        Ok(Event {
            id: self.id,
            name: self.name,
            version: self.version,
            sequence: self.sequence,
            deliver_id: self.deliver_id,
            created_at: self.created_at,
            environment: self.environment,
            payload,
            run: self.run,
            data: self.data,
        })
    }
}

impl<P> Event<P> {
    /// Which attempt of the provider this is, from 1, as far as `eventDeliverId` says so.
    pub fn attempt(&self) -> Option<u64> {
        self.deliver_id.as_ref()?.parse().ok()
    }

    /// The run in which the event is being handled. `None` outside of a handler, and for an event without an id to
    /// be remembered by.
    pub fn run(&self) -> Option<&Run> {
        self.run.as_ref()
    }

    pub(crate) fn data(&self) -> &Json {
        &self.data
    }

    /// The whole of `data`, exactly as it was signed, with all members that this version does not know.
    pub fn json(&self) -> &str {
        self.data.get()
    }
}
