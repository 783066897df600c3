//! What is due is taken.

use std::sync::Arc;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::{Taking, Terms};
use crate::clock::{Micros, time};
use crate::database::codes::Code;
use crate::database::row::{json, last_step, number, uuid};
use crate::database::taken::{Due, Loose, Taken};
use crate::database::unit::{Fault, Unit};
use crate::error::Error;
use crate::live::Change;
use crate::model::{DeliveryState, Endpoint, Event};
use crate::rules::retry::{furthest, is_due};

/// What waits, the longest due first.
pub(in crate::database) const WAITING: &str =
    "SELECT d.id, d.attempts, d.base, d.next_at, e.uuid, e.kind, e.sequence, e.status, e.last_step, e.occurred_at,
            s.uuid
     FROM deliveries d CROSS JOIN events e ON e.id = d.event CROSS JOIN sessions s ON s.id = e.session
     WHERE d.state = 0 AND d.endpoint = ?1 ORDER BY d.next_at LIMIT ?2";

/// What waits beyond a time, in the same order, without the first so many.
pub(in crate::database) const BEYOND: &str =
    "SELECT d.id, d.attempts, d.base, d.next_at, e.uuid, e.kind, e.sequence, e.status, e.last_step, e.occurred_at,
            s.uuid
     FROM deliveries d CROSS JOIN events e ON e.id = d.event CROSS JOIN sessions s ON s.id = e.session
     WHERE d.state = 0 AND d.endpoint = ?1 AND d.next_at > ?3 ORDER BY d.next_at LIMIT ?2 OFFSET ?4";

pub(in crate::database) const BEGIN: &str =
    "UPDATE deliveries SET state = 1, next_at = NULL, attempts = attempts + 1, started_at = ?2, key = ?3, issuer = ?4,
         url = (SELECT url FROM endpoints WHERE endpoints.id = deliveries.endpoint)
     WHERE id IN (SELECT value FROM json_each(?1))";

pub(in crate::database) const PUT_OFF: &str =
    "UPDATE deliveries SET next_at = ?2 WHERE id IN (SELECT value FROM json_each(?1))";

/// Begins attempts. What each caller gets is as it was asked for, in the same order.
pub(in crate::database) async fn take(
    unit: &mut Unit<'_>,
    takings: &[Taking],
    terms: &Terms,
) -> Result<Vec<Result<Taken, Error>>, sqlx::Error> {
    let mut all = Vec::with_capacity(takings.len());
    let (mut begun, mut already) = (Vec::new(), Vec::new());
    for taking in takings {
        let taken = match find(unit, taking, &already, terms).await {
            Ok(taken) => taken,
            Err(Fault::Refused(error)) => {
                all.push(Err(error));
                continue;
            }
            Err(Fault::Database(error)) => return Err(error),
        };
        already.push(taking.endpoint);
        begun.extend(taken.due.iter().map(|due| due.delivery));
        all.push(Ok(taken));
    }
    if begun.is_empty() {
        return Ok(all);
    }
    let key = unit.known.active_key().map_or(0, |key| key.row);
    let query = sqlx::query(BEGIN).bind(json(&begun)?).bind(unit.now).bind(key).bind(terms.issuer);
    query.execute(&mut *unit.connection).await?;
    let count = i64::try_from(begun.len()).unwrap_or_default();
    unit.outcome.tally.moved(DeliveryState::Waiting, DeliveryState::Sending, count);
    for id in begun {
        unit.tell(|| Change::Delivery { id });
    }
    Ok(all)
}

