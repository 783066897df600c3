//! An attempt as the provider makes it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::echo;
use super::message::Message;
use super::token::Data;
use crate::chaos::Inflicted;
use crate::keys::SigningKey;
use crate::model::{Answer, Endpoint};
use crate::state::{Due, State};

/// What has come of an attempt.
pub(super) struct Sent {
    pub(super) answer: Answer,
    /// From the genuine request to its answer.
    pub(super) took: Duration,
    pub(super) faults: Vec<Inflicted>,
    /// The row of the key that signed it.
    pub(super) key: Option<i64>,
    /// None if it was signed when it was taken.
    pub(super) signed_at: Option<DateTime<Utc>>,
}

pub(super) async fn send(
    state: &State,
    endpoint: &Endpoint,
    due: &Due,
    taken_with: &Arc<SigningKey>,
) -> Sent {
    let key = signing_key(state, due, taken_with);
    let issuer = &state.settings().issuer;
    let claims = Data::claims(&due.event, due.number, due.started_at, issuer, &endpoint.url);
    let (answer, took) = match Message::new(&endpoint.headers, endpoint.token_place, &claims, &key) {
        Ok(Message { headers, body }) => {
            let begun = Instant::now();
            let answer = state.client().post(&endpoint.url, headers, body).await;
            (echo::masked(answer, &endpoint.headers), begun.elapsed())
        }
        Err(unsendable) => (unsendable.into(), Duration::ZERO),
    };
    Sent { answer, took, faults: Vec::new(), key: Some(key.row), signed_at: None }
}

/// What signs now: by then, the key that the attempt was taken with may not be published any more.
pub(super) fn signing_key(state: &State, due: &Due, taken_with: &Arc<SigningKey>) -> Arc<SigningKey> {
    state.signing_key(due).unwrap_or_else(|_| Arc::clone(taken_with))
}
