//! Sessions, as the provider shows them to receivers.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::model::{LastStep, Outcome, Session, SessionStatus};

/// A session, as the provider shows it to receivers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionDetails {
    /// Its identifier.
    session_id: Uuid,
    /// Where it is.
    session_status: SessionStatus,
    /// The flow that it runs through.
    flow_id: Uuid,
    /// Always 1: flows of the sandbox do not change.
    flow_version: u32,
    /// Its environment.
    environment: String,
    /// How it ended.
    outcome: FinalOutcome,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When the person began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    started_at: Option<DateTime<Utc>>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
    /// When it ended, however it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    completed_at: Option<DateTime<Utc>>,
    /// When it expires, if it has not ended by then.
    expires_at: DateTime<Utc>,
    /// The last step that ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_step: Option<LastStep>,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
enum FinalOutcome {
    #[serde(rename = "accepted")]
    Accepted,
    #[serde(rename = "rejected")]
    Rejected,
    #[serde(rename = "NO_OUTCOME")]
    None,
}

impl From<Session> for SessionDetails {
    fn from(session: Session) -> Self {
        Self {
            session_id: session.id,
            session_status: session.status,
            flow_id: session.flow_id,
            flow_version: 1,
            environment: session.environment,
            outcome: match session.outcome {
                Some(Outcome::Accepted) => FinalOutcome::Accepted,
                Some(Outcome::Rejected) => FinalOutcome::Rejected,
                None => FinalOutcome::None,
            },
            created_at: session.created_at,
            started_at: session.started_at,
            updated_at: session.updated_at,
            completed_at: session.completed_at,
            expires_at: session.expires_at,
            last_step: session.last_step,
        }
    }
}

/// Some sessions of a flow.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionDetailsList {
    /// Newest first.
    pub(super) content: Vec<SessionDetails>,
    /// Which part of the list it is.
    pub(super) page: PageDetails,
}

/// Which part of a list it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageDetails {
    /// How many a page has at most.
    pub(super) size: u16,
    /// Counted from 0.
    pub(super) number: u32,
    /// How many sessions there are.
    pub(super) total_elements: u64,
    /// How many pages there are.
    pub(super) total_pages: u64,
}
