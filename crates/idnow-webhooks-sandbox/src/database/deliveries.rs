//! Deliveries: read, and brought back.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};
use uuid::Uuid;

use super::attempts::{json, number};
use super::codes::Code as _;
use super::events::uuid;
use super::ids::row_of;
use super::unit::{Fault, Unit, Work};
use crate::clock::{Micros, time};
use crate::error::Error;
use crate::live::Change;
use crate::model::{DeadReason, Delivery, DeliveryFilter, DeliveryState, EventKind};

const COLUMNS: &str =
    "d.id, e.uuid, e.kind, s.uuid, p.uuid, d.state, d.attempts, d.next_at, d.dead_reason, d.created_at,
     d.finished_at";
const OF: &str =
    "deliveries d CROSS JOIN events e ON e.id = d.event CROSS JOIN sessions s ON s.id = e.session
     CROSS JOIN endpoints p ON p.id = d.endpoint";

pub(crate) async fn by_id(
    connection: &mut SqliteConnection,
    id: i64,
) -> Result<Option<Delivery>, sqlx::Error> {
    let query = format!("SELECT {COLUMNS} FROM {OF} WHERE d.id = ?1");
    let row = sqlx::query(sqlx::AssertSqlSafe(query)).bind(id).fetch_optional(connection).await?;
    row.as_ref().map(delivery).transpose()
}

/// At most `limit`, the newest first, of those before a row.
pub(crate) async fn list(
    connection: &mut SqliteConnection,
    filter: &DeliveryFilter,
    before: i64,
    limit: u32,
) -> Result<Vec<Delivery>, sqlx::Error> {
    let rows = list_query(filter, before, limit).build().fetch_all(connection).await?;
    rows.iter().map(delivery).collect()
}

/// The deliveries of an event follow one another, and the events of a session are chained; so neither needs an index.
fn list_query(filter: &DeliveryFilter, before: i64, limit: u32) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("");
    let of_events = filter.event_id.is_some() || filter.session_id.is_some();
    if let Some(session) = filter.session_id {
        query.push(
            "WITH RECURSIVE wanted (id, previous, first_delivery, deliveries) AS (
                 SELECT v.id, v.previous, v.first_delivery, v.deliveries
                 FROM sessions JOIN events v ON v.id = sessions.last_event WHERE sessions.id = ",
        );
        query.push_bind(row_of(session)).push(" AND sessions.uuid = ").push_bind(session.as_bytes().to_vec());
        query.push(
            " UNION ALL
                 SELECT v.id, v.previous, v.first_delivery, v.deliveries
                 FROM wanted CROSS JOIN events v ON v.id = wanted.previous) ",
        );
    } else if let Some(event) = filter.event_id {
        query.push("WITH wanted AS (SELECT first_delivery, deliveries FROM events WHERE id = ");
        query.push_bind(row_of(event)).push(" AND uuid = ").push_bind(event.as_bytes().to_vec()).push(") ");
    }
    query.push("SELECT ").push(COLUMNS).push(" FROM ");
    if of_events {
        query.push("wanted CROSS JOIN ");
    }
    query.push(OF).push(" WHERE d.id < ").push_bind(before);
    if of_events {
        query.push(" AND d.id >= wanted.first_delivery AND d.id < wanted.first_delivery + wanted.deliveries");
    }
    if let (Some(event), true) = (filter.event_id, filter.session_id.is_some()) {
        query.push(" AND e.id = ").push_bind(row_of(event));
        query.push(" AND e.uuid = ").push_bind(event.as_bytes().to_vec());
    }
    if let Some(endpoint) = filter.endpoint_id {
        query.push(" AND d.endpoint = (SELECT id FROM endpoints WHERE uuid = ");
        query.push_bind(endpoint.as_bytes().to_vec()).push(")");
    }
    if let Some(state) = filter.state {
        // As a number in the text: only so is it seen that an index of that state alone will do.
        query.push(" AND d.state = ").push(state.code());
    }
    query.push(" ORDER BY d.id DESC LIMIT ").push_bind(limit);
    query
}

fn delivery(row: &SqliteRow) -> Result<Delivery, sqlx::Error> {
    let perhaps = |column| row.try_get::<Option<Micros>, _>(column).map(|at| at.map(time));
    Ok(Delivery {
        id: row.try_get(0)?,
        event_id: uuid(row, 1)?,
        event_name: EventKind::decode(row.try_get(2)?)?.name().to_owned(),
        session_id: uuid(row, 3)?,
        endpoint_id: uuid(row, 4)?,
        state: DeliveryState::decode(row.try_get(5)?)?,
        attempts: number(row, 6)?,
        next_attempt_at: perhaps(7)?,
        dead_reason: row.try_get::<Option<i64>, _>(8)?.map(DeadReason::decode).transpose()?,
        created_at: time(row.try_get(9)?),
        finished_at: perhaps(10)?,
    })
}

const AGAIN: &str =
    "UPDATE deliveries SET state = 0, next_at = ?1, base = attempts, dead_reason = NULL, finished_at = NULL
     WHERE state = 3";

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
    let update = format!(
        "{AGAIN} AND id IN (SELECT value FROM json_each(?2))
         AND endpoint NOT IN (SELECT id FROM endpoints WHERE deleted_at IS NOT NULL) RETURNING id, endpoint"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(update)).bind(unit.now).bind(json(&ids)?);
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
        let update = format!(
            "{AGAIN} AND id IN (SELECT id FROM deliveries WHERE state = 3 AND endpoint = ?2 AND id > ?3 AND id < ?4
                                ORDER BY id LIMIT ?5) RETURNING id"
        );
        let rows = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(update))
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
        let done = sqlx::query(
            "UPDATE deliveries SET state = 4, next_at = NULL, finished_at = ?1
             WHERE id IN (SELECT d.id FROM endpoints p CROSS JOIN deliveries d ON d.endpoint = p.id
                          WHERE p.deleted_at IS NOT NULL AND d.state = 0 LIMIT ?2)",
        )
        .bind(unit.now)
        .bind(self.limit)
        .execute(&mut *unit.connection)
        .await?
        .rows_affected();
        if done > 0 {
            let count = i64::try_from(done).unwrap_or_default();
            unit.outcome.tally.moved(DeliveryState::Waiting, DeliveryState::EndpointDeleted, count);
            unit.tell(|| Change::Deliveries { endpoint_id: None });
        }
        Ok(done)
    }
}
