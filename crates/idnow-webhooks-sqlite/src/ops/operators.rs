use async_trait::async_trait;
use idnow_webhooks_core::store::{EventState, Replay};
use sqlx::Row as _;

use super::parked::drop_older;
use super::read::state;
use crate::compact::Compact;
use crate::json;
use crate::unit::{Unit, Work};

/// The most rows that are forgotten or replayed in one transaction: insertions wait for it.
pub(crate) const STEP: usize = 200;

/// Makes one event due now.
pub(crate) struct ReplayOne(pub(crate) Compact);

#[async_trait]
impl Work for ReplayOne {
    type Output = Replay;

    async fn run(&self, unit: &mut Unit<'_>) -> Result<Replay, sqlx::Error> {
        let Some(position) = unit.locate(&self.0).await? else { return Ok(Replay::Unknown) };
        let sql = "UPDATE idnow_webhooks_events SET state = 0, queued = 1, runs = 0, due = ?1, wake = ?1, \
                   finished_at = NULL WHERE position = ?2 AND state IN (0, 3)";
        let replayed = sqlx::query(sql).bind(unit.now).bind(position).execute(&mut *unit.connection).await?;
        if replayed.rows_affected() > 0 {
            unit.news = true;
            return Ok(Replay::Queued);
        }
        let sql = "SELECT state FROM idnow_webhooks_events WHERE position = ?";
        let row = sqlx::query(sql).bind(position).fetch_one(&mut *unit.connection).await?;
        Ok(Replay::Refused(state(row.try_get(0)?)?))
    }
}

/// Makes the oldest dead letters due now, at most [`STEP`].
pub(crate) struct ReplayDead(pub(crate) usize);

#[async_trait]
impl Work for ReplayDead {
    type Output = usize;

    async fn run(&self, unit: &mut Unit<'_>) -> Result<usize, sqlx::Error> {
        let sql = "UPDATE idnow_webhooks_events SET state = 0, queued = 1, runs = 0, due = ?1, wake = ?1, \
                   finished_at = NULL WHERE position IN (SELECT position FROM idnow_webhooks_events \
                   INDEXED BY idnow_webhooks_dead WHERE state = 3 ORDER BY position LIMIT ?2)";
        let query = sqlx::query(sql).bind(unit.now).bind(limit(self.0));
        let replayed = query.execute(&mut *unit.connection).await?.rows_affected();
        unit.news |= replayed > 0;
        Ok(usize::try_from(replayed).unwrap_or(usize::MAX))
    }
}

/// Changes nothing that matters, in the way in which everything else is changed.
pub(crate) struct Check;

#[async_trait]
impl Work for Check {
    type Output = ();

    async fn run(&self, unit: &mut Unit<'_>) -> Result<(), sqlx::Error> {
        // To and fro: SQLite would write nothing if a row stayed as it is, and so not notice a full disk.
        let query = sqlx::query("UPDATE idnow_webhooks_schema SET rowid = 1 - rowid");
        query.execute(&mut *unit.connection).await.map(drop)
    }
}

/// Forgets the oldest finished events, at most [`STEP`]; before completed ones, what was parked before them.
pub(crate) struct Forget {
    pub(crate) state: EventState,
    /// In microseconds.
    pub(crate) older_than: i64,
    /// The same for parked tokens: no more than that.
    pub(crate) parked_older_than: i64,
    pub(crate) limit: usize,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Forgotten {
    pub(crate) events: usize,
    pub(crate) parked: usize,
}

impl Forgotten {
    /// Whether there may be more parked tokens to drop. Until they are, no event is forgotten.
    pub(crate) fn has_more_parked(self) -> bool {
        self.parked >= STEP
    }
}

const OLD_COMPLETED: &str = "SELECT position FROM idnow_webhooks_events INDEXED BY idnow_webhooks_completed \
    WHERE state = 2 AND finished_at <= ?1 ORDER BY finished_at LIMIT ?2";

// What is due was received earlier, and only that is in the index.
const OLD_ABANDONED: &str = "SELECT position FROM idnow_webhooks_events INDEXED BY idnow_webhooks_open \
    WHERE state < 2 AND wake IS NULL AND state IN (0, 1) AND received_at <= ?1 AND queued = 0 AND due <= ?1 \
    LIMIT ?2";

const OLD_DEAD: &str = "SELECT position FROM idnow_webhooks_events INDEXED BY idnow_webhooks_dead \
    WHERE state = 3 AND finished_at <= ?1 ORDER BY finished_at, position LIMIT ?2";

// The floor first, while the rows are there. Memory may keep their ids: it is not believed without looking.
const FORGET: &str = "UPDATE idnow_webhooks_recent SET floor = (SELECT max(position) FROM idnow_webhooks_events) \
    WHERE floor < (SELECT max(value) FROM json_each(?1)); \
    DELETE FROM idnow_webhooks_ids WHERE event_id IN (SELECT event_id FROM idnow_webhooks_events \
    WHERE position IN (SELECT value FROM json_each(?1))); \
    DELETE FROM idnow_webhooks_events WHERE position IN (SELECT value FROM json_each(?1))";

#[async_trait]
impl Work for Forget {
    type Output = Forgotten;

    async fn run(&self, unit: &mut Unit<'_>) -> Result<Forgotten, sqlx::Error> {
        let mut forgotten = Forgotten::default();
        if self.state == EventState::Completed {
            let dropped = drop_older(unit, self.parked_older_than).await?;
            forgotten.parked = usize::try_from(dropped).unwrap_or(usize::MAX);
            if forgotten.has_more_parked() {
                return Ok(forgotten);
            }
        }
        let statements: &[&'static str] = match self.state {
            EventState::Completed => &[OLD_COMPLETED, OLD_ABANDONED],
            EventState::Dead => &[OLD_DEAD],
            EventState::Waiting | EventState::Running => &[],
        };
        let before = unit.now.saturating_sub(self.older_than);
        let mut old = Vec::new();
        for sql in statements {
            let rest = limit(self.limit.saturating_sub(old.len()));
            let rows = sqlx::query(*sql).bind(before).bind(rest).fetch_all(&mut *unit.connection).await?;
            for row in rows {
                old.push(row.try_get::<i64, _>(0)?);
            }
        }
        if !old.is_empty() {
            sqlx::query(FORGET).bind(json::array(&old)).execute(&mut *unit.connection).await?;
            // The floor may be another by now.
            unit.up_to_date = false;
        }
        forgotten.events = old.len();
        Ok(forgotten)
    }
}

pub(crate) fn limit(rows: usize) -> i64 {
    i64::try_from(rows.min(STEP)).unwrap_or(i64::MAX)
}
