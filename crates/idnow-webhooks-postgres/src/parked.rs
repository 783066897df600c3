//! Parked tokens.

use std::time::Duration;

use idnow_webhooks_core::store::{Evidence, ParkLimits, ParkOutcome, ParkedToken, StoreError};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::core::Core;
use crate::error::unavailable;
use crate::key::Key;
use crate::operators::limit;
use crate::retention::STEP;
use crate::work::{Alone, Work, micros, text};

const IS_KNOWN: &str = "SELECT EXISTS (SELECT FROM idnow_webhooks_parked WHERE key = $1)";

const INSERT: &str = "
    INSERT INTO idnow_webhooks_parked (key, id, origin, issuer, audience, event_id, event_name, code, reason,
        is_expected_flow, received_at, stored_at, evidence_token, evidence_key)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, COALESCE($12::timestamptz, statement_timestamp()), $13, $14)
    ON CONFLICT (key) DO NOTHING RETURNING position";

/// By the time of the transaction, as [events are forgotten](crate::retention) in the same one.
const DROP_OLD: &str = "
    DELETE FROM idnow_webhooks_parked WHERE position IN (
        SELECT position FROM idnow_webhooks_parked
        WHERE stored_at <= COALESCE($1::timestamptz, now()) - $2 * interval '1 microsecond'
        ORDER BY stored_at LIMIT $3 FOR UPDATE SKIP LOCKED)";

const DROP_OF_AUDIENCE: &str = "
    DELETE FROM idnow_webhooks_parked WHERE position IN (
        SELECT position FROM idnow_webhooks_parked WHERE origin = $4 AND position <> $3
        ORDER BY is_expected_flow, position
        LIMIT LEAST($2, GREATEST(0, (SELECT count(*) FROM idnow_webhooks_parked WHERE origin = $4) - $1)))";

/// Counts only when there may be too many: to count all is to read an index from end to end.
const DROP_OF_ALL: &str = "
    DELETE FROM idnow_webhooks_parked WHERE position IN (
        SELECT position FROM idnow_webhooks_parked WHERE position <> $3 ORDER BY is_expected_flow, position
        LIMIT CASE
            WHEN (SELECT max(position) - min(position) FROM idnow_webhooks_parked) < $1 THEN 0
            ELSE LEAST($2, GREATEST(0, (SELECT count(*) FROM idnow_webhooks_parked) - $1))
        END)";

const LIST: &str = "
    SELECT position, key, id, issuer, audience, event_id, event_name, code, reason, is_expected_flow, received_at,
        evidence_token, evidence_key
    FROM idnow_webhooks_parked WHERE position > $1 ORDER BY position LIMIT $2";

impl Core {
    pub(crate) async fn park(
        &self,
        token: ParkedToken,
        limits: ParkLimits,
    ) -> Result<ParkOutcome, StoreError> {
        let parked = self.try_park(&token.bounded(), limits.within(self.retention)).await;
        parked.map_err(|error| unavailable("parking a token", &error))
    }

    async fn try_park(&self, token: &ParkedToken, limits: ParkLimits) -> Result<ParkOutcome, sqlx::Error> {
        let _one_at_a_time = self.parking.lock().await;
        let key = Key::new(&token.id);
        // Most are later attempts of the same event, and need not wait for other replicas.
        let mut single = Work::single(&self.own).await?;
        let known = sqlx::query(IS_KNOWN).bind(key.get()).fetch_one(&mut *single).await?.try_get(0)?;
        single.finish();
        if known {
            return Ok(ParkOutcome::Known);
        }
        let mut work = Work::begin(&self.own, self.park_lock()).await?;
        let mut dropped = self.drop_older(&mut work, limits.keep).await?;
        let origin = Key::of_pair(&token.issuer, &token.audience).get();
        let insert = sqlx::query(INSERT)
            .bind(key.get())
            .bind(key.text(&token.id).map(text))
            .bind(origin)
            .bind(text(&token.issuer))
            .bind(text(&token.audience))
            .bind(token.event_id.as_deref().map(text))
            .bind(token.event_name.as_deref().map(text))
            .bind(text(&token.code))
            .bind(text(&token.reason))
            .bind(token.is_expected_flow)
            .bind(token.received_at)
            .bind(self.now())
            .bind(&token.evidence.token)
            .bind(&token.evidence.key);
        let Some(inserted) = insert.fetch_optional(&mut *work).await? else {
            work.roll_back().await?;
            return Ok(ParkOutcome::Known);
        };
        let position: i64 = inserted.try_get("position")?;
        let of_audience = sqlx::query(DROP_OF_AUDIENCE)
            .bind(most(limits.per_audience))
            .bind(limit(STEP))
            .bind(position)
            .bind(origin);
        dropped += of_audience.execute(&mut *work).await?.rows_affected();
        let of_all = sqlx::query(DROP_OF_ALL).bind(most(limits.in_all)).bind(limit(STEP)).bind(position);
        dropped += of_all.execute(&mut *work).await?.rows_affected();
        work.commit().await?;
        Ok(ParkOutcome::New { dropped })
    }

    /// Drops the oldest of what was parked so long ago, at most [`STEP`].
    pub(crate) async fn drop_older(&self, work: &mut Work, keep: Duration) -> Result<u64, sqlx::Error> {
        let query = sqlx::query(DROP_OLD).bind(self.now()).bind(micros(keep)).bind(limit(STEP));
        Ok(query.execute(&mut **work).await?.rows_affected())
    }

    pub(crate) async fn parked(&self, after: i64, most: usize) -> Result<Vec<ParkedToken>, StoreError> {
        let parked = async {
            let mut work = Work::begin(&self.own, Alone::No).await?;
            let rows = sqlx::query(LIST).bind(after).bind(limit(most)).fetch_all(&mut *work).await?;
            work.roll_back().await?;
            rows.iter().map(token).collect::<Result<Vec<_>, sqlx::Error>>()
        };
        parked.await.map_err(|error| unavailable("listing parked tokens", &error))
    }

    pub(crate) async fn unpark(&self, id: &str) -> Result<bool, StoreError> {
        let unparked = async {
            let mut work = Work::begin(&self.own, Alone::No).await?;
            let query = sqlx::query("DELETE FROM idnow_webhooks_parked WHERE key = $1");
            let unparked = query.bind(Key::new(id).get()).execute(&mut *work).await?.rows_affected() > 0;
            work.commit().await?;
            Ok(unparked)
        };
        unparked.await.map_err(|error| unavailable("forgetting a parked token", &error))
    }
}

/// What was parked last stays.
fn most(tokens: usize) -> i64 {
    limit(tokens.max(1))
}

fn token(row: &PgRow) -> Result<ParkedToken, sqlx::Error> {
    let id = Key::id(row.try_get::<Uuid, _>("key")?, row.try_get("id")?);
    let evidence = Evidence::new(
        row.try_get::<String, _>("evidence_token")?,
        row.try_get::<Option<String>, _>("evidence_key")?,
    );
    Ok(ParkedToken {
        position: row.try_get("position")?,
        issuer: row.try_get("issuer")?,
        audience: row.try_get("audience")?,
        event_id: row.try_get("event_id")?,
        event_name: row.try_get("event_name")?,
        code: row.try_get("code")?,
        reason: row.try_get("reason")?,
        is_expected_flow: row.try_get("is_expected_flow")?,
        ..ParkedToken::new(id, evidence, row.try_get("received_at")?)
    })
}
