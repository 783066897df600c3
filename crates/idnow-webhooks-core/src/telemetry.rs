//! What can be observed from outside: one log line and a few metrics for each delivery.
//!
//! Metrics go through the [`metrics`] facade, logs and spans through [`tracing`]. No token, secret or header
//! value is ever among them, but for a `Content-Encoding` that was refused. What came from outside is cut and escaped.
//! A log or a metrics recorder that panics changes no answer.
//!
//! | metric | kind | labels | meaning |
//! |---|---|---|---|
//! | `idnow_webhooks_deliveries_total` | counter | `outcome`: the answer's code | deliveries answered |
//! | `idnow_webhooks_genuine_refused_total` | counter | `outcome`; `flow`: `expected` for an event of an [expected flow](crate::VerifierBuilder::expected_flow), else `other` | deliveries that were refused although their signature holds: what only the holder of the provider's key can cause |
//! | `idnow_webhooks_parked_total` | counter | `result`: `kept`, `known`, `dropped`, `failed` | of those, tokens that were [parked](crate::store::EventStore::park): kept, kept already, dropped for newer ones, not kept because the store failed |
//! | `idnow_webhooks_delivery_seconds` | histogram | | from arrival to answer |
//! | `idnow_webhooks_verification_seconds` | histogram | | checking one token, without fetching keys |
//! | `idnow_webhooks_handler_seconds` | histogram | `result`: `ok`, `retry`, `permanent`; `event_name` | one run of the handlers for an event |
//! | `idnow_webhooks_late_total` | counter | `outcome` | events whose handling ended after the answer, or after the client went away |
//! | `idnow_webhooks_events_total` | counter | `ending`: `completed`, `retried`, `buried`, `lost`, `not_noted`; `event_name` | runs of a worker, by what became of the event; `lost`: its lease ended before the run did |
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
//! [`Receiver::verify`](crate::Receiver::verify) as `verified`. The label `event_name` holds the names that the provider
//! documents or a handler is registered for; all others are `other`.
//!
//! Every delivery runs in the span `idnow_webhook` (target `idnow_webhooks::delivery`) and ends with one event
//! of that target: level INFO when it was accepted, WARN when it was refused, ERROR when the store
//! failed or when a genuine token was refused. Of refused deliveries with the same outcome, one in five seconds is logged,
//! with the number of the others (`more`); each of these is logged at DEBUG. A handler that ends after the answer adds one
//! more, with `late` instead of `outcome`.
//!
//! Every run of a worker is in the span `idnow_webhook_run` (target `idnow_webhooks::worker`, fields `event_id`,
//! `event_name`, `session_id`, `attempt`, `run`) and ends with one event with the field `ending`: INFO when it was completed, WARN
//! when it will be handled again, ERROR when it became a dead letter or its end could not be noted. A worker that is dropped and not
//! stopped says so at WARN.
//!
//! | field | meaning |
//! |---|---|
//! | `outcome`, `status` | the answer's machine code and HTTP status; `client_gone` when nobody waited for one |
//! | `source` | the address it came from, as far as it is known |
//! | `event_id`, `event_name`, `session_id`, `attempt` | of an event whose signature holds |
//! | `reason` | the check, what was expected and seen, the variable to change, seconds of skew, key ids known |
//! | `more` | how many deliveries were refused with the same outcome since the last such line |
//! | `elapsed_us` | from arrival to answer; with `late`, from the handler's first wait to its end |
//! | `late` | the code of an event whose handling ended after the answer |
//! | `name` | of an event of an unknown kind, which has a line of its own at INFO; so has, at WARN, a source that was admitted in monitor mode |

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::poll_fn;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use tracing::Span;
use tracing::field::Empty;

use crate::event::Arrival;
use crate::handler::HandlerResult;
use crate::outcome::{Outcome, Refusal};
use crate::store::{ParkOutcome, StoreError};
use crate::verifier::VerifyError;

pub(crate) mod work;

const TARGET: &str = "idnow_webhooks::delivery";

