use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A key that signs, or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Key {
    /// Its `kid`.
    pub id: String,
    /// What it is used for.
    pub state: KeyState,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// What a key is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyState {
    /// It signs, and is published. There is one.
    Active,
    /// It signs no more, and is still published.
    Published,
    /// It is not published any more.
    Retired,
}
