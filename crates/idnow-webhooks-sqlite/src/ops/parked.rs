//! Parked tokens.

use async_trait::async_trait;
use idnow_webhooks_core::store::{Evidence, ParkLimits, ParkOutcome, ParkedToken};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::operators::limit;
use super::read::time;
use super::{STEP, micros};
use crate::unit::{Unit, Work};

const IS_KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM idnow_webhooks_parked WHERE id = ?)";

const INSERT: &str = "INSERT INTO idnow_webhooks_parked (id, issuer, audience, event_id, event_name, code, reason, \
    is_expected_flow, received_at, stored_at, evidence_token, evidence_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

const DROP_OLD: &str = "DELETE FROM idnow_webhooks_parked WHERE position IN (SELECT position \
    FROM idnow_webhooks_parked INDEXED BY idnow_webhooks_parked_stored_at WHERE stored_at <= ?1 \
    ORDER BY stored_at LIMIT ?2)";

const DROP_OF_AUDIENCE: &str = "DELETE FROM idnow_webhooks_parked WHERE position IN (SELECT position \
    FROM idnow_webhooks_parked INDEXED BY idnow_webhooks_parked_origin \
    WHERE issuer = ?4 AND audience = ?5 AND position <> ?3 ORDER BY is_expected_flow, position LIMIT min(?2, max(0, (SELECT count(*) FROM idnow_webhooks_parked \
    INDEXED BY idnow_webhooks_parked_origin WHERE issuer = ?4 AND audience = ?5) - ?1)))";

// SQLite counts all rows by the pages of the smallest index.
const DROP_OF_ALL: &str = "DELETE FROM idnow_webhooks_parked WHERE position IN (SELECT position \
    FROM idnow_webhooks_parked INDEXED BY idnow_webhooks_parked_rank \
    WHERE position <> ?3 ORDER BY is_expected_flow, position \
    LIMIT min(?2, max(0, (SELECT count(*) FROM idnow_webhooks_parked) - ?1)))";

pub(crate) struct Park {
    /// [Bounded](ParkedToken::bounded).
    pub(crate) token: ParkedToken,
    pub(crate) limits: ParkLimits,
}

#[async_trait]
impl Work for Park {
    type Output = ParkOutcome;

    async fn run(&self, unit: &mut Unit<'_>) -> Result<ParkOutcome, sqlx::Error> {
        let Self { token, limits } = self;
        let known = sqlx::query(IS_KNOWN).bind(&token.id).fetch_one(&mut *unit.connection).await?;
        if known.try_get(0)? {
            return Ok(ParkOutcome::Known);
        }
        let mut dropped = drop_older(unit, micros(limits.keep)).await?;
        let inserted = sqlx::query(INSERT)
            .bind(&token.id)
            .bind(&token.issuer)
            .bind(&token.audience)
            .bind(&token.event_id)
            .bind(&token.event_name)
            .bind(&token.code)
            .bind(&token.reason)
            .bind(token.is_expected_flow)
            .bind(token.received_at.timestamp_micros())
            .bind(unit.now)
            .bind(&token.evidence.token)
            .bind(&token.evidence.key)
            .execute(&mut *unit.connection)
            .await?;
        let position = inserted.last_insert_rowid();
        let of_audience = sqlx::query(DROP_OF_AUDIENCE)
            .bind(most(limits.per_audience))
            .bind(limit(STEP))
            .bind(position)
            .bind(&token.issuer)
            .bind(&token.audience);
        dropped += of_audience.execute(&mut *unit.connection).await?.rows_affected();
        let of_all = sqlx::query(DROP_OF_ALL).bind(most(limits.in_all)).bind(limit(STEP)).bind(position);
        dropped += of_all.execute(&mut *unit.connection).await?.rows_affected();
        Ok(ParkOutcome::New { dropped })
    }
}

/// What was parked last stays.
fn most(tokens: usize) -> i64 {
    i64::try_from(tokens.max(1)).unwrap_or(i64::MAX)
}

/// Drops the oldest of what is too old, at most [`STEP`].
pub(super) async fn drop_older(unit: &mut Unit<'_>, keep: i64) -> Result<u64, sqlx::Error> {
    let query = sqlx::query(DROP_OLD).bind(unit.now.saturating_sub(keep)).bind(limit(STEP));
    Ok(query.execute(&mut *unit.connection).await?.rows_affected())
}

pub(crate) struct Unpark(pub(crate) String);

#[async_trait]
impl Work for Unpark {
    type Output = bool;

    async fn run(&self, unit: &mut Unit<'_>) -> Result<bool, sqlx::Error> {
        let query = sqlx::query("DELETE FROM idnow_webhooks_parked WHERE id = ?").bind(&self.0);
        Ok(query.execute(&mut *unit.connection).await?.rows_affected() > 0)
    }
}

pub(crate) async fn parked(
    connection: &mut SqliteConnection,
    after: i64,
    limit: usize,
) -> Result<Vec<ParkedToken>, sqlx::Error> {
    let sql = "SELECT position, id, issuer, audience, event_id, event_name, code, reason, \
               is_expected_flow, received_at, evidence_token, evidence_key FROM idnow_webhooks_parked WHERE position > ? ORDER BY position LIMIT ?";
    let query = sqlx::query(sql).bind(after).bind(i64::try_from(limit).unwrap_or(i64::MAX));
    query.fetch_all(connection).await?.iter().map(token).collect()
}

fn token(row: &SqliteRow) -> Result<ParkedToken, sqlx::Error> {
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
        ..ParkedToken::new(row.try_get::<String, _>("id")?, evidence, time(row.try_get("received_at")?))
    })
}