pub(crate) const VERIFIED: &str = "verified";
const LATE: &str = "idnow_webhooks_late_total";
/// The outcome of a delivery that nobody waited for any more.
const GONE: &str = "client_gone";
const DELIVERIES: &str = "idnow_webhooks_deliveries_total";
const DELIVERY_SECONDS: &str = "idnow_webhooks_delivery_seconds";
const VERIFICATION_SECONDS: &str = "idnow_webhooks_verification_seconds";
const GENUINE_REFUSED: &str = "idnow_webhooks_genuine_refused_total";
const PARKED: &str = "idnow_webhooks_parked_total";
const HANDLER_SECONDS: &str = "idnow_webhooks_handler_seconds";
const UNKNOWN_EVENTS: &str = "idnow_webhooks_unknown_events_total";
const MONITORED_SOURCES: &str = "idnow_webhooks_monitored_sources_total";

/// Refused deliveries with the same outcome are logged once in this time, with a count of the others.
const REPEAT_AFTER: Duration = Duration::from_secs(5);

/// Logs or counts something. The user's log or metrics recorder may panic, which must change nothing else.
///
/// For what goes on in the background, such as the upkeep of a store: a panic would end it for good.
pub fn quietly(what: impl FnOnce()) {
    tell(what);
}

/// Logs or counts something. The user's log or metrics recorder may panic, which must change nothing else: nobody could be
/// told of it either.
fn tell(what: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(what));
}

/// A span of which nothing can panic.
#[derive(Debug)]
pub(crate) struct QuietSpan(Span);

impl QuietSpan {
    fn new(make: impl FnOnce() -> Span) -> Self {
        Self(catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|_| Span::none()))
    }

    /// For what goes on in a task of its own.
    pub(crate) fn current() -> Self {
        Self::new(Span::current)
    }

    fn scope<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut entered = None;
        tell(|| entered = Some(self.0.enter()));
        let result = catch_unwind(AssertUnwindSafe(work));
        tell(|| drop(entered));
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Give it a pinned future if that is large: this one would hold the whole twice.
    pub(crate) async fn instrument<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| self.scope(|| future.as_mut().poll(context))).await
    }
}

impl Drop for QuietSpan {
    fn drop(&mut self) {
        let span = std::mem::replace(&mut self.0, Span::none());
        tell(|| drop(span));
    }
}

fn record(field: &'static str, value: &str) {
    Span::current().record(field, value);
}

/// The lines about refused deliveries of one receiver: an outage must not write one for each.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    lines: Mutex<HashMap<&'static str, Line>>,
    /// Whether a count waits to be logged.
    waiting: AtomicBool,
}

#[derive(Debug)]
struct Line {
    last: Instant,
    more: u64,
}

impl RefusalLog {
    /// How many others there were since the last line with this outcome; `None` if it is too early for another line.
    fn take(&self, outcome: &'static str, now: Instant) -> Option<u64> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.entry(outcome) {
            Entry::Vacant(entry) => {
                entry.insert(Line { last: now, more: 0 });
                Some(0)
            }
            Entry::Occupied(mut entry) if now.duration_since(entry.get().last) < REPEAT_AFTER => {
                entry.get_mut().more += 1;
                self.waiting.store(true, Ordering::Relaxed);
                None
            }
            Entry::Occupied(mut entry) => {
                let line = std::mem::replace(entry.get_mut(), Line { last: now, more: 0 });
                Some(line.more)
            }
        }
    }

    /// Logs the counts that no further refusal brings to the log.
    fn catch_up(&self, now: Instant) {
        if !self.waiting.load(Ordering::Relaxed) {
            return;
        }
        let mut counts = Vec::new();
        {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            for (outcome, line) in &mut *lines {
                if line.more > 0 && now.duration_since(line.last) >= REPEAT_AFTER {
                    line.last = now;
                    counts.push((*outcome, std::mem::take(&mut line.more)));
                }
            }
            self.waiting.store(lines.values().any(|line| line.more > 0), Ordering::Relaxed);
        }
        for (outcome, more) in counts {
            tracing::warn!(target: TARGET, outcome, more, "more deliveries were refused");
        }
    }
}

