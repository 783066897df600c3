//! What can be observed from outside: one log line and a few metrics for each delivery.
//!
//! Metrics go through the [`metrics`] facade, logs and spans through [`tracing`]. No token, secret or header
//! value is ever among them, but for a `Content-Type` or `Content-Encoding` that was refused. What a stranger
//! sent is cut and escaped.
//!
//! | metric | kind | labels | meaning |
//! |---|---|---|---|
//! | `idnow_webhooks_deliveries_total` | counter | `outcome`: the answer's code, `check`: what refused a token, else empty | deliveries answered |
//! | `idnow_webhooks_delivery_seconds` | histogram | | from arrival to answer |
//! | `idnow_webhooks_verification_seconds` | histogram | | checking one token, without fetching keys |
//! | `idnow_webhooks_handler_seconds` | histogram | `result`: `ok`, `retry`, `permanent` | one run of the handlers for an event |
//! | `idnow_webhooks_late_total` | counter | `outcome` | events whose handling ended after the answer, or after the client went away |
//! | `idnow_webhooks_events_total` | counter | `ending`: `completed`, `retried`, `buried`, `lost`, `not_noted` | runs of a worker, by what became of the event; `lost`: its lease ended before the run did |
//! | `idnow_webhooks_out_of_order_total` | counter | `order`: `after_gap`, `late` | events that a worker handled although the one before them is missing, or after a later one; at their first run |
//! | `idnow_webhooks_store_seconds` | histogram | `call`: `insert`, `claim`, `extend`, `complete`, `retry`, `bury`, `release`; `result`: `ok`, `lost`, `error` | one call of the store by a receiver in queued mode or a worker; `extend` is the heartbeat of a lease, `lost`: the lease had ended |
//! | `idnow_webhooks_purged_total` | counter | | completed events that were old enough to be forgotten (by `idnow-webhooks-sqlite` and `-postgres`) |
//! | `idnow_webhooks_backlog` | gauge | `state`: `waiting`, `running`, `dead` | events in the store that are not completed; noted by a worker each 15 s, and by [`Receiver::health`](crate::Receiver::health) |
//! | `idnow_webhooks_store_up` | gauge | | 1 when the store answered the last time it was asked for its backlog, or else 0 |
//! | `idnow_webhooks_oldest_waiting_seconds` | gauge | | for how long the oldest event that waits has been here; 0 without one |
//! | `idnow_webhooks_unknown_events_total` | counter | | events that neither this version nor a handler knows |
//! | `idnow_webhooks_monitored_sources_total` | counter | | deliveries that the allow list would have refused in enforcing mode |
//! | `idnow_webhooks_key_refreshes_total` | counter | `result`: `ok`, `error` | fetches of the key set (by `idnow-webhooks-jwks`) |
//! | `idnow_webhooks_key_refresh_seconds` | histogram | | one such fetch |
//! | `idnow_webhooks_keys` | gauge | `location` of the source | usable keys known; 0 before the first fetch, and when they have become too old |
//! | `idnow_webhooks_keys_fetched_timestamp_seconds` | gauge | `location` of the source | when the keys known now were fetched, in seconds since 1970: their age is `time()` less this |
//!
//! Deliveries whose client waits for no answer any more are counted as `client_gone`; those of
//! [`Receiver::verify`](crate::Receiver::verify) as `verified`.
//!
//! Every delivery runs in the span `idnow_webhook` (target `idnow_webhooks::delivery`) and ends with one event
//! of that target: level INFO when it was accepted, WARN when it was refused, ERROR when the store
//! failed. A handler that ends after the answer adds one more, with `late` instead of `outcome`.
//!
//! Every run of a worker is in the span `idnow_webhook_run` (target `idnow_webhooks::worker`, fields `event_id`,
//! `event_name`, `attempt`, `run`) and ends with one event with the field `ending`: INFO when it was completed, WARN
//! when it will be handled again, ERROR when it became a dead letter or its end could not be noted. A worker that is dropped and not
//! stopped says so at WARN.
//!
//! | field | meaning |
//! |---|---|
//! | `outcome`, `status` | the answer's machine code and HTTP status; `client_gone` when nobody waited for one |
//! | `source` | the address it came from, as far as it is known |
//! | `event_id`, `event_name`, `attempt` | of a verified event |
//! | `check` | what refused a token: `form`, `algorithm`, `claim`, `issuer`, `audience`, `expiry`, `not_yet`, `lifetime`, `age`, `key`, `signature` |
//! | `reason` | the check, what was expected and seen, seconds of skew, key ids known |
//! | `elapsed_us` | from arrival to answer; with `late`, from the handler's first wait to its end |
//! | `late` | the code of an event whose handling ended after the answer |
//! | `name` | of an event of an unknown kind, which has a line of its own at INFO; so has, at WARN, a source that was admitted in monitor mode |

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use tracing::Span;

