//! Inline mode: remembering an event and taking the lease on it in one step.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use idnow_webhooks_core::store::{Beginning, Lease, NewEvent, StoreError};
use sqlx::{PgConnection, Row};

use crate::core::Core;
use crate::error::unavailable;
use crate::insert::{NO_STATE, NewRow};
use crate::operators::STATE;
use crate::work::{Alone, Work, micros};

const WHAT: &str = "beginning an event";

const INSERT: &str = "
    WITH new AS (
        INSERT INTO idnow_webhooks_events (key, event_id, name, session_id, data, evidence_token, evidence_key)
        VALUES ($3, $4, $5, $7, $9, $10, $11)
        ON CONFLICT (key) DO NOTHING
        RETURNING position
    )
    INSERT INTO idnow_webhooks_states (position, token, received_at, due, sequence, session, runs, state, queued)
    SELECT position, (random() * 2 ^ 62)::int8, now, now + $2 * interval '1 microsecond', $8, $6, 1, 1, false
    FROM new, (SELECT COALESCE($1::timestamptz, statement_timestamp())) AS clock (now)
    RETURNING token";

const LOCK: &str = "
    SELECT state.position, state.state, state.due, COALESCE($1::timestamptz, statement_timestamp())
    FROM idnow_webhooks_events AS event JOIN idnow_webhooks_states AS state ON state.position = event.position
    WHERE event.key = $2 FOR UPDATE OF state SKIP LOCKED";

const TAKE: &str = "
    UPDATE idnow_webhooks_states SET state = 1, runs = runs + 1, token = token + 1,
        due = $2::timestamptz + $3 * interval '1 microsecond',
        wake = CASE WHEN queued THEN $2::timestamptz + $3 * interval '1 microsecond' END
    WHERE position = $1
    RETURNING token";

impl Core {
    pub(crate) async fn begin(&self, event: NewEvent, lease: Duration) -> Result<Beginning, StoreError> {
        let (row, lease) = (NewRow::new(event), micros(lease));
        // An event that is there when it is to be inserted, and gone when it is read, was purged in between.
        for _ in 0..3 {
            let beginning = self.try_begin(&row, lease).await.map_err(|error| unavailable(WHAT, &error))?;
            if let Some(beginning) = beginning {
                if let Beginning::Run(lease) = &beginning {
                    self.open.leased(lease);
                }
                return Ok(beginning);
            }
        }
        Err(StoreError::unavailable(format!("{WHAT}: its row comes and goes, or {NO_STATE}")))
    }

    async fn try_begin(&self, row: &NewRow, lease: i64) -> Result<Option<Beginning>, sqlx::Error> {
        let mut work = Work::begin(&self.own, Alone::No).await?;
        let beginning = begin(&mut work, self.now(), row, lease).await?;
        work.commit().await?;
        Ok(beginning)
    }
}

async fn begin(
    connection: &mut PgConnection,
    now: Option<DateTime<Utc>>,
    row: &NewRow,
    lease: i64,
) -> Result<Option<Beginning>, sqlx::Error> {
    let event = &row.event;
    let (evidence_token, evidence_key) = row.evidence();
    let run =
        |token: i64| Beginning::Run(Lease::new(Arc::clone(&event.id), u64::try_from(token).unwrap_or(0)));
    let insert = sqlx::query(INSERT)
        .bind(now)
        .bind(lease)
        .bind(row.key.get())
        .bind(row.id())
        .bind(row.name.as_deref())
        .bind(row.session())
        .bind(row.session_id())
        .bind(row.sequence())
        .bind(event.data())
        .bind(evidence_token)
        .bind(evidence_key);
    if let Some(row) = insert.fetch_optional(&mut *connection).await? {
        return Ok(Some(run(row.try_get(0)?)));
    }
    let lock = sqlx::query(LOCK).bind(now).bind(row.key.get());
    let Some(found) = lock.fetch_optional(&mut *connection).await? else {
        // Somebody takes the event just now, or its handler's transaction is open although its lease ran out.
        let found = sqlx::query(STATE).bind(row.key.get()).fetch_optional(&mut *connection).await?;
        return found.map(|row| Ok(ended(row.try_get(0)?).unwrap_or(Beginning::Running))).transpose();
    };
    if let Some(ended) = ended(found.try_get(1)?) {
        return Ok(Some(ended));
    }
    let (due, now): (Option<DateTime<Utc>>, DateTime<Utc>) = (found.try_get(2)?, found.try_get(3)?);
    // The provider decides when to try again, so the time noted by `retry` does not hold it back.
    if found.try_get::<i16, _>(1)? == 1 && due.is_some_and(|until| until > now) {
        return Ok(Some(Beginning::Running));
    }
    let take = sqlx::query(TAKE).bind(found.try_get::<i64, _>(0)?).bind(now).bind(lease);
    let token = take.fetch_one(&mut *connection).await?.try_get(0)?;
    Ok(Some(run(token)))
}

fn ended(state: i16) -> Option<Beginning> {
    match state {
        2 => Some(Beginning::Completed),
        3 => Some(Beginning::Buried),
        _ => None,
    }
}
