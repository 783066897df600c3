//! Deliveries are brought back, or ended with their endpoint.

use async_trait::async_trait;
use sqlx::Row as _;
use uuid::Uuid;

use super::deliveries::by_id;
use super::row::json;
use super::unit::{Fault, Unit, Work};
use crate::error::Error;
use crate::live::Change;
use crate::model::{Delivery, DeliveryState};

const AGAIN: &str =
    "UPDATE deliveries SET state = 0, next_at = ?1, base = attempts, dead_reason = NULL, finished_at = NULL
     WHERE state = 3";

pub(super) fn some_query() -> String {
    format!(
        "{AGAIN} AND id IN (SELECT id FROM deliveries WHERE state = 3 AND endpoint = ?2 AND id > ?3 AND id < ?4
                            ORDER BY id LIMIT ?5) RETURNING id"
    )
}

pub(super) fn named_query() -> String {
    format!(
        "{AGAIN} AND id IN (SELECT value FROM json_each(?2))
         AND endpoint NOT IN (SELECT id FROM endpoints WHERE deleted_at IS NOT NULL) RETURNING id, endpoint"
    )
}

pub(super) const SWEEP: &str = "UPDATE deliveries SET state = 4, next_at = NULL, finished_at = ?1
     WHERE id IN (SELECT d.id FROM endpoints p CROSS JOIN deliveries d ON d.endpoint = p.id
                  WHERE p.deleted_at IS NOT NULL AND d.state = 0 LIMIT ?2)";

/// Brings back one dead letter, which must be one.
#[derive(Debug)]
pub(crate) struct Retrigger(pub(crate) i64);

#[async_trait]
impl Work for Retrigger {
    type Output = Delivery;

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<Delivery, Fault> {
        let missing = || Error::not_found("delivery", self.0);
        let found = by_id(&mut *unit.connection, self.0).await?.ok_or_else(missing)?;
        if found.state != DeliveryState::Dead {
            let state = match found.state {
                DeliveryState::Waiting => "it waits for its next attempt",
                DeliveryState::Sending => "an attempt is under way",
                DeliveryState::Delivered => "it was delivered",
                DeliveryState::Dead | DeliveryState::EndpointDeleted => {
                    "it ended with its endpoint, which was deleted"
                }
            };
            return Err(Error::conflict(format!("only a dead letter can be retriggered: {state}")).into());
        }
        if unit.known.endpoint(found.endpoint_id).is_err() {
            return Err(Error::conflict("its endpoint was deleted").into());
        }
        again(unit, &[self.0]).await?;
        Ok(by_id(&mut *unit.connection, self.0).await?.ok_or_else(missing)?)
    }
}

/// Brings back those of these that are dead letters to endpoints that there are.
#[derive(Debug)]
pub(crate) struct RetriggerMany(pub(crate) Vec<i64>);

#[async_trait]
impl Work for RetriggerMany {
    type Output = u64;

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<u64, Fault> {
        Ok(again(unit, &self.0).await?)
    }
}

async fn again(unit: &mut Unit<'_>, ids: &[i64]) -> Result<u64, sqlx::Error> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(named_query())).bind(unit.now).bind(json(&ids)?);
    let rows = rows.fetch_all(&mut *unit.connection).await?;
    for row in &rows {
        let (id, endpoint) = (row.try_get(0)?, row.try_get(1)?);
        if let Some(endpoint) = unit.known.endpoints.at(endpoint).map(|endpoint| endpoint.id) {
            unit.wake(endpoint);
        }
        unit.tell(|| Change::Delivery { id });
    }
    let count = i64::try_from(rows.len()).unwrap_or_default();
    unit.outcome.tally.moved(DeliveryState::Dead, DeliveryState::Waiting, count);
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Brings back dead letters of an endpoint, at most so many, and says how many they were and what is left.
#[derive(Debug)]
pub(crate) struct RetriggerSome {
    pub(crate) endpoint: Uuid,
    pub(crate) limit: u32,
    /// None to begin with.
    pub(crate) rest: Option<Rest>,
}

/// The rows that have not been looked at: each is so once, however often what is brought back dies again. By the clock
/// that would not do, as it may have been set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rest {
    after: i64,
    before: i64,
}

#[async_trait]
impl Work for RetriggerSome {
    type Output = (u64, Rest);

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<(u64, Rest), Fault> {
        let (row, _) = unit.known.endpoint(self.endpoint)?;
        let mut rest = self.rest.unwrap_or(Rest { after: 0, before: unit.numbers.delivery });
        let rows = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(some_query()))
            .bind(unit.now)
            .bind(row)
            .bind(rest.after)
            .bind(rest.before)
            .bind(self.limit)
            .fetch_all(&mut *unit.connection)
            .await?;
        if let Some(last) = rows.iter().max() {
            rest.after = *last;
            let count = i64::try_from(rows.len()).unwrap_or_default();
            unit.outcome.tally.moved(DeliveryState::Dead, DeliveryState::Waiting, count);
            unit.wake(self.endpoint);
            unit.tell(|| Change::Deliveries { endpoint_id: Some(self.endpoint) });
        }
        Ok((u64::try_from(rows.len()).unwrap_or_default(), rest))
    }
}

/// Ends deliveries that wait for endpoints that were deleted, at most so many.
#[derive(Debug)]
pub(crate) struct Sweep {
    pub(crate) limit: u32,
}

#[async_trait]
impl Work for Sweep {
    type Output = u64;

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<u64, Fault> {
        let done = sqlx::query(SWEEP).bind(unit.now).bind(self.limit).execute(&mut *unit.connection);
        let done = done.await?.rows_affected();
        if done > 0 {
            let count = i64::try_from(done).unwrap_or_default();
            unit.outcome.tally.moved(DeliveryState::Waiting, DeliveryState::EndpointDeleted, count);
            unit.tell(|| Change::Deliveries { endpoint_id: None });
        }
        Ok(done)
    }
}
