use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What a session runs through. Endpoints belong to a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Flow {
    /// Its identifier, `payload.flowId` of each event.
    pub id: Uuid,
    /// For people.
    pub name: String,
    /// After how many seconds a session that has not ended expires.
    pub session_ttl_seconds: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A flow to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewFlow {
    /// For people: 1 to 200 characters.
    pub name: String,
    /// After how many seconds a session that has not ended expires: 1 second to 90 days, by default a day.
    #[serde(default = "day")]
    pub session_ttl_seconds: u64,
}

impl NewFlow {
    /// A flow with the defaults.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), session_ttl_seconds: day() }
    }
}

fn day() -> u64 {
    24 * 60 * 60
}
