//! Forgetting what is finished, and parked tokens that are too old, in small steps.

use std::sync::Arc;
use std::time::Duration;

use idnow_webhooks_core::store::{EventState, ParkLimits, Purge, Retention, StoreError};

use crate::core::Core;
use crate::error::unavailable;
use crate::operators::limit;
use crate::work::{Alone, LIMIT, Work, micros, within};

const PURGED: &str = "idnow_webhooks_purged_total";
/// As the receiver counts it that drops older tokens for newer ones.
const PARKED: &str = "idnow_webhooks_parked_total";
/// The most rows that one statement forgets.
pub(crate) const STEP: usize = 500;
/// Between two looks.
const PAUSE: Duration = Duration::from_mins(1);
/// Between two steps while there is more to forget: insertions go first.
const BREATH: Duration = Duration::from_millis(50);

/// Rows that somebody else forgets or uses just now are left alone.
macro_rules! delete {
    ($which:literal, $order:literal) => {
        concat!(
            "WITH gone AS (DELETE FROM idnow_webhooks_states WHERE position IN (\
             SELECT position FROM idnow_webhooks_states WHERE ",
            $which,
            " <= COALESCE($1::timestamptz, statement_timestamp()) - $2 * interval '1 microsecond' ORDER BY ",
            $order,
            " LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING position) \
             DELETE FROM idnow_webhooks_events AS event USING gone WHERE event.position = gone.position"
        )
    };
}

const COMPLETED: &str = delete!("state = 2 AND finished_at", "finished_at");
const ABANDONED: &str = delete!("state < 2 AND NOT queued AND due", "due");
const DEAD: &str = delete!("state = 3 AND finished_at", "finished_at");

impl Core {
    pub(crate) async fn purge(&self, purge: Purge) -> Result<usize, StoreError> {
        let steps: &[&'static str] = match purge.state {
            EventState::Completed => &[COMPLETED, ABANDONED],
            EventState::Dead => &[DEAD],
            EventState::Waiting | EventState::Running => return Ok(0),
        };
        let mut deleted = 0;
        for step in steps.iter().copied() {
            let room = purge.limit.saturating_sub(deleted);
            if room == 0 {
                break;
            }
            let delete = self.delete(step, purge.older_than, room);
            deleted += delete.await.map_err(|error| unavailable("forgetting events", &error))?;
        }
        Ok(deleted)
    }

    async fn delete(&self, step: &'static str, age: Duration, most: usize) -> Result<usize, sqlx::Error> {
        let mut work = Work::begin(&self.own, Alone::No).await?;
        let query = sqlx::query(step).bind(self.now()).bind(micros(age)).bind(limit(most));
        let deleted = query.execute(&mut *work).await?.rows_affected();
        work.commit().await?;
        Ok(usize::try_from(deleted).unwrap_or(usize::MAX))
    }
}

pub(crate) async fn run(core: Arc<Core>, retention: Retention) {
    let purge = Purge { state: EventState::Completed, older_than: retention.get(), limit: STEP };
    let keep = ParkLimits::default().keep;
    loop {
        let forgotten = within("forgetting events", LIMIT, core.purge(purge)).await;
        let forgotten = forgotten.inspect(|count| metrics::counter!(PURGED).increment(*count as u64));
        let dropped = within("dropping parked tokens", LIMIT, core.drop_parked(keep)).await;
        let dropped = dropped.inspect(|count| note_dropped(*count));
        let pause = match (forgotten, dropped) {
            (Ok(forgotten), Ok(dropped)) if forgotten < STEP && dropped < STEP as u64 => PAUSE,
            (Ok(_), Ok(_)) => BREATH,
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, "what is too old was not forgotten");
                PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

fn note_dropped(dropped: u64) {
    if dropped > 0 {
        tracing::warn!(dropped, "parked tokens were dropped, because nobody has admitted them within 7 days");
        metrics::counter!(PARKED, "result" => "dropped").increment(dropped);
    }
}
