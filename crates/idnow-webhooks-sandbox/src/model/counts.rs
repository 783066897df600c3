use serde::Serialize;
use utoipa::ToSchema;

/// How much there is of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Counts {
    /// Flows.
    pub flows: u64,
    /// Endpoints.
    pub endpoints: u64,
    /// Sessions by their status.
    pub sessions: SessionCounts,
    /// Deliveries by their state. The dead letters are those that are `dead`.
    pub deliveries: DeliveryCounts,
    /// How many forgeries receivers have accepted, since chaos was set: one is too many.
    pub forgeries_accepted: u64,
}

/// Sessions by their status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub struct SessionCounts {
    /// Ready to start.
    pub created: u64,
    /// The person is at it.
    pub running: u64,
    /// Ended with a final outcome.
    pub completed: u64,
    /// Ended by the person.
    pub aborted: u64,
    /// Their time has run out.
    pub expired: u64,
    /// Failed.
    pub error: u64,
}

/// Deliveries by their state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub struct DeliveryCounts {
    /// For their first or next attempt.
    pub waiting: u64,
    /// An attempt is under way.
    pub sending: u64,
    /// Answered 2xx.
    pub delivered: u64,
    /// Dead letters.
    pub dead: u64,
    /// Ended because their endpoint was deleted.
    pub endpoint_deleted: u64,
}
