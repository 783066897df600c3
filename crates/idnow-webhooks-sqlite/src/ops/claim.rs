use std::collections::HashMap;

use async_trait::async_trait;
use idnow_webhooks_core::store::{Claim, ClaimedEvent, Lease, Order, SessionOrder};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::choice::{Candidate, Choice, Time};
use super::{micros, unsigned};
use crate::compact::Compact;
use crate::json;
use crate::unit::{Unit, Work};

/// How often a claim looks at more events because others of their sessions hold back those it saw: each time at four
/// times as many.
const ROUNDS: u32 = 4;
const FEWEST_CANDIDATES: usize = 16;
const MOST_CANDIDATES: usize = 1024;
/// New events that are judged at once. If there are more, they are only put where the others are found.
const MOST_NEW: usize = 256;
/// New events that one transaction puts there: insertions wait for it.
const MOST_MOVED: usize = 1024;

/// Takes leases on events that are due. `None`: there are too many new ones, and it is to be run again.
pub(crate) struct ClaimEvents(pub(crate) Claim);

#[async_trait]
impl Work for ClaimEvents {
    type Output = Option<Vec<ClaimedEvent>>;

    async fn run(&self, unit: &mut Unit<'_>) -> Result<Self::Output, sqlx::Error> {
        let Claim { limit, lease, order } = self.0;
        let grace = match order {
            SessionOrder::Sequence { grace } => Some(grace),
            _ => None,
        };
        // Whatever becomes of an event, it is not looked at again now.
        let time = Time { now: unit.now, until: unit.now.saturating_add(micros(lease).max(1000)) };
        let mut claimed = Vec::new();
        for round in 0..ROUNDS {
            let wanted = limit.saturating_sub(claimed.len()).min(MOST_CANDIDATES);
            if wanted == 0 {
                return Ok(Some(claimed));
            }
            let more = wanted.saturating_mul(4_usize.pow(round));
            let (look_at, most_new) = match grace {
                Some(_) => (more.clamp(FEWEST_CANDIDATES, MOST_CANDIDATES), MOST_NEW + 1),
                None => (wanted, wanted),
            };
            let sql = if grace.is_some() { SEQUENCE } else { ANY };
            let candidates = candidates(unit, sql, look_at, most_new).await?;
            let new = candidates.iter().filter(|candidate| candidate.is_new).count();
            if grace.is_some() && new > MOST_NEW {
                // One of those that cannot be seen yet may come first in its session.
                move_new(unit).await?;
                return Ok(None);
            }
            let all_seen = candidates.len() - new < look_at && (grace.is_some() || new < most_new);
            let choice = Choice::of(candidates, grace, wanted, time);
            claimed.extend(take(unit, &choice.taken, time.until).await?);
            put_off(unit, &choice.put_off).await?;
            if all_seen {
                return Ok(Some(claimed));
            }
        }
        // There may be more that is due. The worker comes again at once, and others get a turn in between.
        unit.news |= claimed.len() < limit;
        Ok(Some(claimed))
    }
}

macro_rules! candidates {
    ($columns:literal) => {
        concat!(
            "SELECT TRUE, min(due, ?1), ",
            $columns,
            " FROM idnow_webhooks_events AS e INDEXED BY idnow_webhooks_open WHERE state < 2 AND wake = 0 \
             ORDER BY wake, state, received_at, position LIMIT ?3; \
             SELECT FALSE, wake, ",
            $columns,
            " FROM idnow_webhooks_events AS e INDEXED BY idnow_webhooks_open \
             WHERE state < 2 AND wake > 0 AND wake <= ?1 \
             ORDER BY wake, state, received_at, position LIMIT ?2"
        )
    };
}

const ANY: &str = candidates!("state, position, NULL, sequence, 0, 0, NULL");

// New events are in no index of sessions: whether one holds others back is seen by looking at all of them. An event has
// waited since its arrival, or since it was first looked at if the clock was set back before.
const SEQUENCE: &str = candidates!(
    "state, position, session, sequence, min(received_at, due, ?1), \
     (SELECT d.sequence FROM idnow_webhooks_events AS d INDEXED BY idnow_webhooks_closed_sessions \
      WHERE d.session = e.session AND d.session IS NOT NULL AND d.state >= 2 AND d.state = 2 AND d.queued = 1 \
      ORDER BY d.sequence DESC LIMIT 1), \
     (SELECT o.due FROM idnow_webhooks_events AS o INDEXED BY idnow_webhooks_open_sessions \
      WHERE o.session = e.session AND o.session IS NOT NULL AND o.wake > 0 AND o.position <> e.position \
      AND ((o.state = 1 AND o.due > ?1) OR (o.sequence, o.position) < (e.sequence, e.position)) \
      ORDER BY o.sequence, o.position LIMIT 1)"
);

