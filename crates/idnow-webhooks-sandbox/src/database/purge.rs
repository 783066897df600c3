//! What is old enough goes: sessions that have ended, with their events, deliveries and attempts.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use sqlx::Row as _;

use super::codes::Code as _;
use super::row::json;
use super::unit::{Fault, Unit, Work};
use crate::clock::Micros;
use crate::live::Change;
use crate::model::{DeliveryState, SessionStatus};

/// How many deliveries one transaction removes; more if a session alone has more.
const DELIVERIES: i64 = 2000;

/// Looks at sessions after a row, at most so many, and removes those that had ended, and that nothing was to be delivered
/// of, before a time.
#[derive(Debug)]
pub(crate) struct Purge {
    pub(crate) before: Micros,
    pub(crate) after: i64,
    pub(crate) limit: u32,
}

pub(super) const LOOK: &str =
    "SELECT id, status, created_at, completed_at FROM sessions WHERE id > ?1 ORDER BY id LIMIT ?2";

/// The events of sessions, which are chained from the last one on.
pub(super) const CHAINS: &str = "WITH RECURSIVE chain (session, event) AS (
         SELECT id, last_event FROM sessions
         WHERE id IN (SELECT value FROM json_each(?1)) AND last_event IS NOT NULL
         UNION ALL
         SELECT chain.session, e.previous FROM chain CROSS JOIN events e ON e.id = chain.event
         WHERE e.previous IS NOT NULL)
     SELECT chain.session, e.id, e.first_delivery, e.first_delivery + e.deliveries
     FROM chain CROSS JOIN events e ON e.id = chain.event";

pub(super) const UNFINISHED: &str = "SELECT DISTINCT r.value ->> 0
     FROM json_each(?1) r CROSS JOIN deliveries d ON d.id >= r.value ->> 1 AND d.id < r.value ->> 2
     WHERE d.state < 2 OR d.finished_at IS NULL OR d.finished_at > ?2";

pub(super) const STATES: &str = "SELECT d.state, count(*)
     FROM json_each(?1) r CROSS JOIN deliveries d ON d.id >= r.value ->> 0 AND d.id < r.value ->> 1 GROUP BY 1";

/// Of ranges of deliveries: what refers to others goes before those.
pub(super) const REMOVE_RANGES: [&str; 2] = [
    "DELETE FROM attempts WHERE delivery IN (
         SELECT d.id FROM json_each(?1) r
             CROSS JOIN deliveries d ON d.id >= r.value ->> 0 AND d.id < r.value ->> 1)",
    "DELETE FROM deliveries WHERE id IN (
         SELECT d.id FROM json_each(?1) r
             CROSS JOIN deliveries d ON d.id >= r.value ->> 0 AND d.id < r.value ->> 1)",
];

pub(super) const REMOVE_EVENTS: &str = "DELETE FROM events WHERE id IN (SELECT value FROM json_each(?1))";
pub(super) const REMOVE_SESSIONS: &str = "DELETE FROM sessions WHERE id IN (SELECT value FROM json_each(?1))";

pub(super) const TIDY: [&str; 2] = [
    "DELETE FROM endpoints WHERE deleted_at <= ?1
         AND NOT EXISTS (SELECT 1 FROM deliveries WHERE endpoint = endpoints.id)",
    "DELETE FROM flows WHERE deleted_at <= ?1
         AND NOT EXISTS (SELECT 1 FROM sessions WHERE flow = flows.id)
         AND NOT EXISTS (SELECT 1 FROM endpoints WHERE flow = flows.id)",
];

/// A session that has ended.
struct Ended {
    row: i64,
    status: SessionStatus,
    events: Vec<i64>,
    /// From one row to before another.
    deliveries: Vec<(i64, i64)>,
}

impl Ended {
    fn weight(&self) -> i64 {
        self.deliveries.iter().map(|(from, to)| to - from).sum()
    }
}

#[async_trait]
impl Work for Purge {
    /// The last row that was looked at; none if there are no more old ones.
    type Output = Option<i64>;

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<Option<i64>, Fault> {
        let (mut ended, mut last) = self.ended(unit).await?;
        let mut weight = 0;
        let room = ended.iter().take_while(|session| {
            let fits = weight == 0 || weight + session.weight() <= DELIVERIES;
            weight += session.weight();
            fits
        });
        let room = room.count();
        if let Some(first_left) = ended.get(room) {
            last = Some(first_left.row - 1);
            ended.truncate(room);
        }
        let kept = self.unfinished(unit, &ended).await?;
        ended.retain(|session| !kept.contains(&session.row));
        remove(unit, &ended).await?;
        Ok(last)
    }
}

