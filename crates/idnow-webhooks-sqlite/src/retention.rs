//! Removes completed events when they are old enough.

use std::time::Duration;

use idnow_webhooks_core::store::{EventState, Retention, StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::ops::{Forget, STEP, micros};
use crate::writer::Task;

const PURGED: &str = "idnow_webhooks_purged_total";
const INTERVAL: Duration = Duration::from_mins(1);
/// Between two steps, so that insertions get more of the disk than this.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs until the store is dropped, which it does not keep from being dropped.
pub(crate) async fn keep(queue: mpsc::WeakSender<Task>, retention: Retention) {
    if retention == Retention::FOREVER {
        return;
    }
    loop {
        let wait = match step(&queue, retention).await {
            None => return,
            Some(Ok(forgotten)) => {
                metrics::counter!(PURGED).increment(forgotten as u64);
                if forgotten >= STEP { PAUSE } else { INTERVAL }
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "old events could not be removed; this is tried again in a minute");
                INTERVAL
            }
        };
        tokio::time::sleep(wait).await;
    }
}

async fn step(queue: &mpsc::WeakSender<Task>, retention: Retention) -> Option<Result<usize, StoreError>> {
    let (sender, receiver) = oneshot::channel();
    let forget = Forget { state: EventState::Completed, older_than: micros(retention.get()), limit: STEP };
    queue.upgrade()?.send(Task::of(forget, sender)).await.ok()?;
    receiver.await.ok()
}
