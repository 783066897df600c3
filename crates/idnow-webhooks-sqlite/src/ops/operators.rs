use async_trait::async_trait;
use idnow_webhooks_core::store::{EventState, Replay};
use sqlx::Row as _;

use super::read::state;
use crate::compact::Compact;
use crate::writer::{Unit, Work};

/// The most rows that are forgotten or replayed in one transaction: insertions wait for it.
pub(crate) const STEP: usize = 200;

/// Makes one event due now.
pub(crate) struct ReplayOne(pub(crate) Compact);

#[async_trait]
impl Work for ReplayOne {
    type Output = Replay;

    async fn run(&self, unit: &mut Unit<'_>) -> Result<Replay, sqlx::Error> {
        let sql = "UPDATE idnow_webhooks_events SET state = 0, queued = 1, runs = 0, due = ?1, wake = ?1, \
                   finished_at = NULL WHERE event_id = ?2 AND state IN (0, 3)";
        let replayed = sqlx::query(sql).bind(unit.now).bind(&self.0).execute(&mut *unit.connection).await?;
        if replayed.rows_affected() > 0 {
            unit.news = true;
            return Ok(Replay::Queued);
        }
        let sql = "SELECT state FROM idnow_webhooks_events WHERE event_id = ?";
        let row = sqlx::query(sql).bind(&self.0).fetch_optional(&mut *unit.connection).await?;
        row.map_or(Ok(Replay::Unknown), |row| Ok(Replay::Refused(state(row.try_get(0)?)?)))
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

/// Forgets the oldest finished events, at most [`STEP`].
pub(crate) struct Forget {
    pub(crate) state: EventState,
    /// In microseconds.
    pub(crate) older_than: i64,
    pub(crate) limit: usize,
}

const FORGET_COMPLETED: &str = "DELETE FROM idnow_webhooks_events WHERE position IN ( \
    SELECT position FROM idnow_webhooks_events INDEXED BY idnow_webhooks_completed \
    WHERE state = 2 AND finished_at <= ?1 ORDER BY finished_at LIMIT ?2)";

// What is due was received earlier, and only that is in the index.
const FORGET_ABANDONED: &str = "DELETE FROM idnow_webhooks_events WHERE position IN ( \
    SELECT position FROM idnow_webhooks_events INDEXED BY idnow_webhooks_open \
    WHERE state < 2 AND wake IS NULL AND state IN (0, 1) AND received_at <= ?1 AND queued = 0 AND due <= ?1 \
    LIMIT ?2)";

const FORGET_DEAD: &str = "DELETE FROM idnow_webhooks_events WHERE position IN ( \
    SELECT position FROM idnow_webhooks_events INDEXED BY idnow_webhooks_dead \
    WHERE state = 3 AND finished_at <= ?1 ORDER BY finished_at, position LIMIT ?2)";

#[async_trait]
impl Work for Forget {
    type Output = usize;

    async fn run(&self, unit: &mut Unit<'_>) -> Result<usize, sqlx::Error> {
        let statements: &[&'static str] = match self.state {
            EventState::Completed => &[FORGET_COMPLETED, FORGET_ABANDONED],
            EventState::Dead => &[FORGET_DEAD],
            EventState::Waiting | EventState::Running => &[],
        };
        let before = unit.now.saturating_sub(self.older_than);
        let mut forgotten = 0;
        for sql in statements {
            let rest = limit(self.limit.saturating_sub(forgotten));
            let query = sqlx::query(*sql).bind(before).bind(rest);
            let rows = query.execute(&mut *unit.connection).await?.rows_affected();
            forgotten = forgotten.saturating_add(usize::try_from(rows).unwrap_or(usize::MAX));
        }
        Ok(forgotten)
    }
}

fn limit(rows: usize) -> i64 {
    i64::try_from(rows.min(STEP)).unwrap_or(i64::MAX)
}
