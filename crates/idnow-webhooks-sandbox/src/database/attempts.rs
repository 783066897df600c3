//! Attempts: what is due becomes one, and gets its outcome.
//!
//! This is what a sandbox does most. So all attempts of a batch are written by the same few statements: rows go to SQLite
//! as one JSON array, and come back as few as possible.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use uuid::Uuid;

use super::Shared;
use super::codes::Code;
use super::events::{last_step, uuid};
use super::unit::{Fault, Unit, Work};
use crate::clock::{Micros, time};
use crate::error::Error;
use crate::live::Change;
use crate::model::{Answer, Attempt, DeadReason, DeliveryState, Event};
use crate::state::{Due, Loose, Taken};

#[derive(Debug)]
pub(crate) struct Taking {
    pub(crate) endpoint: Uuid,
    pub(crate) limit: u32,
}

/// What came of an attempt.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) delivery: i64,
    pub(crate) number: u32,
    pub(crate) endpoint: Uuid,
    pub(crate) took: Micros,
    /// JSON.
    pub(crate) answer: String,
    pub(crate) state: DeliveryState,
    pub(crate) next_at: Option<Micros>,
    pub(crate) dead_reason: Option<DeadReason>,
}

/// Begins attempts. What each caller gets is as it was asked for, in the same order.
pub(super) async fn take(
    unit: &mut Unit<'_>,
    takings: &[Taking],
    issuer: i64,
    shared: &Arc<Shared>,
) -> Result<Vec<Result<Taken, Error>>, sqlx::Error> {
    let mut all = Vec::with_capacity(takings.len());
    let (mut begun, mut already) = (Vec::new(), Vec::new());
    for taking in takings {
        let taken = match find(unit, taking, &already, shared).await {
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
    sqlx::query(
        "UPDATE deliveries SET state = 1, next_at = NULL, attempts = attempts + 1, started_at = ?2, key = ?3, issuer = ?4,
             url = (SELECT url FROM endpoints WHERE endpoints.id = deliveries.endpoint)
         WHERE id IN (SELECT value FROM json_each(?1))",
    )
    .bind(json(&begun)?)
    .bind(unit.now)
    .bind(key)
    .bind(issuer)
    .execute(&mut *unit.connection)
    .await?;
    let count = i64::try_from(begun.len()).unwrap_or_default();
    unit.outcome.tally.moved(DeliveryState::Waiting, DeliveryState::Sending, count);
    for id in begun {
        unit.tell(|| Change::Delivery { id });
    }
    Ok(all)
}

/// `already` have been served in this transaction: nothing is left of what was due then.
async fn find(
    unit: &mut Unit<'_>,
    taking: &Taking,
    already: &[Uuid],
    shared: &Arc<Shared>,
) -> Result<Taken, Fault> {
    let (row, endpoint) = unit.known.endpoint(taking.endpoint)?;
    let key = unit.known.active_key()?;
    let mut taken = Taken { endpoint: endpoint.clone(), key: key.clone(), due: Vec::new(), next: None };
    if !taken.endpoint.enabled || already.contains(&taking.endpoint) {
        return Ok(taken);
    }
    // One more than is wanted, to know when the next one is due.
    let rows = sqlx::query(
        "SELECT d.id, d.attempts, d.base, d.next_at, e.uuid, e.kind, e.sequence, e.status, e.last_step, e.occurred_at,
                s.uuid
         FROM deliveries d CROSS JOIN events e ON e.id = d.event CROSS JOIN sessions s ON s.id = e.session
         WHERE d.state = 0 AND d.endpoint = ?1 ORDER BY d.next_at LIMIT ?2",
    )
    .bind(row)
    .bind(i64::from(taking.limit).saturating_add(1))
    .fetch_all(&mut *unit.connection)
    .await?;
    for row in &rows {
        let due_at = row.try_get::<Option<Micros>, _>(3)?.unwrap_or_default();
        if due_at > unit.now || taken.due.len() >= usize::try_from(taking.limit).unwrap_or(usize::MAX) {
            taken.next = Some(time(due_at));
            break;
        }
        let event = Event {
            id: uuid(row, 4)?,
            name: Code::decode(row.try_get(5)?)?,
            sequence: number(row, 6)?,
            session_id: uuid(row, 10)?,
            flow_id: taken.endpoint.flow_id,
            environment: taken.endpoint.environment.clone(),
            session_status: Code::decode(row.try_get(7)?)?,
            last_step: last_step(row, 8)?,
            occurred_at: time(row.try_get(9)?),
        };
        let (attempts, base) = (number::<u32>(row, 1)?, number::<u32>(row, 2)?);
        taken.due.push(Due {
            delivery: row.try_get(0)?,
            number: attempts.saturating_add(1),
            retries: attempts.saturating_sub(base),
            started_at: time(unit.now),
            event,
            loose: Loose::new(Arc::clone(shared), row.try_get(0)?, taking.endpoint),
        });
    }
    Ok(taken)
}

/// Notes outcomes. One of an attempt that is not the last one of its delivery, or noted already, changes nothing.
pub(super) async fn record(unit: &mut Unit<'_>, recordings: &[Recording]) -> Result<(), sqlx::Error> {
    if recordings.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(recordings.len());
    for recording in recordings {
        // With the endpoint, the deliveries that were under way have ended: their outcome is history only.
        let deleted = unit.known.endpoint(recording.endpoint).is_err();
        let state = if deleted { DeliveryState::EndpointDeleted } else { recording.state };
        let next_at = recording.next_at.filter(|_| !deleted);
        rows.push((
            recording.delivery,
            recording.number,
            recording.took,
            &recording.answer,
            state.code(),
            next_at,
            recording.dead_reason.filter(|_| !deleted).map(Code::code),
        ));
    }
    let rows = json(&rows)?;
    sqlx::query(
        "INSERT INTO attempts (delivery, number, started_at, took, key, url, issuer, answer)
         SELECT d.id, d.attempts, d.started_at, r.value ->> 2, d.key, d.url, d.issuer, r.value ->> 3
         FROM json_each(?1) r CROSS JOIN deliveries d ON d.id = r.value ->> 0
         WHERE d.attempts = r.value ->> 1 AND d.started_at IS NOT NULL",
    )
    .bind(&rows)
    .execute(&mut *unit.connection)
    .await?;
    let noted = sqlx::query(
        "UPDATE deliveries SET state = r.state, next_at = r.next_at, dead_reason = r.dead_reason, started_at = NULL,
             finished_at = iif(r.state = 0, NULL, coalesce(finished_at, ?2))
         FROM (SELECT value ->> 0 AS id, value ->> 1 AS number, value ->> 4 AS state, value ->> 5 AS next_at,
                      value ->> 6 AS dead_reason
               FROM json_each(?1)) AS r
         WHERE deliveries.id = r.id AND deliveries.attempts = r.number AND deliveries.started_at IS NOT NULL
         RETURNING id, state",
    )
    .bind(&rows)
    .bind(unit.now)
    .fetch_all(&mut *unit.connection)
    .await?;
    for row in &noted {
        let (id, state) = (row.try_get(0)?, DeliveryState::decode(row.try_get(1)?)?);
        // Those of a deleted endpoint were counted when it was deleted.
        if state != DeliveryState::EndpointDeleted {
            unit.outcome.tally.moved(DeliveryState::Sending, state, 1);
        }
        unit.tell(|| Change::Delivery { id });
    }
    Ok(())
}

/// Attempts that nobody makes any more, or whose outcome nobody will tell: their deliveries are due again at once. Without
/// ids, all that are under way.
pub(super) async fn give_up(unit: &mut Unit<'_>, ids: Option<&[i64]>) -> Result<(), sqlx::Error> {
    let ids = ids.map(|ids| json(&ids)).transpose()?;
    sqlx::query(
        "INSERT INTO attempts (delivery, number, started_at, took, key, url, issuer, answer)
         SELECT id, attempts, started_at, 0, key, url, issuer, NULL FROM deliveries
         WHERE state = 1 AND (?1 IS NULL OR id IN (SELECT value FROM json_each(?1)))",
    )
    .bind(&ids)
    .execute(&mut *unit.connection)
    .await?;
    let again = sqlx::query(
        "UPDATE deliveries SET state = 0, next_at = ?2, started_at = NULL
         WHERE state = 1 AND (?1 IS NULL OR id IN (SELECT value FROM json_each(?1))) RETURNING id, endpoint",
    );
    for row in again.bind(&ids).bind(unit.now).fetch_all(&mut *unit.connection).await? {
        let (id, endpoint) = (row.try_get(0)?, row.try_get(1)?);
        unit.outcome.tally.moved(DeliveryState::Sending, DeliveryState::Waiting, 1);
        if let Some(endpoint) = unit.known.endpoints.at(endpoint).map(|endpoint| endpoint.id) {
            unit.wake(endpoint);
        }
        unit.tell(|| Change::Delivery { id });
    }
    Ok(())
}

/// What was under way when the process ended last is due again.
pub(crate) struct Recover;

#[async_trait]
impl Work for Recover {
    type Output = ();

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        Ok(give_up(unit, None).await?)
    }
}

/// An attempt, and what its token was made of.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) attempt: Attempt,
    pub(crate) issuer: String,
    pub(crate) key: i64,
}

