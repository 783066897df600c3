use async_trait::async_trait;
use sqlx::Row as _;

use super::signed;
use crate::compact::Compact;
use crate::unit::{Unit, Work};

/// What becomes of a lease. Times are microseconds since the epoch, or from now.
#[derive(Debug)]
pub(crate) enum Settlement {
    /// Without effect if it was completed under this very lease before, like the next one.
    Extend {
        lasts: i64,
    },
    Complete,
    CompleteRunning,
    Retry {
        wait: i64,
        error: String,
    },
    Release,
    Bury {
        error: String,
    },
}

/// Ends or extends a lease; `false` if it was lost.
#[derive(Debug)]
pub(crate) struct Settle {
    pub(crate) id: Compact,
    pub(crate) token: u64,
    pub(crate) settlement: Settlement,
}

#[async_trait]
impl Work for Settle {
    type Output = bool;

    async fn run(&self, unit: &mut Unit<'_>) -> Result<bool, sqlx::Error> {
        let known = unit.recent.position(&self.id);
        if self.settle(unit, known).await? {
            return Ok(true);
        }
        // That was to be expected only of an event that another process has inserted.
        let found = unit.locate(&self.id).await?;
        if found.is_some() && found != known && self.settle(unit, found).await? {
            return Ok(true);
        }
        match self.settlement {
            Settlement::Complete | Settlement::Extend { .. } => self.was_completed(unit).await,
            _ => Ok(false),
        }
    }
}

impl Settle {
    /// Without a position, the event is looked up in the table of ids.
    async fn settle(&self, unit: &mut Unit<'_>, position: Option<i64>) -> Result<bool, sqlx::Error> {
        let (sql, time, error) = match &self.settlement {
            Settlement::Extend { lasts } => (EXTEND, unit.now.saturating_add(*lasts), None),
            Settlement::Complete | Settlement::CompleteRunning => (COMPLETE, unit.now, None),
            Settlement::Retry { wait, error } => (RETRY, unit.now.saturating_add(*wait), Some(&**error)),
            Settlement::Release => (RELEASE, unit.now, None),
            Settlement::Bury { error } => (BURY, unit.now, Some(&**error)),
        };
        let query = sqlx::query(sql).bind(&self.id).bind(signed(self.token)).bind(time).bind(unit.now);
        let rows = query.bind(error).bind(position).fetch_all(&mut *unit.connection).await?;
        let mut held = false;
        for row in rows {
            // One row for the event itself, and one for that of its session which may run now.
            let woken: bool = row.try_get(0)?;
            held |= !woken;
            unit.news |= woken;
        }
        unit.news |= held && matches!(self.settlement, Settlement::Release);
        Ok(held)
    }

    /// Under this very lease.
    pub(crate) async fn was_completed(&self, unit: &mut Unit<'_>) -> Result<bool, sqlx::Error> {
        let Some(position) = unit.locate(&self.id).await? else { return Ok(false) };
        let sql = "SELECT 1 FROM idnow_webhooks_events WHERE position = ? AND token = ? AND state = 2";
        let query = sqlx::query(sql).bind(position).bind(signed(self.token));
        Ok(query.fetch_optional(&mut *unit.connection).await?.is_some())
    }
}

macro_rules! position {
    () => {
        "coalesce(?6, (SELECT position FROM idnow_webhooks_ids WHERE event_id = ?1))"
    };
}

// Two statements in one trip to the connection's thread: the second looks at the first event of the session, which is
// the only one that can run next. Its own lease may have run out while it was held back by another one's. One that
// never ran is due whatever the clock says: it may have been set back. New ones are looked at anyway.
macro_rules! settle {
    ($set:literal, then $wake:literal if $when:literal) => {
        concat!(
            "UPDATE idnow_webhooks_events SET ",
            $set,
            " WHERE position = ",
            position!(),
            " AND event_id = ?1 AND token = ?2 AND state = 1 RETURNING 0; \
             UPDATE idnow_webhooks_events SET wake = ",
            $wake,
            " WHERE position = ( \
             SELECT position FROM idnow_webhooks_events INDEXED BY idnow_webhooks_open_sessions \
             WHERE session = (SELECT session FROM idnow_webhooks_events WHERE position = ",
            position!(),
            " AND event_id = ?1) AND session IS NOT NULL AND wake > 0 \
             ORDER BY sequence, position LIMIT 1) AND ",
            $when,
            " RETURNING 1"
        )
    };
    ($set:literal) => {
        settle!($set, then "CASE runs WHEN 0 THEN min(due, ?4) ELSE due END" if "wake <> due")
    };
}

// Those that it holds back wait for its end as it was. That can have come nearer.
const EXTEND: &str = settle!(
    "due = ?3, wake = CASE queued WHEN 1 THEN ?3 END",
    then "max(due, ?3)" if "wake > max(due, ?3)"
);
const COMPLETE: &str = settle!("state = 2, due = NULL, wake = NULL, finished_at = ?4, error = NULL");
// An event that is handled inline is the provider's to try again, at once if it likes.
const RETRY: &str = settle!(
    "state = 0, due = CASE queued WHEN 1 THEN ?3 ELSE ?4 END, wake = CASE queued WHEN 1 THEN ?3 END, error = ?5"
);
const RELEASE: &str =
    settle!("state = 0, runs = max(runs - 1, 0), due = ?4, wake = CASE queued WHEN 1 THEN ?4 END");
const BURY: &str = settle!("state = 3, due = NULL, wake = NULL, finished_at = ?4, error = ?5");
