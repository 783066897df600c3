//! Deliveries as lists show them.

use std::collections::HashMap;

use uuid::Uuid;

use super::show::{Badge, Time, Tone};
use crate::error::Error;
use crate::model::{Answer, DeadReason, Delivery, DeliveryState};
use crate::sandbox::Sandbox;

/// A table of deliveries.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    /// Of the body of the table, on its page.
    pub(crate) id: String,
    pub(crate) items: Vec<Row>,
}

/// A delivery.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) event_id: Uuid,
    pub(crate) event_name: String,
    pub(crate) session_id: Uuid,
    /// Where it goes, or went if that is deleted.
    pub(crate) url: String,
    pub(crate) state: Badge,
    pub(crate) is_dead: bool,
    pub(crate) attempts: u32,
    /// The last one that is known.
    pub(crate) answer: Option<ShownAnswer>,
    pub(crate) next: Option<Time>,
    pub(crate) finished: Option<Time>,
    pub(crate) dead_reason: Option<&'static str>,
}

impl Row {
    /// `url` is none if the endpoint was deleted.
    pub(crate) fn new(delivery: &Delivery, url: Option<String>) -> Self {
        let last = delivery.last_answered.as_ref();
        let url = url.or_else(|| Some(last?.url.clone()));
        Self {
            id: delivery.id,
            event_id: delivery.event_id,
            event_name: delivery.event_name.clone(),
            session_id: delivery.session_id,
            url: url.unwrap_or_else(|| "a deleted webhook".to_owned()),
            state: state(delivery),
            is_dead: delivery.state == DeliveryState::Dead,
            attempts: delivery.attempts,
            answer: last.and_then(|attempt| attempt.answer.as_ref()).map(ShownAnswer::new),
            next: delivery
                .next_attempt_at
                .filter(|_| delivery.state == DeliveryState::Waiting)
                .map(Time::due),
            finished: delivery.finished_at.map(Time::new),
            dead_reason: delivery.dead_reason.map(reason),
        }
    }

    pub(crate) fn short_session(&self) -> String {
        self.session_id.to_string().split('-').next().unwrap_or_default().to_owned()
    }
}

/// Rows of `deliveries`, in the table `id`.
pub(crate) async fn rows(
    sandbox: &Sandbox,
    id: impl Into<String>,
    deliveries: &[Delivery],
) -> Result<Rows, Error> {
    let mut urls: HashMap<Uuid, Option<String>> = HashMap::new();
    let mut items = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let url = if let Some(url) = urls.get(&delivery.endpoint_id) {
            url.clone()
        } else {
            let url = endpoint_url(sandbox, delivery.endpoint_id).await?;
            urls.insert(delivery.endpoint_id, url.clone());
            url
        };
        items.push(Row::new(delivery, url));
    }
    Ok(Rows { id: id.into(), items })
}

/// The URL of an endpoint that is still there.
pub(crate) async fn endpoint_url(sandbox: &Sandbox, id: Uuid) -> Result<Option<String>, Error> {
    match sandbox.endpoint(id).await {
        Ok(endpoint) => Ok(Some(endpoint.url)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn state(delivery: &Delivery) -> Badge {
    let tone = match delivery.state {
        // The first try is not a retry.
        DeliveryState::Waiting if delivery.attempts > 0 => return Badge::new(Tone::Wait, "Retrying"),
        DeliveryState::Waiting => Tone::Wait,
        DeliveryState::Sending => Tone::Busy,
        DeliveryState::Delivered => Tone::Good,
        DeliveryState::Dead => Tone::Bad,
        DeliveryState::EndpointDeleted => Tone::Off,
    };
    Badge::new(tone, label(delivery.state))
}

/// What a state is called where people read it.
pub(super) fn label(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Waiting => "Waiting",
        DeliveryState::Sending => "Sending",
        DeliveryState::Delivered => "Delivered",
        DeliveryState::Dead => "Dead letter",
        DeliveryState::EndpointDeleted => "Webhook deleted",
    }
}

pub(crate) fn reason(reason: DeadReason) -> &'static str {
    match reason {
        DeadReason::RetriesExhausted => "All retries were used up",
        DeadReason::ClientError => "Refused by the receiver (4xx)",
        DeadReason::AuthenticationFailed => "Authentication failed (401 or 403)",
        DeadReason::InvalidUrl => "The URL cannot be delivered to",
    }
}

/// What came of an attempt.
#[derive(Debug, Clone)]
pub(crate) struct ShownAnswer {
    pub(crate) badge: Badge,
    /// More about it; may be empty.
    pub(crate) detail: String,
    /// What the receiver said.
    pub(crate) body: Option<String>,
}

impl ShownAnswer {
    pub(crate) fn new(answer: &Answer) -> Self {
        let without_body = |badge, detail: &str| Self { badge, detail: detail.to_owned(), body: None };
        match answer {
            Answer::Status { code, body } => Self {
                badge: Badge::new(
                    if (200..300).contains(code) { Tone::Good } else { Tone::Bad },
                    told(*code),
                ),
                detail: String::new(),
                body: (!body.is_empty()).then(|| body.clone()),
            },
            Answer::TimedOut => without_body(Badge::new(Tone::Bad, "Timed out"), ""),
            Answer::ConnectionFailed { reason } => {
                without_body(Badge::new(Tone::Bad, "Connection failed"), reason)
            }
            Answer::NotSent { reason } => without_body(Badge::new(Tone::Bad, "Not sent"), reason),
        }
    }

    /// Of an attempt without an answer.
    pub(crate) fn missing(under_way: bool) -> Self {
        let (badge, detail) = if under_way {
            (Badge::new(Tone::Busy, "Under way"), "")
        } else {
            (Badge::new(Tone::Off, "Not known"), "The sandbox was stopped before it knew.")
        };
        Self { badge, detail: detail.to_owned(), body: None }
    }

    pub(crate) fn tone(&self) -> &'static str {
        self.badge.tone.class()
    }

    /// What it is in a word.
    pub(crate) fn text(&self) -> &str {
        self.badge.text()
    }
}

fn told(code: u16) -> String {
    let reason = http::StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason());
    reason.map_or_else(|| code.to_string(), |reason| format!("{code} {reason}"))
}
