use chrono::{DateTime, SecondsFormat, Utc};
use idnow_webhooks_core::{Clock, SystemClock};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The decoded token that IDnow publishes as its example, as printed there, to the letter.
///
/// ```
/// use idnow_webhooks_testkit::{PUBLISHED_EXAMPLE, SampleEvent};
///
/// let claims: serde_json::Value = serde_json::from_str(PUBLISHED_EXAMPLE)?;
/// assert_eq!(claims["data"], SampleEvent::published().data());
/// # Ok::<(), serde_json::Error>(())
/// ```
pub const PUBLISHED_EXAMPLE: &str = include_str!("published_example.json");

/// The flow of the published example: all samples belong to it unless told otherwise.
const FLOW_ID: &str = "bf8e2e27-2340-426f-a0bb-f1081e4a07ac";

/// Builds the `data` of an event, with the members and types that IDnow documents.
///
/// Each sample has its own random `eventId` and `sessionId`. The other members have plausible values, which the
/// setters change; [`set`](Self::set) and [`remove`](Self::remove) reach everything else, to test what happens
/// when the provider adds, drops or retypes a member.
///
/// ```
/// use idnow_webhooks_testkit::SampleEvent;
///
/// let event = SampleEvent::completed()
///     .with_session_id("fe1941c2-bc45-4142-b516-fa0fc9fd7754")
///     .with_attempt(3)
///     .set("payload.riskScore", 17)
///     .remove("payload.lastStepId");
/// assert_eq!(event.data()["eventName"], "session.completed");
/// assert_eq!(event.data()["eventDeliverId"], "3");
/// assert_eq!(event.data()["payload"]["sessionStatus"], "COMPLETED");
/// assert_eq!(event.data()["payload"]["riskScore"], 17);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct SampleEvent {
    data: Value,
}

impl SampleEvent {
    /// `session.created`, the first event of a session.
    pub fn created() -> Self {
        Self::named("session.created")
    }

    /// `session.completed`, with the last step of the published example.
    pub fn completed() -> Self {
        Self::named("session.completed")
    }

    /// `session.expired`.
    pub fn expired() -> Self {
        Self::named("session.expired")
    }

    /// `session.aborted`.
    pub fn aborted() -> Self {
        Self::named("session.aborted")
    }

    /// `session.error`.
    pub fn error() -> Self {
        Self::named("session.error")
    }

    /// An event with any name, such as one that the provider will only add tomorrow.
    ///
    /// A name that is not documented gets the session status `RUNNING`, no last step and sequence 2.
    pub fn named(name: &str) -> Self {
        let status = match name {
            "session.created" => "CREATED",
            "session.completed" => "COMPLETED",
            "session.expired" => "EXPIRED",
            "session.aborted" => "ABORTED",
            "session.error" => "ERROR",
            _ => "RUNNING",
        };
        let event = Self {
            data: json!({
                "eventId": Uuid::new_v4(),
                "eventName": name,
                "eventVersion": "1.0",
                "eventSequence": if status == "CREATED" { "1" } else { "2" },
                "eventDeliverId": "1",
                "environment": "staging",
                "payload": {
                    "flowId": FLOW_ID,
                    "sessionId": Uuid::new_v4(),
                    "sessionStatus": status,
                },
            }),
        }
        .with_created_at(SystemClock.now());
        match status {
            "CREATED" | "RUNNING" => event,
            "COMPLETED" => event.with_last_step("END-ACCEPT", "END", status),
            _ => event.with_last_step("DOCUMENT-CHECK", "DOCUMENT", status),
        }
    }

    /// The event of the published example, [`PUBLISHED_EXAMPLE`].
    pub fn published() -> Self {
        let claims: Value = serde_json::from_str(PUBLISHED_EXAMPLE).unwrap_or_default();
        Self { data: claims.get("data").cloned().unwrap_or_default() }
    }

    /// All events of one successful session, in order: created (sequence 1), then completed (sequence 2).
    pub fn session(session_id: impl Into<String>) -> [Self; 2] {
        let session_id = session_id.into();
        [Self::created(), Self::completed()].map(|event| event.with_session_id(&session_id))
    }

    /// Sets `eventId`, which stays the same on every attempt to deliver one event.
    pub fn with_event_id(self, event_id: impl Into<String>) -> Self {
        self.set("eventId", event_id.into())
    }

    /// Sets `payload.sessionId`.
    pub fn with_session_id(self, session_id: impl Into<String>) -> Self {
        self.set("payload.sessionId", session_id.into())
    }

    /// Sets `payload.flowId`.
    pub fn with_flow_id(self, flow_id: impl Into<String>) -> Self {
        self.set("payload.flowId", flow_id.into())
    }

    /// Sets `eventSequence`, the place of the event within its session, from 1. A string, as documented.
    pub fn with_sequence(self, sequence: u64) -> Self {
        self.set("eventSequence", sequence.to_string())
    }

    /// Sets `eventDeliverId`, which counts the attempts from 1. A string, as documented.
    pub fn with_attempt(self, attempt: u64) -> Self {
        self.set("eventDeliverId", attempt.to_string())
    }

    /// Sets `environment`.
    pub fn with_environment(self, environment: &str) -> Self {
        self.set("environment", environment)
    }

    /// Sets `createdAt`, written with milliseconds and `Z`. Without this it is the time when the sample was made.
    pub fn with_created_at(self, time: DateTime<Utc>) -> Self {
        self.set("createdAt", time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    /// Sets `payload.sessionStatus`.
    pub fn with_status(self, status: &str) -> Self {
        self.set("payload.sessionStatus", status)
    }

    /// Sets `payload.lastStepId`, `payload.lastStepType` and `payload.lastStepStatus`.
    pub fn with_last_step(self, id: &str, kind: &str, status: &str) -> Self {
        self.set("payload.lastStepId", id)
            .set("payload.lastStepType", kind)
            .set("payload.lastStepStatus", status)
    }

    /// Sets any member, named by its path within `data`, such as `payload.sessionStatus`.
    ///
    /// Objects on the way are made where they are missing, and take the place of anything that is no object.
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        let mut place = &mut self.data;
        for name in path.split('.') {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            place = &mut place[name];
        }
        *place = value.into();
        self
    }

    /// Removes any member, named by its path within `data`. Nothing happens if there is none.
    pub fn remove(mut self, path: &str) -> Self {
        let (parents, name) =
            path.rsplit_once('.').map_or((None, path), |(parents, name)| (Some(parents), name));
        let parent = parents
            .into_iter()
            .flat_map(|parents| parents.split('.'))
            .try_fold(&mut self.data, |place, name| place.get_mut(name));
        if let Some(Value::Object(members)) = parent {
            members.remove(name);
        }
        self
    }

    /// `eventName`, or an empty text if it was removed or is no string. The other getters are alike.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("/eventName")
    }

    /// `eventId`.
    #[must_use]
    pub fn event_id(&self) -> &str {
        self.text("/eventId")
    }

    /// `payload.sessionId`.
    #[must_use]
    pub fn session_id(&self) -> &str {
        self.text("/payload/sessionId")
    }

    /// The finished `data`.
    #[must_use]
    pub fn data(&self) -> Value {
        self.data.clone()
    }

    fn text(&self, pointer: &str) -> &str {
        self.data.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}