use crate::event::Arrival;
use crate::handler::HandlerResult;
use crate::outcome::{Outcome, Refusal};

pub(crate) mod work;

pub(crate) const TARGET: &str = "idnow_webhooks::delivery";

pub(crate) const VERIFIED: &str = "verified";
const LATE: &str = "idnow_webhooks_late_total";
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

    pub(crate) fn answered(mut self, result: Result<&'static str, &Refusal>) {
        self.answered = true;
        let elapsed = self.arrived.elapsed();
        let elapsed_us = micros(elapsed);
        match result {
            Ok(code) => {
                // The answer to what was only verified is the caller's.
                let status = (code != VERIFIED).then_some(StatusCode::OK.as_u16());
                tracing::info!(target: TARGET, outcome = code, status, elapsed_us, "delivery accepted");
                accepted(code).increment(1);
            }
            Err(refusal) => refused(refusal, elapsed_us, "delivery refused"),
        }
        metrics::histogram!(DELIVERY_SECONDS).record(elapsed.as_secs_f64());
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

/// Labels that are written out here cost no allocation.
fn accepted(code: &'static str) -> metrics::Counter {
    match code {
        "handled" => metrics::counter!(DELIVERIES, "outcome" => "handled", "check" => ""),
        "stored" => metrics::counter!(DELIVERIES, "outcome" => "stored", "check" => ""),
        _ => metrics::counter!(DELIVERIES, "outcome" => code, "check" => ""),
    }
}

fn micros(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

fn refused(refusal: &Refusal, elapsed_us: u64, message: &'static str) {
    let (code, status) = (refusal.code(), refusal.status().as_u16());
    let check = match refusal {
        Refusal::Token(error) => error.check(),
        _ => "",
    };
    if matches!(refusal, Refusal::Store(_)) {
        tracing::error!(target: TARGET, outcome = code, status, reason = %refusal, elapsed_us, "{message}");
    } else {
        tracing::warn!(target: TARGET, outcome = code, status, check, reason = %refusal, elapsed_us, "{message}");
    }
    metrics::counter!(DELIVERIES, "outcome" => code, "check" => check).increment(1);
}

/// Notes how the handling of an event ended whose delivery was answered before, or left alone by the client.
pub(crate) fn after_the_answer(result: &Result<Outcome, Refusal>, elapsed: Duration) {
    let elapsed_us = micros(elapsed);
    let code = match result {
        Ok(outcome) => {
            let code = outcome.code();
            tracing::info!(target: TARGET, late = code, elapsed_us, "the event was handled after the answer");
            code
        }
        // Another attempt has come first, which is no failure.
        Err(refusal @ (Refusal::InProgress | Refusal::Buried)) => {
            let code = refusal.code();
            tracing::info!(target: TARGET, late = code, elapsed_us, "the event was not handled again after the answer");
            code
        }
        Err(refusal) => {
            let code = refusal.code();
            tracing::error!(
                target: TARGET, late = code, reason = %refusal, elapsed_us, "handling the event failed after the answer"
            );
            code
        }
    };
    metrics::counter!(LATE, "outcome" => code).increment(1);
}

/// Keeps the error of a handler from being lost when the store cannot note it.
pub(crate) fn not_noted(result: &HandlerResult) {
    if let Err(error) = result {
        tracing::error!(target: TARGET, reason = %error, "the handler failed, and the store could not note it");
    }
}

/// Writes into the span what the event is.
pub(crate) fn identify(arrival: &Arrival) {
    let span = Span::current();
    for (field, value) in [("event_id", arrival.id()), ("event_name", arrival.name())] {
        if let Some(value) = value {
            span.record(field, value);
        }
    }
    if let Arrival::Event(event) = arrival
        && let Some(attempt) = event.deliver_id.as_deref()
    {
        span.record("attempt", attempt);
    }
}

pub(crate) fn verification(started: Instant) {
    metrics::histogram!(VERIFICATION_SECONDS).record(started.elapsed().as_secs_f64());
}

pub(crate) fn handler(result: &HandlerResult, started: Instant) {
    let histogram = match result {
        Ok(()) => metrics::histogram!(HANDLER_SECONDS, "result" => "ok"),
        Err(error) if error.is_permanent() => metrics::histogram!(HANDLER_SECONDS, "result" => "permanent"),
        Err(_) => metrics::histogram!(HANDLER_SECONDS, "result" => "retry"),
    };
    histogram.record(started.elapsed().as_secs_f64());
}

pub(crate) fn unknown_event(name: &str) {
    tracing::info!(target: TARGET, name = ?name, "the event is of a kind that this version does not know");
    metrics::counter!(UNKNOWN_EVENTS).increment(1);
}

pub(crate) fn monitored_source(reason: &dyn std::fmt::Display) {
    tracing::warn!(target: TARGET, %reason, "admitted in monitor mode");
    metrics::counter!(MONITORED_SOURCES).increment(1);
}
