use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::session::{LastStep, SessionStatus};

/// Something that happened to a session. Every attempt to deliver it tells the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Event {
    /// The same on every attempt.
    pub id: Uuid,
    /// What happened.
    pub name: EventKind,
    /// Counted within the session, from 1.
    pub sequence: u64,
    /// Whose it is.
    pub session_id: Uuid,
    /// The flow of the session.
    pub flow_id: Uuid,
    /// The environment of the session.
    pub environment: String,
    /// The status of the session from then on.
    pub session_status: SessionStatus,
    /// The last step that had run by then.
    pub last_step: Option<LastStep>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
}

/// The events that the provider documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[non_exhaustive]
pub enum EventKind {
    /// The flow is initialised and ready to start.
    #[serde(rename = "session.created")]
    Created,
    /// The flow ended with a final outcome.
    #[serde(rename = "session.completed")]
    Completed,
    /// The time of the flow has run out.
    #[serde(rename = "session.expired")]
    Expired,
    /// The person ended the flow, without a final outcome.
    #[serde(rename = "session.aborted")]
    Aborted,
    /// The flow has failed.
    #[serde(rename = "session.error")]
    Error,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Created, Self::Completed, Self::Expired, Self::Aborted, Self::Error];

    /// As it stands in `eventName`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "session.created",
            Self::Completed => "session.completed",
            Self::Expired => "session.expired",
            Self::Aborted => "session.aborted",
            Self::Error => "session.error",
        }
    }
}
