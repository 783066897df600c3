//! Removes completed events and parked tokens when they are old enough.

use std::time::Duration;

use idnow_webhooks_core::store::{EventState, ParkLimits, Retention, StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::ops::{DropParked, Forget, STEP, micros};
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
    let oldest_parked = micros(ParkLimits::default().keep);
    loop {
        let forget = Forget { state: EventState::Completed, older_than, limit: STEP };
        let Some(forgotten) = step(&queue, forget).await else { return };
        let Some(dropped) = step(&queue, DropParked(oldest_parked)).await else { return };
        let forgotten = forgotten.inspect(|count| metrics::counter!(PURGED).increment(*count as u64));
        let dropped = dropped.inspect(|count| note_dropped(*count));
        let wait = match (forgotten, dropped) {
            (Ok(forgotten), Ok(dropped)) if forgotten < STEP && dropped < STEP as u64 => INTERVAL,
            (Ok(_), Ok(_)) => PAUSE,
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, "what is too old could not be removed; this is tried again in a minute");
                INTERVAL
            }
        };
        tokio::time::sleep(wait).await;
    }
}

fn note_dropped(dropped: u64) {
    if dropped > 0 {
        tracing::warn!(dropped, "parked tokens were dropped, because nobody has admitted them within 7 days");
        metrics::counter!(PARKED, "result" => "dropped").increment(dropped);
    }
}

async fn step<W: Work>(queue: &mpsc::WeakSender<Task>, work: W) -> Option<Result<W::Output, StoreError>> {
    let (sender, receiver) = oneshot::channel();
    queue.upgrade()?.send(Task::of(work, sender)).await.ok()?;
    receiver.await.ok()
}