/// Notes how a delivery ends, in its span, be it only that the client went away.
pub(crate) struct Watch<'a> {
    arrived: Instant,
    span: QuietSpan,
    refusals: &'a RefusalLog,
    answered: bool,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(arrived: Instant, refusals: &'a RefusalLog) -> Self {
        let span = QuietSpan::new(|| {
            tracing::info_span!(
                target: TARGET, "idnow_webhook",
                source = Empty, event_id = Empty, event_name = Empty, session_id = Empty, attempt = Empty,
            )
        });
        Self { arrived, span, refusals, answered: false }
    }

    pub(crate) fn span(&self) -> &QuietSpan {
        &self.span
    }

    pub(crate) fn answered(mut self, result: Result<&'static str, &Refusal>) {
        self.answered = true;
        let elapsed = self.arrived.elapsed();
        self.span.scope(|| {
            tell(|| match result {
                Ok(code) => {
                    // The answer to what was only verified is the caller's.
                    let status = (code != VERIFIED).then_some(StatusCode::OK.as_u16());
                    let elapsed_us = micros(elapsed);
                    tracing::info!(target: TARGET, outcome = code, status, elapsed_us, "delivery accepted");
                    self.refusals.catch_up(Instant::now());
                }
                Err(refusal) => self.refused(refusal, micros(elapsed)),
            });
            tell(|| {
                match result {
                    Ok(code) => accepted(code).increment(1),
                    Err(refusal) => count_refused(refusal),
                }
                metrics::histogram!(DELIVERY_SECONDS).record(elapsed.as_secs_f64());
            });
        });
    }

    fn refused(&self, refusal: &Refusal, elapsed_us: u64) {
        let (outcome, status) = (refusal.code(), refusal.status().as_u16());
        let Some(more) = self.refusals.take(outcome, Instant::now()) else {
            tracing::debug!(target: TARGET, outcome, status, reason = %refusal, elapsed_us, "delivery refused");
            return;
        };
        let more = (more > 0).then_some(more);
        if matches!(refusal, Refusal::Store(_)) || genuine(refusal).is_some() {
            tracing::error!(target: TARGET, outcome, status, reason = %refusal, more, elapsed_us, "delivery refused");
        } else {
            tracing::warn!(target: TARGET, outcome, status, reason = %refusal, more, elapsed_us, "delivery refused");
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let elapsed_us = micros(self.arrived.elapsed());
        self.span.scope(|| {
            tell(|| {
                tracing::warn!(target: TARGET, outcome = GONE, elapsed_us, "the client went away before the answer");
                metrics::counter!(DELIVERIES, "outcome" => GONE).increment(1);
            });
        });
    }
}

/// Labels that are written out here cost no allocation.
fn accepted(code: &'static str) -> metrics::Counter {
    match code {
        "handled" => metrics::counter!(DELIVERIES, "outcome" => "handled"),
        "stored" => metrics::counter!(DELIVERIES, "outcome" => "stored"),
        _ => metrics::counter!(DELIVERIES, "outcome" => code),
    }
}

