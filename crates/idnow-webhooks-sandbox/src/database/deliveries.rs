//! Deliveries are read.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};

use super::attempts::{LAST_ANSWERED, NAMED, PAST, perhaps_past};
use super::codes::Code as _;
use super::ids::row_of;
use super::row::{number, uuid};
use crate::clock::{Micros, time};
use crate::model::{DeadReason, Delivery, DeliveryFilter, DeliveryState, EventKind};

const COLUMNS: &str =
    "d.id, e.uuid, e.kind, s.uuid, p.uuid, d.state, d.attempts, d.next_at, d.dead_reason, d.created_at,
     d.finished_at";
/// How many these are.
const OWN: usize = 11;
const OF: &str =
    "deliveries d CROSS JOIN events e ON e.id = d.event CROSS JOIN sessions s ON s.id = e.session
     CROSS JOIN endpoints p ON p.id = d.endpoint";

pub(super) fn one_query() -> String {
    format!("SELECT {COLUMNS}, {PAST} FROM {OF} {LAST_ANSWERED} {NAMED} WHERE d.id = ?1")
}

pub(crate) async fn by_id(
    connection: &mut SqliteConnection,
    id: i64,
) -> Result<Option<Delivery>, sqlx::Error> {
    let row = sqlx::query(sqlx::AssertSqlSafe(one_query())).bind(id).fetch_optional(connection).await?;
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
pub(super) fn list_query(filter: &DeliveryFilter, before: i64, limit: u32) -> QueryBuilder<Sqlite> {
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
    query.push("SELECT ").push(COLUMNS).push(", ").push(PAST).push(" FROM ");
    if of_events {
        query.push("wanted CROSS JOIN ");
    }
    for part in [OF, LAST_ANSWERED, NAMED] {
        query.push(part).push(" ");
    }
    query.push("WHERE d.id < ").push_bind(before);
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
        last_answered: perhaps_past(row, OWN)?.map(|past| past.attempt),
    })
}
