use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// One run of a person through a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Session {
    /// Its identifier.
    pub id: Uuid,
    /// The flow that it runs through.
    pub flow_id: Uuid,
    /// `staging`, `live`, or any other name.
    pub environment: String,
    /// Where it is.
    pub status: SessionStatus,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The last step that ran.
    pub last_step: Option<LastStep>,
    /// How many events it has had: the `eventSequence` of the last one.
    pub events: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When the person began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When it ended, however it did.
    pub completed_at: Option<DateTime<Utc>>,
    /// When it expires, if it has not ended by then.
    pub expires_at: DateTime<Utc>,
}

/// Where a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum SessionStatus {
    /// Ready to start.
    Created,
    /// The person is at it.
    Running,
    /// Ended with a final outcome.
    Completed,
    /// Ended by the person, without a final outcome.
    Aborted,
    /// Its time has run out.
    Expired,
    /// It has failed.
    Error,
}

impl SessionStatus {
    /// All that there are, in the order of the provider's documents.
    pub const ALL: [Self; 6] =
        [Self::Created, Self::Running, Self::Completed, Self::Aborted, Self::Expired, Self::Error];

    /// As JSON spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Aborted => "ABORTED",
            Self::Expired => "EXPIRED",
            Self::Error => "ERROR",
        }
    }

    /// Whether something can still happen to the session.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Created | Self::Running)
    }
}

/// How a completed session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The person was identified.
    #[default]
    Accepted,
    /// The person was refused.
    Rejected,
}

/// The last step that ran in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LastStep {
    /// Its id, such as `END-ACCEPT`.
    pub id: String,
    /// Its type, such as `END`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its status, such as `COMPLETED`.
    pub status: String,
}

/// A session to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSession {
    /// The flow that it runs through.
    pub flow_id: Uuid,
    /// 1 to 64 letters, digits, `-`, `_` or `.`.
    pub environment: String,
    /// After how many seconds it expires if it has not ended; the flow's setting by default.
    #[serde(default)]
    pub ttl_seconds: Option<u64>,
}

impl NewSession {
    /// A session that expires when the flow says so.
    pub fn new(flow_id: Uuid, environment: impl Into<String>) -> Self {
        Self { flow_id, environment: environment.into(), ttl_seconds: None }
    }
}

/// What happens to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "step", deny_unknown_fields)]
#[non_exhaustive]
pub enum Step {
    /// The person begins. There is no event for it.
    Start,
    /// It ends with a final outcome: `session.completed`.
    Complete {
        /// How it ends.
        #[serde(default)]
        outcome: Outcome,
    },
    /// Its time runs out: `session.expired`.
    Expire,
    /// The person ends it: `session.aborted`.
    Abort,
    /// It fails: `session.error`.
    Error,
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Variants without braces would take any further members, whatever `deny_unknown_fields` says.
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case", tag = "step", deny_unknown_fields)]
        enum Read {
            Start {},
            Complete {
                #[serde(default)]
                outcome: Outcome,
            },
            Expire {},
            Abort {},
            Error {},
        }
        Ok(match Read::deserialize(deserializer)? {
            Read::Start {} => Self::Start,
            Read::Complete { outcome } => Self::Complete { outcome },
            Read::Expire {} => Self::Expire,
            Read::Abort {} => Self::Abort,
            Read::Error {} => Self::Error,
        })
    }
}

/// Which sessions are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SessionFilter {
    /// Of this flow.
    pub flow_id: Option<Uuid>,
    /// In this environment.
    pub environment: Option<String>,
    /// In this status.
    pub status: Option<SessionStatus>,
}
