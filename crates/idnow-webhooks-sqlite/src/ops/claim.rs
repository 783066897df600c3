use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use idnow_webhooks_core::store::{Claim, ClaimedEvent, Lease, Order, SessionOrder};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{micros, unsigned};
use crate::compact::Compact;
use crate::writer::{Unit, Work};

/// How often a claim looks at more events because others of their sessions hold back those it saw.
const ROUNDS: usize = 4;
const FEWEST_CANDIDATES: usize = 64;
const MOST_CANDIDATES: usize = 1024;

/// Takes leases on events that are due.
pub(crate) struct ClaimEvents(pub(crate) Claim);

#[async_trait]
impl Work for ClaimEvents {
    type Output = Vec<ClaimedEvent>;

    async fn run(&self, unit: &mut Unit<'_>) -> Result<Vec<ClaimedEvent>, sqlx::Error> {
        let Claim { limit, lease, order } = self.0;
        let grace = match order {
            SessionOrder::Sequence { grace } => Some(grace),
            _ => None,
        };
        // Whatever becomes of an event, it is not looked at again now.
        let until = unit.now.saturating_add(micros(lease).max(1000));
        let mut claimed = Vec::new();
        for _ in 0..ROUNDS {
            let wanted = limit.saturating_sub(claimed.len()).min(MOST_CANDIDATES);
            if wanted == 0 {
                return Ok(claimed);
            }
            let look_at = match grace {
                Some(_) => wanted.saturating_mul(4).clamp(FEWEST_CANDIDATES, MOST_CANDIDATES),
                None => wanted,
            };
            let candidates = match grace {
                Some(_) => candidates(unit, SEQUENCE, look_at).await?,
                None => candidates(unit, ANY, look_at).await?,
            };
            let seen = candidates.len();
            let choice = choose(candidates, grace, wanted, unit.now, until);
            claimed.extend(take(unit, &choice.taken, until).await?);
            put_off(unit, &choice.put_off).await?;
            if seen < look_at {
                return Ok(claimed);
            }
        }
        // There may be more that is due. The worker comes again at once, and others get a turn in between.
        unit.news |= claimed.len() < limit;
        Ok(claimed)
    }
}

/// An event that is due, and what is to be known of its session.
struct Candidate {
    position: i64,
    session: Option<Compact>,
    sequence: i64,
    received_at: i64,
    highest: i64,
    /// When the one that holds it back is due, or until when it runs.
    blocked: Option<i64>,
}

const ANY: &str = "SELECT position, NULL, sequence, received_at, 0, NULL \
    FROM idnow_webhooks_events INDEXED BY idnow_webhooks_open WHERE state < 2 AND wake <= ?1 \
    ORDER BY wake, state, received_at, position LIMIT ?2";

const SEQUENCE: &str = "SELECT position, session, sequence, received_at, \
    (SELECT d.sequence FROM idnow_webhooks_events AS d INDEXED BY idnow_webhooks_closed_sessions \
     WHERE d.session = e.session AND d.session IS NOT NULL AND d.state >= 2 AND d.state = 2 AND d.queued = 1 \
     ORDER BY d.sequence DESC LIMIT 1), \
    (SELECT o.due FROM idnow_webhooks_events AS o INDEXED BY idnow_webhooks_open_sessions \
     WHERE o.session = e.session AND o.session IS NOT NULL AND o.state < 2 AND o.position <> e.position \
     AND o.queued = 1 \
     AND ((o.state = 1 AND o.due > ?1) OR (o.sequence, o.position) < (e.sequence, e.position)) \
     ORDER BY o.sequence, o.position LIMIT 1) \
    FROM idnow_webhooks_events AS e INDEXED BY idnow_webhooks_open WHERE state < 2 AND wake <= ?1 \
    ORDER BY wake, state, received_at, position LIMIT ?2";

async fn candidates(
    unit: &mut Unit<'_>,
    sql: &'static str,
    limit: usize,
) -> Result<Vec<Candidate>, sqlx::Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = sqlx::query(sql).bind(unit.now).bind(limit).fetch_all(&mut *unit.connection).await?;
    let candidate = |row: SqliteRow| {
        Ok(Candidate {
            position: row.try_get(0)?,
            session: row.try_get(1)?,
            sequence: row.try_get(2)?,
            received_at: row.try_get(3)?,
            highest: row.try_get::<Option<_>, _>(4)?.unwrap_or_default(),
            blocked: row.try_get(5)?,
        })
    };
    rows.into_iter().map(candidate).collect()
}

struct Choice {
    taken: Vec<(i64, Order)>,
    /// Until when.
    put_off: Vec<(i64, i64)>,
}

fn choose(candidates: Vec<Candidate>, grace: Option<Duration>, limit: usize, now: i64, until: i64) -> Choice {
    let mut choice = Choice { taken: Vec::new(), put_off: Vec::new() };
    let mut running = HashSet::new();
    for candidate in candidates {
        if choice.taken.len() >= limit {
            break;
        }
        match judge(&candidate, grace, now, until, &running) {
            Ok(order) => {
                choice.taken.push((candidate.position, order));
                running.extend(candidate.session);
            }
            Err(wake) => choice.put_off.push((candidate.position, wake)),
        }
    }
    choice
}

/// Whether the rest of its session lets an event run, or when to look at it again.
fn judge(
    candidate: &Candidate,
    grace: Option<Duration>,
    now: i64,
    until: i64,
    running: &HashSet<Compact>,
) -> Result<Order, i64> {
    let (Some(grace), Some(session)) = (grace, &candidate.session) else { return Ok(Order::Unchecked) };
    if running.contains(session) {
        return Err(until);
    }
    if let Some(due) = candidate.blocked {
        return Err(if due > now { due } else { until });
    }
    let waited = Duration::from_micros(unsigned(now.saturating_sub(candidate.received_at)));
    Order::judge(unsigned(candidate.sequence), unsigned(candidate.highest), waited, grace)
        .map_err(|rest| now.saturating_add(micros(rest).max(1)))
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
    let positions = json(taken.iter().map(|(position, _)| position.to_string()));
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

async fn put_off(unit: &mut Unit<'_>, put_off: &[(i64, i64)]) -> Result<(), sqlx::Error> {
    if put_off.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE idnow_webhooks_events SET wake = later.value ->> 1 FROM json_each(?1) AS later \
               WHERE position = later.value ->> 0";
    let times = json(put_off.iter().map(|(position, wake)| format!("[{position},{wake}]")));
    sqlx::query(sql).bind(times).execute(&mut *unit.connection).await?;
    Ok(())
}

fn json(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}
