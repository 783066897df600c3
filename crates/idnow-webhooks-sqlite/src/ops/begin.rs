use std::time::Duration;

use async_trait::async_trait;
use idnow_webhooks_core::store::{Beginning, Lease};
use sqlx::Row as _;

use super::{COMPLETED, DEAD, NewRow, micros, unsigned};
use crate::writer::{Unit, Work};

/// Inline mode: remembers an event and takes a lease on it.
pub(crate) struct Begin {
    pub(crate) row: NewRow,
    pub(crate) lease: Duration,
}

#[async_trait]
impl Work for Begin {
    type Output = Beginning;

    async fn run(&self, unit: &mut Unit<'_>) -> Result<Beginning, sqlx::Error> {
        let Self { row, lease } = self;
        let (key, token) = row.evidence();
        // The provider decides when to try again, so the time noted by `retry` does not hold it back.
        let leased = sqlx::query(
            "INSERT INTO idnow_webhooks_events (event_id, name, session, sequence, state, queued, runs, token, \
             received_at, due, evidence_key, evidence_token, data) \
             VALUES (?1, ?2, ?3, ?4, 1, 0, 1, ?5, ?5, ?6, ?7, ?8, ?9) \
             ON CONFLICT (event_id) DO UPDATE SET state = 1, runs = runs + 1, token = token + 1, due = ?6, \
             wake = CASE queued WHEN 1 THEN ?6 END WHERE state = 0 OR (state = 1 AND due <= ?5) \
             RETURNING token",
        )
        .bind(&row.id)
        .bind(row.name.as_deref())
        .bind(row.session.as_ref())
        .bind(row.sequence)
        .bind(unit.now)
        .bind(unit.now.saturating_add(micros(*lease)))
        .bind(key)
        .bind(token)
        .bind(&*row.data)
        .fetch_all(&mut *unit.connection)
        .await?;
        if let Some(leased) = leased.first() {
            return Ok(Beginning::Run(Lease::new(row.id.expand(), unsigned(leased.try_get(0)?))));
        }
        let state = sqlx::query("SELECT state FROM idnow_webhooks_events WHERE event_id = ?")
            .bind(&row.id)
            .fetch_one(&mut *unit.connection)
            .await?;
        Ok(match state.try_get(0)? {
            COMPLETED => Beginning::Completed,
            DEAD => Beginning::Buried,
            _ => Beginning::Running,
        })
    }
}