/// The attempts of a delivery from the first on; that under way is the last.
pub(crate) async fn of_delivery(
    connection: &mut SqliteConnection,
    delivery: i64,
) -> Result<Vec<Past>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT a.number, a.started_at, a.took, a.answer, u.text, k.kid, i.text, a.key
         FROM (SELECT delivery, number, started_at, took, key, url, issuer, answer FROM attempts WHERE delivery = ?1
               UNION ALL
               SELECT id, attempts, started_at, 0, key, url, issuer, NULL FROM deliveries
               WHERE id = ?1 AND started_at IS NOT NULL) a
             LEFT JOIN texts u ON u.id = a.url LEFT JOIN keys k ON k.id = a.key LEFT JOIN texts i ON i.id = a.issuer
         ORDER BY a.number",
    )
    .bind(delivery)
    .fetch_all(connection)
    .await?;
    rows.iter().map(past).collect()
}

fn past(row: &SqliteRow) -> Result<Past, sqlx::Error> {
    let answer: Option<String> = row.try_get(3)?;
    let answer: Option<Answer> =
        answer.map(|answer| serde_json::from_str(&answer)).transpose().map_err(decode)?;
    let attempt = Attempt {
        number: number(row, 0)?,
        started_at: time(row.try_get(1)?),
        duration_ms: number::<u64>(row, 2)? / 1000,
        url: row.try_get::<Option<String>, _>(4)?.unwrap_or_default(),
        key_id: row.try_get::<Option<String>, _>(5)?.unwrap_or_default(),
        answer,
    };
    Ok(Past {
        attempt,
        issuer: row.try_get::<Option<String>, _>(6)?.unwrap_or_default(),
        key: row.try_get(7)?,
    })
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

pub(super) fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

/// A number that is never negative.
pub(super) fn number<T: TryFrom<i64>>(row: &SqliteRow, column: usize) -> Result<T, sqlx::Error>
where
    T::Error: std::error::Error + Send + Sync + 'static,
{
    T::try_from(row.try_get::<i64, _>(column)?).map_err(decode)
}
