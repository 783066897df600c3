//! What can be observed from outside: one log line and a few metrics for each delivery.
//!
//! Metrics go through the [`metrics`] facade, logs and spans through [`tracing`]. No token, secret or header
//! value is ever among them; what a stranger sent is cut and escaped.
//!
//! | metric | kind | labels | meaning |
//! |---|---|---|---|
//! | `idnow_webhooks_deliveries_total` | counter | `outcome`: the answer's code, `check`: what refused a token, else empty | deliveries answered |
//! | `idnow_webhooks_delivery_seconds` | histogram | | from arrival to answer |
//! | `idnow_webhooks_verification_seconds` | histogram | | checking one token, without fetching keys |
//! | `idnow_webhooks_handler_seconds` | histogram | `result`: `ok`, `retry`, `permanent` | one run of the handlers for an event |
//! | `idnow_webhooks_unknown_events_total` | counter | | events that neither this version nor a handler knows |
//! | `idnow_webhooks_monitored_sources_total` | counter | | deliveries that the allow list would have refused in enforcing mode |
//! | `idnow_webhooks_key_refreshes_total` | counter | `result`: `ok`, `error` | fetches of the key set (by `idnow-webhooks-jwks`) |
//! | `idnow_webhooks_key_refresh_seconds` | histogram | | one such fetch |
//! | `idnow_webhooks_keys` | gauge | | usable keys known |
//!
//! Every delivery runs in the span `idnow_webhook` (target `idnow_webhooks::delivery`) and ends with one event
//! of that target: level INFO when it was accepted, WARN when it was refused, ERROR when the store failed.
//!
//! | field | meaning |
//! |---|---|
//! | `outcome`, `status` | the answer's machine code and HTTP status; `client_gone` when nobody waited for one |
//! | `source` | the address it came from, as far as it is known |
//! | `event_id`, `event_name`, `attempt` | of a verified event |
//! | `check` | what refused a token: `form`, `algorithm`, `claim`, `issuer`, `audience`, `expiry`, `not_yet`, `lifetime`, `age`, `key`, `signature` |
//! | `reason` | the check, what was expected and seen, seconds of skew, key ids known |
//! | `elapsed_us` | from arrival to answer |

use std::time::{Duration, Instant};

use crate::outcome::{Outcome, Refusal};
use crate::router::HandlerResult;

pub(crate) const TARGET: &str = "idnow_webhooks::delivery";

/// The outcome of a delivery that nobody waited for any more.
const GONE: &str = "client_gone";
const DELIVERIES: &str = "idnow_webhooks_deliveries_total";
const DELIVERY_SECONDS: &str = "idnow_webhooks_delivery_seconds";
const VERIFICATION_SECONDS: &str = "idnow_webhooks_verification_seconds";
const HANDLER_SECONDS: &str = "idnow_webhooks_handler_seconds";
const UNKNOWN_EVENTS: &str = "idnow_webhooks_unknown_events_total";
const MONITORED_SOURCES: &str = "idnow_webhooks_monitored_sources_total";

/// Notes how a delivery ends, inside of its span, be it only that the client went away.
pub(crate) struct Watch {
    arrived: Instant,
    answered: bool,
}

impl Watch {
    pub(crate) fn new(arrived: Instant) -> Self {
        Self { arrived, answered: false }
    }

    pub(crate) fn answered(mut self, outcome: &Outcome) {
        self.answered = true;
        delivery(outcome, self.arrived.elapsed());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.answered {
            let elapsed_us = micros(self.arrived.elapsed());
            tracing::warn!(target: TARGET, outcome = GONE, elapsed_us, "the client went away before the answer");
            metrics::counter!(DELIVERIES, "outcome" => GONE, "check" => "").increment(1);
        }
    }
}

fn micros(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

fn delivery(outcome: &Outcome, elapsed: Duration) {
    let (code, status) = (outcome.code(), outcome.status().as_u16());
    let elapsed_us = micros(elapsed);
    let check = match outcome {
        Outcome::Refused(Refusal::Token(error)) => error.check(),
        _ => "",
    };
    match outcome {
        Outcome::Refused(reason @ Refusal::Store(_)) => {
            tracing::error!(target: TARGET, outcome = code, status, %reason, elapsed_us, "delivery refused");
        }
        Outcome::Refused(reason) => {
            tracing::warn!(target: TARGET, outcome = code, status, check, %reason, elapsed_us, "delivery refused");
        }
        _ => tracing::info!(target: TARGET, outcome = code, status, elapsed_us, "delivery accepted"),
    }
    metrics::counter!(DELIVERIES, "outcome" => code, "check" => check).increment(1);
    metrics::histogram!(DELIVERY_SECONDS).record(elapsed.as_secs_f64());
}

pub(crate) fn verification(started: Instant) {
    metrics::histogram!(VERIFICATION_SECONDS).record(started.elapsed().as_secs_f64());
}

pub(crate) fn handler(result: &HandlerResult, started: Instant) {
    let label = match result {
        Ok(()) => "ok",
        Err(error) if error.is_permanent() => "permanent",
        Err(_) => "retry",
    };
    metrics::histogram!(HANDLER_SECONDS, "result" => label).record(started.elapsed().as_secs_f64());
}

pub(crate) fn unknown_event(name: &str) {
    tracing::info!(target: TARGET, name = ?name, "the event is of a kind that this version does not know");
    metrics::counter!(UNKNOWN_EVENTS).increment(1);
}

pub(crate) fn monitored_source(reason: &dyn std::fmt::Display) {
    tracing::warn!(target: TARGET, %reason, "admitted in monitor mode");
    metrics::counter!(MONITORED_SOURCES).increment(1);
}