impl Purge {
    /// Those that have ended, and the last row that was looked at.
    async fn ended(&self, unit: &mut Unit<'_>) -> Result<(Vec<Ended>, Option<i64>), sqlx::Error> {
        let rows =
            sqlx::query(LOOK).bind(self.after).bind(self.limit).fetch_all(&mut *unit.connection).await?;
        let (mut found, mut last) = (BTreeMap::new(), None);
        for row in &rows {
            let (id, created_at) = (row.try_get(0)?, row.try_get::<Micros, _>(2)?);
            // Whatever comes after it was made later, unless the clock was set back since.
            if created_at > self.before && created_at <= unit.now {
                last = None;
                break;
            }
            last = Some(id);
            if row.try_get::<Option<Micros>, _>(3)?.is_some_and(|at| at <= self.before) {
                let status = SessionStatus::decode(row.try_get(1)?)?;
                found.insert(id, Ended { row: id, status, events: Vec::new(), deliveries: Vec::new() });
            }
        }
        let ids: Vec<i64> = found.keys().copied().collect();
        for row in sqlx::query(CHAINS).bind(json(&ids)?).fetch_all(&mut *unit.connection).await? {
            if let Some(session) = found.get_mut(&row.try_get(0)?) {
                session.events.push(row.try_get(1)?);
                session.deliveries.push((row.try_get(2)?, row.try_get(3)?));
            }
        }
        Ok((found.into_values().collect(), last))
    }

    /// Those of which something is to be delivered, or was until not long ago.
    async fn unfinished(&self, unit: &mut Unit<'_>, ended: &[Ended]) -> Result<BTreeSet<i64>, sqlx::Error> {
        let ranges = ended
            .iter()
            .flat_map(|session| session.deliveries.iter().map(move |(from, to)| (session.row, *from, *to)));
        let ranges = json(&ranges.collect::<Vec<_>>())?;
        let unfinished = sqlx::query_scalar(UNFINISHED).bind(ranges).bind(self.before);
        Ok(unfinished.fetch_all(&mut *unit.connection).await?.into_iter().collect())
    }
}

async fn remove(unit: &mut Unit<'_>, sessions: &[Ended]) -> Result<(), sqlx::Error> {
    if sessions.is_empty() {
        return Ok(());
    }
    let ranges: Vec<_> = sessions.iter().flat_map(|session| session.deliveries.clone()).collect();
    let ranges = json(&ranges)?;
    for row in sqlx::query(STATES).bind(&ranges).fetch_all(&mut *unit.connection).await? {
        let state = DeliveryState::decode(row.try_get(0)?)?;
        unit.outcome.tally.deliveries(state, -row.try_get::<i64, _>(1)?);
    }
    for remove in REMOVE_RANGES {
        sqlx::query(remove).bind(&ranges).execute(&mut *unit.connection).await?;
    }
    let events: Vec<_> = sessions.iter().flat_map(|session| session.events.clone()).collect();
    let rows: Vec<_> = sessions.iter().map(|session| session.row).collect();
    for (remove, rows) in [(REMOVE_EVENTS, &events), (REMOVE_SESSIONS, &rows)] {
        sqlx::query(remove).bind(json(rows)?).execute(&mut *unit.connection).await?;
    }
    let last_delivery = sessions.iter().flat_map(|session| &session.deliveries).map(|(_, to)| to - 1).max();
    sqlx::query(
        "UPDATE gone SET session = max(session, ?1), event = max(event, ?2), delivery = max(delivery, ?3)",
    )
    .bind(rows.iter().max().copied().unwrap_or_default())
    .bind(events.iter().max().copied().unwrap_or_default())
    .bind(last_delivery.unwrap_or_default())
    .execute(&mut *unit.connection)
    .await?;
    for session in sessions {
        unit.outcome.tally.sessions(session.status, -1);
    }
    unit.tell(|| Change::Deliveries { endpoint_id: None });
    Ok(())
}

/// Endpoints and flows that were deleted before a time, and that nothing names any more.
#[derive(Debug)]
pub(crate) struct Tidy {
    pub(crate) before: Micros,
}

#[async_trait]
impl Work for Tidy {
    type Output = ();

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        for delete in TIDY {
            sqlx::query(delete).bind(self.before).execute(&mut *unit.connection).await?;
        }
        Ok(())
    }
}
