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
//! | `idnow_webhooks_events_total` | counter | `ending`: `completed`, `retried`, `buried`, `lost`, `not_noted` | runs of a worker, by what became of the event |
//! | `idnow_webhooks_backlog` | gauge | `state`: `waiting`, `running`, `dead` | events in the store that are not completed; noted by a worker each 15 s, and by [`Receiver::health`](crate::Receiver::health) |
//! | `idnow_webhooks_store_up` | gauge | | 1 when the store answered the last time it was asked for its backlog, or else 0 |
//! | `idnow_webhooks_oldest_waiting_seconds` | gauge | | for how long the oldest event that waits has been here; 0 without one |
//! | `idnow_webhooks_unknown_events_total` | counter | | events that neither this version nor a handler knows |
//! | `idnow_webhooks_monitored_sources_total` | counter | | deliveries that the allow list would have refused in enforcing mode |
//! | `idnow_webhooks_key_refreshes_total` | counter | `result`: `ok`, `error` | fetches of the key set (by `idnow-webhooks-jwks`) |
//! | `idnow_webhooks_key_refresh_seconds` | histogram | | one such fetch |
//! | `idnow_webhooks_keys` | gauge | | usable keys known |
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
//! when it will be handled again, ERROR when it became a dead letter or its end could not be noted.
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
use tracing::field::Empty;

use crate::event::Arrival;
use crate::handler::HandlerResult;
use crate::outcome::{Outcome, Refusal};
use crate::store::{Backlog, ClaimedEvent, EventState, Lease, StoreError};

pub(crate) const TARGET: &str = "idnow_webhooks::delivery";

pub(crate) const VERIFIED: &str = "verified";
const EVENTS: &str = "idnow_webhooks_events_total";
const BACKLOG: &str = "idnow_webhooks_backlog";
const OLDEST: &str = "idnow_webhooks_oldest_waiting_seconds";
const STORE_UP: &str = "idnow_webhooks_store_up";
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
                metrics::counter!(DELIVERIES, "outcome" => code, "check" => "").increment(1);
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

const WORKER: &str = "idnow_webhooks::worker";

/// What became of an event after a run of a worker.
pub(crate) enum Ending {
    Completed,
    Retried {
        wait: Duration,
        error: String,
    },
    Buried {
        error: String,
    },
    /// The lease ended before the run did: somebody else may handle the event by now, or its handler's transaction has
    /// completed it.
    Lost {
        error: Option<String>,
    },
    /// The store did not take the end: the event will be handled again when its lease has run out.
    NotNoted(StoreError),
}

pub(crate) fn job_span(event: &ClaimedEvent) -> Span {
    tracing::info_span!(
        target: WORKER, "idnow_webhook_run",
        run = event.run, event_id = Empty, event_name = Empty, attempt = Empty,
    )
}

/// Notes the end of a run, inside of its span.
pub(crate) fn job(ending: &Ending, elapsed: Duration) {
    let elapsed_us = micros(elapsed);
    let label = match ending {
        Ending::Completed => {
            tracing::info!(target: WORKER, ending = "completed", elapsed_us, "event handled");
            "completed"
        }
        Ending::Retried { wait, error } => {
            tracing::warn!(target: WORKER, ending = "retried", ?wait, reason = %error, elapsed_us, "event will be handled again");
            "retried"
        }
        Ending::Buried { error } => {
            tracing::error!(target: WORKER, ending = "buried", reason = %error, elapsed_us, "event is a dead letter");
            "buried"
        }
        Ending::Lost { error } => {
            tracing::warn!(target: WORKER, ending = "lost", reason = error, elapsed_us, "the lease ended before the run did");
            "lost"
        }
        Ending::NotNoted(error) => {
            tracing::error!(target: WORKER, ending = "not_noted", reason = %error, elapsed_us, "the event was handled, and will be again");
            "not_noted"
        }
    };
    metrics::counter!(EVENTS, "ending" => label).increment(1);
}

pub(crate) fn backlog(backlog: &Result<Backlog, StoreError>) {
    let backlog = match backlog {
        Ok(backlog) => backlog,
        Err(error) => {
            tracing::error!(target: WORKER, reason = %error, "the store cannot be used");
            metrics::gauge!(STORE_UP).set(0.0);
            return;
        }
    };
    let events = [
        (EventState::Waiting, backlog.waiting),
        (EventState::Running, backlog.running),
        (EventState::Dead, backlog.dead),
    ];
    for (state, events) in events {
        #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 events the last digit does not matter")]
        metrics::gauge!(BACKLOG, "state" => state.name()).set(events as f64);
    }
    metrics::gauge!(STORE_UP).set(1.0);
    let oldest = backlog.oldest_waiting.unwrap_or_default();
    metrics::gauge!(OLDEST).set(oldest.as_secs_f64());
}

/// A genuine event that nobody can read: it is in the store, and nobody will handle it.
pub(crate) fn dead_on_arrival(reason: &str) {
    tracing::error!(target: TARGET, reason, "a genuine event cannot be read: it is a dead letter");
    metrics::counter!(EVENTS, "ending" => "buried").increment(1);
}

/// Claimed again while its handler still runs here: the lease was lost, or a clock was set.
pub(crate) fn still_running(lease: &Lease) {
    tracing::warn!(target: WORKER, event_id = &*lease.event_id, "an event whose handler still runs here is not started again");
}

pub(crate) fn not_stopped(lease: &Lease) {
    tracing::error!(target: WORKER, event_id = &*lease.event_id, "its handler does not end: its lease will run out");
}

pub(crate) fn claim_failed(error: &StoreError) {
    tracing::error!(target: WORKER, reason = %error, "no events could be claimed");
}

pub(crate) fn extend_failed(lease: &Lease, error: &StoreError) {
    tracing::warn!(target: WORKER, event_id = &*lease.event_id, reason = %error, "a lease could not be extended yet");
}

pub(crate) fn release_failed(lease: &Lease, error: &StoreError) {
    tracing::warn!(target: WORKER, event_id = &*lease.event_id, reason = %error, "a lease could not be given back");
}