/// In the order in which they are to be had.
async fn candidates(
    unit: &mut Unit<'_>,
    sql: &'static str,
    limit: usize,
    most_new: usize,
) -> Result<Vec<Candidate>, sqlx::Error> {
    let number = |limit| i64::try_from(limit).unwrap_or(i64::MAX);
    let query = sqlx::query(sql).bind(unit.now).bind(number(limit)).bind(number(most_new));
    let rows = query.fetch_all(&mut *unit.connection).await?;
    let candidate = |row: SqliteRow| {
        Ok(Candidate {
            is_new: row.try_get(0)?,
            wake: row.try_get(1)?,
            state: row.try_get(2)?,
            position: row.try_get(3)?,
            session: row.try_get(4)?,
            sequence: row.try_get(5)?,
            waits_since: row.try_get(6)?,
            highest: row.try_get::<Option<_>, _>(7)?.unwrap_or_default(),
            blocked: row.try_get(8)?,
        })
    };
    let mut candidates: Vec<_> = rows.into_iter().map(candidate).collect::<Result<_, sqlx::Error>>()?;
    candidates.sort_unstable_by_key(|candidate| (candidate.wake, candidate.state, candidate.position));
    Ok(candidates)
}

/// The oldest new events become events as all others.
async fn move_new(unit: &mut Unit<'_>) -> Result<(), sqlx::Error> {
    let sql = "UPDATE idnow_webhooks_events SET due = min(due, ?1), wake = min(due, ?1) WHERE position IN ( \
               SELECT position FROM idnow_webhooks_events INDEXED BY idnow_webhooks_open \
               WHERE state < 2 AND wake = 0 ORDER BY wake, state, received_at, position LIMIT ?2)";
    let most = i64::try_from(MOST_MOVED).unwrap_or(i64::MAX);
    sqlx::query(sql).bind(unit.now).bind(most).execute(&mut *unit.connection).await.map(drop)
}

async fn take(
    unit: &mut Unit<'_>,
    taken: &[(i64, Order)],
    until: i64,
) -> Result<Vec<ClaimedEvent>, sqlx::Error> {
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "UPDATE idnow_webhooks_events SET state = 1, runs = runs + 1, token = token + 1, due = ?1, wake = ?1 \
               WHERE position IN (SELECT value FROM json_each(?2)) \
               RETURNING position, event_id, token, runs, data";
    let positions = json::array(taken.iter().map(|(position, _)| position));
    let rows = sqlx::query(sql).bind(until).bind(positions).fetch_all(&mut *unit.connection).await?;
    let mut leased = HashMap::with_capacity(rows.len());
    for row in rows {
        let id: Compact = row.try_get(1)?;
        let lease = Lease::new(id.expand(), unsigned(row.try_get(2)?));
        leased.insert(
            row.try_get::<i64, _>(0)?,
            (lease, row.try_get::<u32, _>(3)?, row.try_get::<String, _>(4)?),
        );
    }
    let claimed = |(position, order): &(i64, Order)| {
        let (lease, run, data) = leased.remove(position)?;
        Some(ClaimedEvent::new(lease, run, *order, data))
    };
    Ok(taken.iter().filter_map(claimed).collect())
}

/// A new event is due by now: if it arrived later than that, the clock was set back.
async fn put_off(unit: &mut Unit<'_>, put_off: &[(i64, i64)]) -> Result<(), sqlx::Error> {
    if put_off.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE idnow_webhooks_events SET wake = later.value ->> 1, \
               due = CASE wake WHEN 0 THEN min(due, ?2) ELSE due END \
               FROM json_each(?1) AS later WHERE position = later.value ->> 0";
    let times = json::array(put_off.iter().map(|(position, wake)| format!("[{position},{wake}]")));
    sqlx::query(sql).bind(times).bind(unit.now).execute(&mut *unit.connection).await?;
    Ok(())
}
