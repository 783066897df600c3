//! Moves the ids of recent events from memory into their table, beside everything else that is written.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use idnow_webhooks_core::store::StoreError;
use idnow_webhooks_core::telemetry::quietly;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::recent::{STEP, merge};
use crate::unit::{Unit, Work};
use crate::writer::Task;

/// After a failure.
const AGAIN: Duration = Duration::from_secs(5);

/// Runs until it is aborted, or the store is dropped, which it does not keep from being dropped. `grown` says that
/// there may be enough to merge.
pub(crate) async fn keep(queue: mpsc::WeakSender<Task>, grown: Arc<Notify>) {
    loop {
        match all(&queue).await {
            None => return,
            Some(Ok(())) => grown.notified().await,
            Some(Err(error)) => {
                quietly(|| {
                    tracing::warn!(%error, "ids of recent events could not be merged; this is tried again in {AGAIN:?}");
                });
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

async fn all(queue: &mpsc::WeakSender<Task>) -> Option<Result<(), StoreError>> {
    let plan = match run(queue, MakePlan).await? {
        Ok(Some(plan)) => plan,
        Ok(None) => return Some(Ok(())),
        Err(error) => return Some(Err(error)),
    };
    // Small steps, so that insertions get their turn in between.
    for step in plan.positions.chunks(STEP) {
        if let Err(error) = run(queue, Step(step.to_vec())).await? {
            return Some(Err(error));
        }
    }
    // Only now: if it ends before this, all of it is done again, and nobody has missed an id.
    run(queue, End(plan.last)).await
}

async fn run<W: Work>(queue: &mpsc::WeakSender<Task>, work: W) -> Option<Result<W::Output, StoreError>> {
    let (sender, receiver) = oneshot::channel();
    queue.upgrade()?.send(Task::of(work, sender)).await.ok()?;
    receiver.await.ok()
}

struct Plan {
    positions: Vec<i64>,
    last: i64,
}

struct MakePlan;

#[async_trait]
impl Work for MakePlan {
    type Output = Option<Plan>;

    async fn run(&self, unit: &mut Unit<'_>) -> Result<Option<Plan>, sqlx::Error> {
        unit.recent.load(unit.connection).await?;
        let plan = |(positions, last)| Plan { positions, last };
        Ok(unit.recent.is_to_be_merged().then(|| plan(unit.recent.plan())))
    }
}

struct Step(Vec<i64>);

#[async_trait]
impl Work for Step {
    type Output = ();

    async fn run(&self, unit: &mut Unit<'_>) -> Result<(), sqlx::Error> {
        merge(unit.connection, &self.0).await
    }
}

/// All rows up to this one are in the table.
struct End(i64);

#[async_trait]
impl Work for End {
    type Output = ();

    async fn run(&self, unit: &mut Unit<'_>) -> Result<(), sqlx::Error> {
        unit.recent.end_plan(unit.connection, self.0).await
    }
}

#[cfg(test)]
mod tests;
