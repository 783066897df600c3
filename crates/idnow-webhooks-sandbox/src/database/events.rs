//! Events: made with their deliveries, and read.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use uuid::Uuid;

use super::codes::Code as _;
use super::ids::{id_of, row_of};
use super::row::{json, last_step, number, uuid};
use super::unit::{Numbers, Unit};
use crate::clock::time;
use crate::live::Change;
use crate::model::{DeliveryState, Event, EventKind, LastStep, SessionStatus};

/// An event to be made.
#[derive(Debug)]
pub(super) struct NewEvent<'a> {
    pub(super) row: i64,
    pub(super) kind: EventKind,
    pub(super) sequence: u64,
    /// The row of the event before it in its session.
    pub(super) previous: Option<i64>,
    pub(super) session: i64,
    pub(super) flow: Uuid,
    pub(super) environment: &'a str,
    pub(super) status: SessionStatus,
    pub(super) last_step: Option<&'a LastStep>,
}

/// Makes events, and a delivery to each endpoint that is to get them. Their sessions are written in the same transaction.
pub(super) async fn emit(unit: &mut Unit<'_>, new: &[NewEvent<'_>]) -> Result<(), sqlx::Error> {
    if new.is_empty() {
        return Ok(());
    }
    let (mut events, mut deliveries) = (Vec::with_capacity(new.len()), Vec::new());
    let mut woken = Vec::new();
    for event in new {
        let first = unit.numbers.delivery;
        for (row, endpoint) in unit.known.endpoints_of(event.flow, event.environment) {
            let wanted = endpoint.events.is_empty() || endpoint.events.contains(event.kind.name());
            if endpoint.enabled && wanted {
                deliveries.push((Numbers::next(&mut unit.numbers.delivery), event.row, row));
                if !woken.contains(&endpoint.id) {
                    woken.push(endpoint.id);
                }
            }
        }
        let last_step = event.last_step.map(json).transpose()?;
        events.push((
            event.row,
            id_of(event.row).simple().to_string(),
            event.session,
            event.previous,
            event.kind.code(),
            event.sequence,
            event.status.code(),
            last_step,
            first,
            unit.numbers.delivery - first,
        ));
    }
    sqlx::query(
        "INSERT INTO events (id, uuid, session, previous, kind, sequence, status, last_step, first_delivery, deliveries,
                             occurred_at)
         SELECT value ->> 0, unhex(value ->> 1), value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
                value ->> 7, value ->> 8, value ->> 9, ?2
         FROM json_each(?1)",
    )
    .bind(json(&events)?)
    .bind(unit.now)
    .execute(&mut *unit.connection)
    .await?;
    if deliveries.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO deliveries (id, event, endpoint, state, attempts, base, next_at, created_at)
         SELECT value ->> 0, value ->> 1, value ->> 2, 0, 0, 0, ?2, ?2 FROM json_each(?1)",
    )
    .bind(json(&deliveries)?)
    .bind(unit.now)
    .execute(&mut *unit.connection)
    .await?;
    unit.outcome
        .tally
        .deliveries(DeliveryState::Waiting, i64::try_from(deliveries.len()).unwrap_or_default());
    for (id, _, _) in deliveries {
        unit.tell(|| Change::Delivery { id });
    }
    for endpoint in woken {
        unit.wake(endpoint);
    }
    Ok(())
}

const COLUMNS: &str =
    "e.id, e.uuid, e.kind, e.sequence, s.uuid, f.uuid, s.environment, e.status, e.last_step, e.occurred_at
     FROM events e CROSS JOIN sessions s ON s.id = e.session CROSS JOIN flows f ON f.id = s.flow";

pub(crate) async fn by_id(connection: &mut SqliteConnection, id: Uuid) -> Result<Option<Event>, sqlx::Error> {
    let query = format!("SELECT {COLUMNS} WHERE e.id = ?1 AND e.uuid = ?2");
    let row = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(row_of(id))
        .bind(id.as_bytes().as_slice())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(event).transpose()
}

pub(crate) async fn of_delivery(
    connection: &mut SqliteConnection,
    delivery: i64,
) -> Result<Option<Event>, sqlx::Error> {
    let query = format!("SELECT {COLUMNS} WHERE e.id = (SELECT event FROM deliveries WHERE id = ?1)");
    let row = sqlx::query(sqlx::AssertSqlSafe(query)).bind(delivery).fetch_optional(connection).await?;
    row.as_ref().map(event).transpose()
}

/// At most `limit` with their rows, the newest first, of those before a row: of a session, or of all.
pub(crate) async fn list(
    connection: &mut SqliteConnection,
    session: Option<i64>,
    before: i64,
    limit: u32,
) -> Result<Vec<(i64, Event)>, sqlx::Error> {
    let query = match session {
        None => format!("SELECT {COLUMNS} WHERE e.id < ?1 ORDER BY e.id DESC LIMIT ?2"),
        Some(_) => format!(
            "WITH RECURSIVE chain (id) AS (
                 SELECT last_event FROM sessions WHERE id = ?3
                 UNION ALL SELECT previous FROM chain CROSS JOIN events ON events.id = chain.id WHERE previous IS NOT NULL)
             SELECT {COLUMNS} WHERE e.id IN (SELECT id FROM chain) AND e.id < ?1 ORDER BY e.id DESC LIMIT ?2"
        ),
    };
    let rows = sqlx::query(sqlx::AssertSqlSafe(query)).bind(before).bind(limit).bind(session);
    let rows = rows.fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, event(row)?))).collect()
}

fn event(row: &SqliteRow) -> Result<Event, sqlx::Error> {
    Ok(Event {
        id: uuid(row, 1)?,
        name: EventKind::decode(row.try_get(2)?)?,
        sequence: number(row, 3)?,
        session_id: uuid(row, 4)?,
        flow_id: uuid(row, 5)?,
        environment: row.try_get(6)?,
        session_status: SessionStatus::decode(row.try_get(7)?)?,
        last_step: last_step(row, 8)?,
        occurred_at: time(row.try_get(9)?),
    })
}
