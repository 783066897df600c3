use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::envelope::{EventPayload, RawEvent};
use super::flexible;

/// What every session event says about its session. It never holds personal data.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Session {
    /// The flow that the session runs through.
    #[serde(deserialize_with = "flexible::text")]
    pub flow_id: String,
    /// The session.
    pub session_id: Uuid,
    /// Its status when the event was made.
    pub session_status: SessionStatus,
    /// The last step that ran; its id is configured in the provider's dashboard.
    #[serde(default, deserialize_with = "flexible::optional_text")]
    pub last_step_id: Option<String>,
    /// What kind of step that was.
    #[serde(default, deserialize_with = "flexible::optional_text")]
    pub last_step_type: Option<String>,
    /// How that step ended.
    #[serde(default, deserialize_with = "flexible::optional_text")]
    pub last_step_status: Option<String>,
}

impl Session {
    fn read(event: &RawEvent) -> Result<Self, serde_json::Error> {
        let mut session: Self = serde_json::from_str(event.payload.get())?;
        // The provider's example prints the last step inside `payload`, its table beside it.
        let missing = session.last_step_id.is_none()
            || session.last_step_type.is_none()
            || session.last_step_status.is_none();
        if missing && event.json().contains("\"lastStep") {
            let beside: LastStep = serde_json::from_str(event.json())?;
            session.last_step_id = session.last_step_id.or(beside.last_step_id);
            session.last_step_type = session.last_step_type.or(beside.last_step_type);
            session.last_step_status = session.last_step_status.or(beside.last_step_status);
        }
        Ok(session)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the provider's names")]
struct LastStep {
    #[serde(default, deserialize_with = "flexible::optional_text")]
    last_step_id: Option<String>,
    #[serde(default, deserialize_with = "flexible::optional_text")]
    last_step_type: Option<String>,
    #[serde(default, deserialize_with = "flexible::optional_text")]
    last_step_status: Option<String>,
}

/// The status of a session. `Running` can turn into any of the four final ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionStatus {
    /// `CREATED`: initialised, not started.
    Created,
    /// `RUNNING`: the user is in the flow.
    Running,
    /// `COMPLETED`: final, with an outcome.
    Completed,
    /// `ABORTED`: final, ended by the user without an outcome.
    Aborted,
    /// `EXPIRED`: final, its time to live has passed.
    Expired,
    /// `ERROR`: final, the flow stopped.
    Error,
    /// A status that this version does not know, as the provider wrote it.
    Other(String),
}

impl SessionStatus {
    const KNOWN: [Self; 6] =
        [Self::Created, Self::Running, Self::Completed, Self::Aborted, Self::Expired, Self::Error];

    /// The status as the provider writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Created => "CREATED",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Aborted => "ABORTED",
            Self::Expired => "EXPIRED",
            Self::Error => "ERROR",
            Self::Other(text) => text,
        }
    }

    /// Whether the session can still change. Nothing is known of [`Other`](Self::Other): it counts as not final.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Completed | Self::Aborted | Self::Expired | Self::Error)
    }
}

impl From<&str> for SessionStatus {
    fn from(text: &str) -> Self {
        let known = Self::KNOWN.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(text));
        known.unwrap_or_else(|| Self::Other(text.to_owned()))
    }
}

impl fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SessionStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        flexible::text(deserializer).map(|text| Self::from(&*text))
    }
}

macro_rules! session_events {
    ($($name:literal $payload:ident: $when:literal;)+) => {$(
        #[doc = concat!("`", $name, "`: ", $when)]
        ///
        /// Its members are those of [`Session`], reached directly: `event.payload.session_id`.
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
        #[serde(transparent)]
        pub struct $payload(pub Session);

        impl EventPayload for $payload {
            const NAME: &'static str = $name;

            fn read(event: &RawEvent) -> Result<Self, serde_json::Error> {
                Session::read(event).map(Self)
            }
        }

        impl Deref for $payload {
            type Target = Session;

            fn deref(&self) -> &Session {
                &self.0
            }
        }

        impl From<$payload> for Session {
            fn from(payload: $payload) -> Self {
                payload.0
            }
        }
    )+};
}

session_events! {
    "session.created" SessionCreated: "the flow is initialised and ready to start.";
    "session.completed" SessionCompleted: "the flow ended with a final outcome.";
    "session.expired" SessionExpired: "the flow's time to live was reached; the session can no longer be used.";
    "session.aborted" SessionAborted: "the user ended the flow, without a final outcome.";
    "session.error" SessionError: "the flow ran into an error and stopped.";
}

impl RawEvent {
    /// Reads what any of the five session events says about its session.
    pub fn session(&self) -> Result<Session, super::Unreadable> {
        self.check_payload()?;
        Session::read(self).map_err(|error| self.unreadable(&error))
    }
}
