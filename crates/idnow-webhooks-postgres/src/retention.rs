//! Forgetting what is finished, and parked tokens that are too old, in small steps.

use std::sync::Arc;
use std::time::Duration;

use idnow_webhooks_core::store::{EventState, ParkLimits, Purge, StoreError};
use idnow_webhooks_core::telemetry::quietly;

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
            " <= COALESCE($1::timestamptz, now()) - $2 * interval '1 microsecond' ORDER BY ",
            $order,
            " LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING position) \
             DELETE FROM idnow_webhooks_events AS event USING gone WHERE event.position = gone.position"
        )
    };
}

const COMPLETED: &str = delete!("state = 2 AND finished_at", "finished_at");
const ABANDONED: &str = delete!("state < 2 AND NOT queued AND due", "due");
const DEAD: &str = delete!("state = 3 AND finished_at", "finished_at");

#[derive(Debug, Clone, Copy, Default)]
struct Forgotten {
    events: usize,
    parked: usize,
}

impl Forgotten {
    /// Whether there may be more parked tokens to drop. Until they are, no event is forgotten.
    fn has_more_parked(self) -> bool {
        self.parked >= STEP
    }
}

impl Core {
    pub(crate) async fn purge(&self, purge: Purge) -> Result<usize, StoreError> {
        loop {
            let forgotten = self.forget(purge, purge.older_than).await?;
            note_dropped(forgotten.parked);
            if !forgotten.has_more_parked() {
                return Ok(forgotten.events);
            }
        }
    }

    /// Forgets finished events; before completed ones, what was parked before them. `keep_parked` is no more than the age of
    /// the events.
    async fn forget(&self, purge: Purge, keep_parked: Duration) -> Result<Forgotten, StoreError> {
        let steps: &[&'static str] = match purge.state {
            EventState::Completed => &[COMPLETED, ABANDONED],
            EventState::Dead => &[DEAD],
            EventState::Waiting | EventState::Running => return Ok(Forgotten::default()),
        };
        let forgotten = async {
            let mut forgotten = Forgotten::default();
            let mut work = Work::begin(&self.own, Alone::No).await?;
            if purge.state == EventState::Completed {
                forgotten.parked = number(self.drop_older(&mut work, keep_parked).await?);
            }
            for step in steps.iter().copied() {
                let room = purge.limit.saturating_sub(forgotten.events);
                if room == 0 || forgotten.has_more_parked() {
                    break;
                }
                let query =
                    sqlx::query(step).bind(self.now()).bind(micros(purge.older_than)).bind(limit(room));
                forgotten.events += number(query.execute(&mut *work).await?.rows_affected());
            }
            work.commit().await?;
            Ok(forgotten)
        };
        forgotten.await.map_err(|error| unavailable("forgetting events", &error))
    }
}

fn number(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}

pub(crate) async fn run(core: Arc<Core>) {
    let purge = Purge { state: EventState::Completed, older_than: core.retention.get(), limit: STEP };
    let keep_parked = ParkLimits::default().within(core.retention).keep;
    loop {
        let pause = match within("forgetting events", LIMIT, core.forget(purge, keep_parked)).await {
            Ok(forgotten) => {
                quietly(|| metrics::counter!(PURGED).increment(forgotten.events as u64));
                note_dropped(forgotten.parked);
                if forgotten.events < STEP && !forgotten.has_more_parked() { PAUSE } else { BREATH }
            }
            Err(error) => {
                quietly(|| tracing::warn!(%error, "what is too old was not forgotten"));
                PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Logs and counts parked tokens that were dropped because of their age.
fn note_dropped(dropped: usize) {
    if dropped > 0 {
        quietly(|| metrics::counter!(PARKED, "result" => "dropped").increment(dropped as u64));
        quietly(|| {
            tracing::warn!(dropped, "parked tokens were dropped, because nobody has admitted them in time");
        });
    }
}