/// `already` have been served in this transaction: what they were given still looks as if it waited.
async fn find(unit: &mut Unit<'_>, taking: &Taking, already: &[Uuid], terms: &Terms) -> Result<Taken, Fault> {
    let (row, endpoint) = unit.known.endpoint(taking.endpoint)?;
    let key = unit.known.active_key()?;
    let mut taken = Taken { endpoint: endpoint.clone(), key: key.clone(), due: Vec::new(), next: None };
    if !taken.endpoint.enabled {
        return Ok(taken);
    }
    if already.contains(&taking.endpoint) {
        // More may be due than they were given.
        taken.next = Some(time(unit.now));
        return Ok(taken);
    }
    let limit = usize::try_from(taking.limit).unwrap_or(usize::MAX);
    // One more than is wanted, to know when the next one is due.
    let wanted = i64::from(taking.limit).saturating_add(1);
    let rows = sqlx::query(WAITING).bind(row).bind(wanted).fetch_all(&mut *unit.connection).await?;
    let beyond = beyond(unit, row, &rows, limit, terms).await?;
    let mut unreadable = Vec::new();
    for row in rows.iter().chain(&beyond) {
        let due_at = due_at(row)?;
        if !is_due(due_at, unit.now, terms.longest_wait) || taken.due.len() >= limit {
            taken.next.get_or_insert(time(due_at));
            continue;
        }
        match due(row, &taken.endpoint, unit.now, terms) {
            Ok(due) => taken.due.push(due),
            Err(error) => {
                let delivery = row.try_get(0)?;
                tracing::error!(delivery, %error, "what is due cannot be read; it is put off");
                unreadable.push(delivery);
            }
        }
    }
    if !unreadable.is_empty() {
        put_off(unit, &unreadable, terms).await?;
        // They had the places of others.
        taken.next = Some(time(unit.now));
    }
    Ok(taken)
}

fn due_at(row: &SqliteRow) -> Result<Micros, sqlx::Error> {
    Ok(row.try_get::<Option<Micros>, _>(3)?.unwrap_or_default())
}

/// What lies behind the first rows and is [due](is_due) all the same, as the clock was set back.
async fn beyond(
    unit: &mut Unit<'_>,
    endpoint: i64,
    first: &[SqliteRow],
    limit: usize,
    terms: &Terms,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    if first.len() <= limit {
        return Ok(Vec::new());
    }
    let furthest = furthest(unit.now, terms.longest_wait);
    let (mut due, mut seen) = (0, 0_i64);
    for row in first {
        let at = due_at(row)?;
        due += usize::from(is_due(at, unit.now, terms.longest_wait));
        seen += i64::from(at > furthest);
    }
    let Some(room) = limit.checked_sub(due).filter(|room| *room > 0) else { return Ok(Vec::new()) };
    let beyond = sqlx::query(BEYOND).bind(endpoint).bind(i64::try_from(room).unwrap_or(i64::MAX));
    beyond.bind(furthest).bind(seen).fetch_all(&mut *unit.connection).await
}

fn due(row: &SqliteRow, endpoint: &Endpoint, now: Micros, terms: &Terms) -> Result<Due, sqlx::Error> {
    let event = Event {
        id: uuid(row, 4)?,
        name: Code::decode(row.try_get(5)?)?,
        sequence: number(row, 6)?,
        session_id: uuid(row, 10)?,
        flow_id: endpoint.flow_id,
        environment: endpoint.environment.clone(),
        session_status: Code::decode(row.try_get(7)?)?,
        last_step: last_step(row, 8)?,
        occurred_at: time(row.try_get(9)?),
    };
    let delivery = row.try_get(0)?;
    let (attempts, base) = (number::<u32>(row, 1)?, number::<u32>(row, 2)?);
    let number = attempts.saturating_add(1);
    Ok(Due {
        delivery,
        number,
        retries: attempts.saturating_sub(base),
        started_at: time(now),
        event,
        endpoint: endpoint.id,
        loose: Loose::new(Arc::clone(&terms.orphans), (delivery, number)),
    })
}

/// So that what cannot be read now does not keep the rest from being sent.
async fn put_off(unit: &mut Unit<'_>, ids: &[i64], terms: &Terms) -> Result<(), sqlx::Error> {
    sqlx::query(PUT_OFF)
        .bind(json(&ids)?)
        .bind(unit.now.saturating_add(terms.longest_wait))
        .execute(&mut *unit.connection)
        .await?;
    for id in ids {
        unit.tell(|| Change::Delivery { id: *id });
    }
    Ok(())
}
