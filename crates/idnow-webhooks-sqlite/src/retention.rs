//! Removes completed events and parked tokens when they are old enough.

use std::time::Duration;

use idnow_webhooks_core::store::{EventState, ParkLimits, Retention, StoreError};
use idnow_webhooks_core::telemetry::quietly;
use tokio::sync::{mpsc, oneshot};

use crate::ops::{Forget, STEP, micros};
use crate::unit::Work;
use crate::writer::Task;

const PURGED: &str = "idnow_webhooks_purged_total";
/// As the receiver counts it that drops older tokens for newer ones.
const PARKED: &str = "idnow_webhooks_parked_total";
const INTERVAL: Duration = Duration::from_mins(1);
/// Between two steps, so that insertions get more of the disk than this.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs until the store is dropped, which it does not keep from being dropped.
pub(crate) async fn keep(queue: mpsc::WeakSender<Task>, retention: Retention) {
    if retention == Retention::FOREVER {
        return;
    }
    let older_than = micros(retention.get());
    let parked_older_than = micros(ParkLimits::default().within(retention).keep);
    loop {
        let forget = Forget { state: EventState::Completed, older_than, parked_older_than, limit: STEP };
        let wait = match step(&queue, forget).await {
            None => return,
            Some(Ok(forgotten)) => {
                quietly(|| metrics::counter!(PURGED).increment(forgotten.events as u64));
                note_dropped(forgotten.parked);
                if forgotten.events < STEP && !forgotten.has_more_parked() { INTERVAL } else { PAUSE }
            }
            Some(Err(error)) => {
                quietly(|| {
                    tracing::warn!(%error, "what is too old could not be removed; this is tried again in a minute");
                });
                INTERVAL
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Logs and counts parked tokens that were dropped because of their age.
pub(crate) fn note_dropped(dropped: usize) {
    if dropped > 0 {
        quietly(|| metrics::counter!(PARKED, "result" => "dropped").increment(dropped as u64));
        quietly(|| {
            tracing::warn!(dropped, "parked tokens were dropped, because nobody has admitted them in time");
        });
    }
}

async fn step<W: Work>(queue: &mpsc::WeakSender<Task>, work: W) -> Option<Result<W::Output, StoreError>> {
    let (sender, receiver) = oneshot::channel();
    queue.upgrade()?.send(Task::of(work, sender)).await.ok()?;
    receiver.await.ok()
}