fn micros(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

/// Of a token whose signature holds: whether its event is of a flow that is expected.
fn genuine(refusal: &Refusal) -> Option<bool> {
    match refusal {
        Refusal::Token(VerifyError::Mismatch(mismatch)) => Some(mismatch.is_expected_flow),
        Refusal::Token(VerifyError::Claims(_)) => Some(false),
        _ => None,
    }
}

fn count_refused(refusal: &Refusal) {
    let outcome = refusal.code();
    metrics::counter!(DELIVERIES, "outcome" => outcome).increment(1);
    if let Some(is_expected_flow) = genuine(refusal) {
        let flow = if is_expected_flow { "expected" } else { "other" };
        metrics::counter!(GENUINE_REFUSED, "outcome" => outcome, "flow" => flow).increment(1);
    }
}

/// Notes how the handling of an event ended whose delivery was answered before, or left alone by the client.
pub(crate) fn after_the_answer(result: &Result<Outcome, Refusal>, elapsed: Duration) {
    let elapsed_us = micros(elapsed);
    let code = match result {
        Ok(outcome) => outcome.code(),
        Err(refusal) => refusal.code(),
    };
    tell(|| match result {
        Ok(_) => {
            tracing::info!(target: TARGET, late = code, elapsed_us, "the event was handled after the answer");
        }
        // Another attempt has come first, which is no failure.
        Err(Refusal::InProgress | Refusal::Buried) => {
            tracing::info!(target: TARGET, late = code, elapsed_us, "the event was not handled again after the answer");
        }
        Err(refusal) => {
            tracing::error!(
                target: TARGET, late = code, reason = %refusal, elapsed_us, "handling the event failed after the answer"
            );
        }
    });
    tell(|| metrics::counter!(LATE, "outcome" => code).increment(1));
}

/// Keeps the error of a handler from being lost when the store cannot note it.
pub(crate) fn not_noted(result: &HandlerResult) {
    if let Err(error) = result {
        tell(|| {
            tracing::error!(target: TARGET, reason = %error, "the handler failed, and the store could not note it");
        });
    }
}

/// Writes into the span where a delivery comes from.
pub(crate) fn source(source: IpAddr) {
    tell(|| {
        Span::current().record("source", tracing::field::display(source));
    });
}

/// Writes into the span what the event is.
pub(crate) fn identify(arrival: &Arrival) {
    tell(|| {
        for (field, value) in [("event_id", arrival.id()), ("event_name", arrival.name())] {
            if let Some(value) = value {
                record(field, value);
            }
        }
        if let Some(session_id) = arrival.subject().session_id {
            record("session_id", &session_id);
        }
        if let Arrival::Event(event) = arrival
            && let Some(attempt) = event.deliver_id.as_deref()
        {
            record("attempt", attempt);
        }
    });
}

pub(crate) fn verification(started: Instant) {
    tell(|| metrics::histogram!(VERIFICATION_SECONDS).record(started.elapsed().as_secs_f64()));
}

/// `event_name` is a name that somebody knows: see [`EventRouter::label`](crate::EventRouter::label).
pub(crate) fn handler(event_name: &'static str, result: &HandlerResult, started: Instant) {
    let result = match result {
        Ok(()) => "ok",
        Err(error) if error.is_permanent() => "permanent",
        Err(_) => "retry",
    };
    tell(|| {
        metrics::histogram!(HANDLER_SECONDS, "result" => result, "event_name" => event_name)
            .record(started.elapsed().as_secs_f64());
    });
}

pub(crate) fn unknown_event(name: &str) {
    tell(|| {
        tracing::info!(target: TARGET, name = ?name, "the event is of a kind that this version does not know");
        metrics::counter!(UNKNOWN_EVENTS).increment(1);
    });
}

pub(crate) fn monitored_source(reason: &dyn std::fmt::Display) {
    tell(|| {
        tracing::warn!(target: TARGET, %reason, "admitted in monitor mode");
        metrics::counter!(MONITORED_SOURCES).increment(1);
    });
}

pub(crate) fn parked(result: &Result<ParkOutcome, StoreError>) {
    let (label, dropped) = match result {
        Ok(ParkOutcome::New { dropped }) => ("kept", *dropped),
        Ok(ParkOutcome::Known) => ("known", 0),
        Err(_) => ("failed", 0),
    };
    tell(|| {
        if let Err(error) = result {
            tracing::error!(target: TARGET, reason = %error, "a genuine token could not be parked");
        }
        if dropped > 0 {
            tracing::warn!(target: TARGET, dropped, "parked tokens were dropped, the oldest first");
        }
    });
    tell(|| {
        metrics::counter!(PARKED, "result" => label).increment(1);
        if dropped > 0 {
            metrics::counter!(PARKED, "result" => "dropped").increment(dropped);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_refusal_is_counted_and_not_logged() {
        let log = RefusalLog::default();
        let start = Instant::now();
        assert_eq!(log.take("store_unavailable", start), Some(0));
        for millis in [0, 1, 4999] {
            assert_eq!(log.take("store_unavailable", start + Duration::from_millis(millis)), None);
        }
        assert_eq!(log.take("keys_unavailable", start), Some(0));
        assert_eq!(log.take("store_unavailable", start + REPEAT_AFTER), Some(3));
        assert_eq!(log.take("store_unavailable", start + 2 * REPEAT_AFTER), Some(0));
    }
}
