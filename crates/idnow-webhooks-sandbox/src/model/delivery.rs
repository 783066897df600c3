use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::chaos::Inflicted;

/// One event on its way to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Delivery {
    /// Its identifier: they count up in the order in which deliveries were made.
    pub id: i64,
    /// The event.
    pub event_id: Uuid,
    /// Its name.
    pub event_name: String,
    /// The session that the event is of.
    pub session_id: Uuid,
    /// The endpoint. It may have been deleted since.
    pub endpoint_id: Uuid,
    /// How far it has come.
    pub state: DeliveryState,
    /// How often it was tried: the `eventDeliverId` of the last attempt.
    pub attempts: u32,
    /// When it is tried next, while it waits.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Why it is a dead letter.
    pub dead_reason: Option<DeadReason>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was delivered or given up.
    pub finished_at: Option<DateTime<Utc>>,
    /// The last attempt that has an answer.
    pub last_answered: Option<Attempt>,
}

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryState {
    /// For its first or next attempt.
    Waiting,
    /// An attempt is under way.
    Sending,
    /// Answered 2xx.
    Delivered,
    /// Given up. Only a retrigger brings it back.
    Dead,
    /// Ended because its endpoint was deleted.
    EndpointDeleted,
}

impl DeliveryState {
    /// All that there are, on the way from the first to an end.
    pub const ALL: [Self; 5] =
        [Self::Waiting, Self::Sending, Self::Delivered, Self::Dead, Self::EndpointDeleted];

    /// As JSON spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::EndpointDeleted => "endpoint_deleted",
        }
    }
}

/// Why a delivery was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeadReason {
    /// All retries were used up.
    RetriesExhausted,
    /// An answer of 4xx.
    ClientError,
    /// An answer of 401 or 403.
    AuthenticationFailed,
    /// The URL cannot be delivered to: an answer of 3xx, an address that is not allowed, or not a URL.
    InvalidUrl,
}

/// One try to deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Attempt {
    /// Counted from 1: the `eventDeliverId`.
    pub number: u32,
    /// When it began: the `createdAt` of the token, unless the clock of that was wrong.
    pub started_at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Where it was sent to.
    pub url: String,
    /// The key that signed the token.
    pub key_id: String,
    /// What came of it. `null`: it is under way, or it was cut off before that was known. That is so if the sandbox was
    /// stopped or its database failed, and if the endpoint was deleted, disabled or given another URL meanwhile.
    pub answer: Option<Answer>,
    /// What chaos did to it, told with the answer.
    pub faults: Vec<Inflicted>,
}

impl Attempt {
    /// The time that its token tells.
    pub(crate) fn told_time(&self) -> DateTime<Utc> {
        let skew = self.faults.iter().find_map(|fault| fault.seconds).unwrap_or_default();
        self.started_at.checked_add_signed(TimeDelta::seconds(skew)).unwrap_or(self.started_at)
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum Answer {
    /// The endpoint answered.
    Status {
        /// With this code.
        code: u16,
        /// The beginning of the body, if it is text.
        body: String,
    },
    /// There was no complete answer in time.
    TimedOut,
    /// The endpoint could not be reached, or the connection broke.
    ConnectionFailed {
        /// How.
        reason: String,
    },
    /// Nothing was sent, because the address is not allowed or the URL is none.
    NotSent {
        /// Why.
        reason: String,
    },
}

/// Which deliveries are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DeliveryFilter {
    /// To this endpoint.
    pub endpoint_id: Option<Uuid>,
    /// Of this event.
    pub event_id: Option<Uuid>,
    /// Of this session.
    pub session_id: Option<Uuid>,
    /// In this state.
    pub state: Option<DeliveryState>,
}
