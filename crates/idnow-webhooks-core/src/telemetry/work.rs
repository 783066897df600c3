//! What workers do, and how the store is.

use std::time::Duration;

use tokio::time::Instant;
use tracing::field::Empty;

use super::{QuietSpan, micros, quietly};
use crate::store::{Backlog, ClaimedEvent, EventState, Lease, Order, StoreError};

const EVENTS: &str = "idnow_webhooks_events_total";
const OUT_OF_ORDER: &str = "idnow_webhooks_out_of_order_total";
const STORE_SECONDS: &str = "idnow_webhooks_store_seconds";
const BACKLOG: &str = "idnow_webhooks_backlog";
const OLDEST: &str = "idnow_webhooks_oldest_waiting_seconds";
const STORE_UP: &str = "idnow_webhooks_store_up";
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

pub(crate) fn job_span(event: &ClaimedEvent) -> QuietSpan {
    QuietSpan::new(|| {
        tracing::info_span!(
            target: WORKER, "idnow_webhook_run",
            run = event.run, event_id = Empty, event_name = Empty, session_id = Empty, attempt = Empty,
        )
    })
}

/// Notes the end of a run, inside of its span. `event_name` is a name that somebody knows.
pub(crate) fn job(ending: &Ending, event_name: &'static str, elapsed: Duration) {
    let elapsed_us = micros(elapsed);
    let label = match ending {
        Ending::Completed => "completed",
        Ending::Retried { .. } => "retried",
        Ending::Buried { .. } => "buried",
        Ending::Lost { .. } => "lost",
        Ending::NotNoted(_) => "not_noted",
    };
    quietly(|| match ending {
        Ending::Completed => tracing::info!(target: WORKER, ending = label, elapsed_us, "event handled"),
        Ending::Retried { wait, error } => {
            tracing::warn!(target: WORKER, ending = label, ?wait, reason = %error, elapsed_us, "event will be handled again");
        }
        Ending::Buried { error } => {
            tracing::error!(target: WORKER, ending = label, reason = %error, elapsed_us, "event is a dead letter");
        }
        Ending::Lost { error } => {
            tracing::warn!(target: WORKER, ending = label, reason = error, elapsed_us, "the lease ended before the run did");
        }
        Ending::NotNoted(error) => {
            tracing::error!(target: WORKER, ending = label, reason = %error, elapsed_us, "the event was handled, and will be again");
        }
    });
    quietly(|| metrics::counter!(EVENTS, "ending" => label, "event_name" => event_name).increment(1));
}

pub(crate) fn backlog(backlog: &Result<Backlog, StoreError>) {
    let backlog = match backlog {
        Ok(backlog) => backlog,
        Err(error) => {
            quietly(|| tracing::error!(target: WORKER, reason = %error, "the store cannot be used"));
            quietly(|| metrics::gauge!(STORE_UP).set(0.0));
            return;
        }
    };
    let events = [
        (EventState::Waiting.name(), backlog.waiting),
        (EventState::Running.name(), backlog.running),
        (EventState::Dead.name(), backlog.dead),
        ("parked", backlog.parked),
    ];
    quietly(|| {
        for (state, events) in events {
            #[expect(
                clippy::cast_precision_loss,
                reason = "beyond 2^53 events the last digit does not matter"
            )]
            metrics::gauge!(BACKLOG, "state" => state).set(events as f64);
        }
        metrics::gauge!(STORE_UP).set(1.0);
        let oldest = backlog.oldest_waiting.unwrap_or_default();
        metrics::gauge!(OLDEST).set(oldest.as_secs_f64());
    });
}

/// Claimed again while its handler still runs here: the lease was lost, or a clock was set.
pub(crate) fn still_running(lease: &Lease) {
    quietly(|| {
        tracing::warn!(target: WORKER, event_id = &*lease.event_id, "an event whose handler still runs here is not started again");
    });
}

pub(crate) fn worker_dropped() {
    quietly(|| {
        tracing::warn!(
            target: WORKER,
            "the worker was dropped, so events are not handled here any more: keep it, under a name and not as `_`, for as \
             long as the server runs, and then `stop` it"
        );
    });
}

pub(crate) fn not_stopped(lease: &Lease) {
    quietly(|| {
        tracing::error!(target: WORKER, event_id = &*lease.event_id, "its handler does not end: its lease will run out");
    });
}

pub(crate) fn claim_failed(error: &StoreError) {
    quietly(|| tracing::error!(target: WORKER, reason = %error, "no events could be claimed"));
}

pub(crate) fn extend_failed(lease: &Lease, error: &StoreError) {
    quietly(|| {
        tracing::warn!(target: WORKER, event_id = &*lease.event_id, reason = %error, "a lease could not be extended yet");
    });
}

pub(crate) fn release_failed(lease: &Lease, error: &StoreError) {
    quietly(|| {
        tracing::warn!(target: WORKER, event_id = &*lease.event_id, reason = %error, "a lease could not be given back");
    });
}

/// A run that ended without a word, which no handler's failure does.
pub(crate) fn job_panicked(lease: &Lease, panic: &str) {
    quietly(|| {
        tracing::error!(
            target: WORKER, event_id = &*lease.event_id, ending = "not_noted", reason = panic,
            "the run of an event panicked: it will be handled again when its lease has run out"
        );
    });
    quietly(|| metrics::counter!(EVENTS, "ending" => "not_noted", "event_name" => "other").increment(1));
}

pub(crate) fn worker_panicked(panic: &str) {
    quietly(
        || tracing::error!(target: WORKER, reason = panic, "the worker panicked, and goes on: please report this"),
    );
}

pub(crate) fn order(event: &ClaimedEvent) {
    let order = match event.order {
        Order::AfterGap => "after_gap",
        Order::Late => "late",
        Order::Unchecked | Order::InSequence => return,
    };
    // Not again when it is retried.
    if event.run == 1 {
        quietly(|| metrics::counter!(OUT_OF_ORDER, "order" => order).increment(1));
    }
}

pub(crate) fn store_call<T>(call: &'static str, result: &Result<T, StoreError>, started: Instant) {
    let result = match result {
        Ok(_) => "ok",
        Err(StoreError::LeaseLost(_)) => "lost",
        Err(_) => "error",
    };
    quietly(|| {
        metrics::histogram!(STORE_SECONDS, "call" => call, "result" => result)
            .record(started.elapsed().as_secs_f64());
    });
}
