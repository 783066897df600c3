//! What came of attempts is noted.

use async_trait::async_trait;
use sqlx::Row as _;

use super::Recording;
use crate::database::codes::Code;
use crate::database::row::json;
use crate::database::taken::Begun;
use crate::database::unit::{Fault, Unit, Work};
use crate::live::Change;
use crate::model::DeliveryState;

/// Outcomes become history.
pub(in crate::database) const ATTEMPTED: &str =
    "INSERT INTO attempts (delivery, number, started_at, took, key, url, issuer, answer, faults)
     SELECT d.id, d.attempts, coalesce(r.value ->> 9, d.started_at), r.value ->> 2,
            coalesce(r.value ->> 8, d.key), d.url, d.issuer, r.value ->> 3, r.value ->> 7
     FROM json_each(?1) r CROSS JOIN deliveries d ON d.id = r.value ->> 0
     WHERE d.attempts = r.value ->> 1 AND d.started_at IS NOT NULL";

/// What follows from them.
pub(in crate::database) const FOLLOWED: &str =
    "UPDATE deliveries SET state = r.state, next_at = r.next_at, dead_reason = r.dead_reason, started_at = NULL,
         finished_at = iif(r.state = 0, NULL, coalesce(finished_at, ?2))
     FROM (SELECT value ->> 0 AS id, value ->> 1 AS number, value ->> 4 AS state, value ->> 5 AS next_at,
                  value ->> 6 AS dead_reason
           FROM json_each(?1)) AS r
     WHERE deliveries.id = r.id AND deliveries.attempts = r.number AND deliveries.started_at IS NOT NULL
     RETURNING id, state";

/// What was cut off becomes history.
pub(in crate::database) const CUT_OFF: &str =
    "INSERT INTO attempts (delivery, number, started_at, took, key, url, issuer, answer)
     SELECT id, attempts, started_at, 0, key, url, issuer, NULL FROM deliveries
     WHERE state = 1
         AND (?1 IS NULL OR (id, attempts) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1)))";

/// And is due again.
pub(in crate::database) const DUE_AGAIN: &str =
    "UPDATE deliveries SET state = 0, next_at = ?2, base = base + 1, started_at = NULL
     WHERE state = 1
         AND (?1 IS NULL OR (id, attempts) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1)))
     RETURNING id, endpoint";

/// Notes outcomes. One of an attempt that is not the last one of its delivery, or noted already, changes nothing.
pub(in crate::database) async fn record(
    unit: &mut Unit<'_>,
    recordings: &[Recording],
) -> Result<(), sqlx::Error> {
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
            &recording.faults,
            recording.key,
            recording.signed_at,
        ));
    }
    let rows = json(&rows)?;
    sqlx::query(ATTEMPTED).bind(&rows).execute(&mut *unit.connection).await?;
    let noted = sqlx::query(FOLLOWED).bind(&rows).bind(unit.now).fetch_all(&mut *unit.connection).await?;
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

/// Attempts that nobody makes any more, or whose outcome nobody will tell: their deliveries are due again at once, and have
/// as many retries left as before. Without attempts, all that are under way.
pub(in crate::database) async fn give_up(
    unit: &mut Unit<'_>,
    attempts: Option<&[Begun]>,
) -> Result<(), sqlx::Error> {
    let attempts = attempts.map(|attempts| json(&attempts)).transpose()?;
    sqlx::query(CUT_OFF).bind(&attempts).execute(&mut *unit.connection).await?;
    let again = sqlx::query(DUE_AGAIN);
    for row in again.bind(&attempts).bind(unit.now).fetch_all(&mut *unit.connection).await? {
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
pub(in crate::database) struct Recover;

#[async_trait]
impl Work for Recover {
    type Output = ();

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        Ok(give_up(unit, None).await?)
    }
}
