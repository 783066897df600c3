use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Sessions that run by themselves, from their beginning to their end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// How they end.
    pub kind: ScenarioKind,
    /// The flow that they run through.
    pub flow_id: Uuid,
    /// 1 to 64 letters, digits, `-`, `_` or `.`.
    pub environment: String,
    /// How many: 1 to 10,000. By default one, and 1,000 of a storm.
    #[serde(default)]
    pub sessions: Option<u32>,
}

impl Scenario {
    /// A scenario with the usual number of sessions.
    pub fn new(kind: ScenarioKind, flow_id: Uuid, environment: impl Into<String>) -> Self {
        Self { kind, flow_id, environment: environment.into(), sessions: None }
    }
}

/// How the sessions of a scenario end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScenarioKind {
    /// The person begins, and is identified.
    HappyPath,
    /// The person never begins, and the time runs out.
    Expired,
    /// The person begins, and gives up.
    Aborted,
    /// The person begins, and the flow fails.
    Error,
    /// All ends mixed: of ten sessions, six are accepted, and one each is rejected, expires, is aborted and fails.
    Storm,
}
