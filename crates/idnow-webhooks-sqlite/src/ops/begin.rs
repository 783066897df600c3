use std::time::Duration;

use async_trait::async_trait;
use idnow_webhooks_core::store::{Beginning, Lease};
use sqlx::Row as _;

use super::append::{Entry, append};
use super::{COMPLETED, DEAD, NewRow, micros, unsigned};
use crate::unit::{Unit, Work};

/// Inline mode: remembers an event and takes a lease on it.
pub(crate) struct Begin {
    pub(crate) row: NewRow,
    pub(crate) lease: Duration,
}

// The provider decides when to try again, so the time noted by `retry` does not hold it back.
const AGAIN: &str = "UPDATE idnow_webhooks_events SET state = 1, runs = runs + 1, token = token + 1, due = ?3, \
    wake = CASE queued WHEN 1 THEN ?3 END \
    WHERE position = ?1 AND (state = 0 OR (state = 1 AND due <= ?2)) RETURNING token";

#[async_trait]
impl Work for Begin {
    type Output = Beginning;

    async fn run(&self, unit: &mut Unit<'_>) -> Result<Beginning, sqlx::Error> {
        let Self { row, lease } = self;
        let until = unit.now.saturating_add(micros(*lease));
        let entry = Entry::Inline { until };
        let leased = |token: i64| Ok(Beginning::Run(Lease::new(row.id.expand(), unsigned(token))));
        unit.recent.load(unit.connection).await?;
        if unit.recent.position(&row.id).is_none() && append(unit, &[row], entry).await? {
            return leased(unit.now);
        }
        let Some(position) = unit.locate(&row.id).await? else {
            // Forgotten by another process, or this one had to learn first where to append.
            unit.catch_up().await?;
            if append(unit, &[row], entry).await? {
                return leased(unit.now);
            }
            return Err(super::cannot_append());
        };
        let again = sqlx::query(AGAIN).bind(position).bind(unit.now).bind(until);
        if let Some(row) = again.fetch_all(&mut *unit.connection).await?.first() {
            return leased(row.try_get(0)?);
        }
        let sql = "SELECT state FROM idnow_webhooks_events WHERE position = ?";
        let state = sqlx::query(sql).bind(position).fetch_one(&mut *unit.connection).await?;
        Ok(match state.try_get(0)? {
            COMPLETED => Beginning::Completed,
            DEAD => Beginning::Buried,
            _ => Beginning::Running,
        })
    }
}
