//! Taking leases on events that are due.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use idnow_webhooks_core::store::{Claim, ClaimedEvent, Lease, Order, SessionOrder, StoreError};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use crate::core::Core;
use crate::error::unavailable;
use crate::floor::Look;
use crate::key::Key;
use crate::work::{Alone, Work, micros};

/// How often a claim looks, in all, when the events it found are held back.
const ROUNDS: usize = 5;
/// The least it looks at in each round but the first: most often nothing is held back, and to look at an event costs
/// a lock on it and a search for its session.
const LOOK: usize = 64;

/// `FOR UPDATE` skips an event whose lease ran out while its handler's transaction is still open.
const DUE: &str = "
    SELECT position, session, sequence, received_at, wake, COALESCE($1::timestamptz, statement_timestamp())
    FROM idnow_webhooks_states
    WHERE wake IS NOT NULL AND wake >= COALESCE($3::timestamptz, '-infinity')
        AND wake <= COALESCE($1::timestamptz, statement_timestamp())
    ORDER BY wake, position
    LIMIT $2
    FOR UPDATE SKIP LOCKED";

const SESSIONS: &str = "
    SELECT asked.session, first.position, first.due, running.due, highest.sequence
    FROM UNNEST($1::uuid[]) AS asked (session)
    LEFT JOIN LATERAL (
        SELECT position, due FROM idnow_webhooks_states AS state
        WHERE state.session = asked.session AND state < 2 AND queued
        ORDER BY sequence, position LIMIT 1
    ) AS first ON true
    LEFT JOIN LATERAL (
        SELECT due FROM idnow_webhooks_states AS state
        WHERE state.session = asked.session AND state < 2 AND state = 1 AND queued AND due > $2
        ORDER BY sequence, position LIMIT 1
    ) AS running ON true
    LEFT JOIN LATERAL (
        SELECT sequence FROM idnow_webhooks_states AS state
        WHERE state.session = asked.session AND state >= 2 AND state = 2 AND queued
        ORDER BY sequence DESC LIMIT 1
    ) AS highest ON true";

const TAKE: &str = "
    UPDATE idnow_webhooks_states AS state SET state = 1, runs = runs + 1, token = token + 1, due = $2, wake = $2
    FROM idnow_webhooks_events AS event
    WHERE state.position = ANY($1) AND event.position = state.position
    RETURNING state.position, key, event_id, token, runs, data";

const PUT_OFF: &str = "
    UPDATE idnow_webhooks_states AS state SET wake = asked.wake
    FROM UNNEST($1::int8[], $2::timestamptz[]) AS asked (position, wake)
    WHERE state.position = asked.position";

struct Due {
    position: i64,
    session: Option<Uuid>,
    sequence: i64,
    received_at: DateTime<Utc>,
}

struct Session {
    /// The lowest that is not finished, and when it is due.
    first: Option<(i64, DateTime<Utc>)>,
    /// The end of a lease that lasts.
    running: Option<DateTime<Utc>>,
    highest: u64,
}

impl Core {
    pub(crate) async fn claim(&self, claim: Claim) -> Result<Vec<ClaimedEvent>, StoreError> {
        if claim.limit == 0 {
            return Ok(Vec::new());
        }
        let (events, more) = self.try_claim(claim).await.map_err(|e| unavailable("claiming events", &e))?;
        for event in &events {
            self.open.leased(&event.lease);
        }
        if more && events.len() < claim.limit {
            self.bell.ring();
        }
        Ok(events)
    }

    /// Also says whether events may be left over that are due.
    async fn try_claim(&self, claim: Claim) -> Result<(Vec<ClaimedEvent>, bool), sqlx::Error> {
        let (alone, grace) = match claim.order {
            SessionOrder::Sequence { grace } => (self.claiming(), Some(grace)),
            _ => (Alone::No, None),
        };
        let mut work = Work::begin(&self.own, alone).await?;
        let mut claimed = Vec::new();
        let mut more = false;
        for round in 0..ROUNDS {
            let room = claim.limit.saturating_sub(claimed.len());
            let look = if round == 0 || grace.is_none() { room } else { room.saturating_mul(4).max(LOOK) };
            let (due, now) = self.due(&mut work, look).await?;
            more = due.len() >= look;
            let Some(now) = now else { break };
            // Whatever becomes of an event, it is not looked at again in this claim.
            let until = now + TimeDelta::microseconds(micros(claim.lease).max(1_000_000));
            let (mut take, put_off) = match grace {
                Some(grace) => judge(&mut work, due, now, until, grace).await?,
                None => (due.into_iter().map(|due| (due.position, Order::Unchecked)).collect(), Vec::new()),
            };
            more |= take.len() > room;
            take.truncate(room);
            claimed.extend(lease(&mut work, &take, until).await?);
            postpone(&mut work, &put_off).await?;
            if !more || claimed.len() >= claim.limit {
                break;
            }
        }
        work.commit().await?;
        Ok((claimed, more))
    }

    /// What is due, and the time; nothing is due if there is none.
    async fn due(
        &self,
        connection: &mut PgConnection,
        limit: usize,
    ) -> Result<(Vec<Due>, Option<DateTime<Utc>>), sqlx::Error> {
        let mut look = self.floor.look();
        let mut rows = due(connection, self.now(), look, limit).await?;
        if rows.len() < limit && look.from.is_some() {
            look = look.anew();
            rows = due(connection, self.now(), look, limit).await?;
        }
        let Some(first) = rows.first() else { return Ok((Vec::new(), None)) };
        self.floor.found(look, first.try_get(4)?);
        let now = first.try_get(5)?;
        let event = |row: &PgRow| {
            Ok(Due {
                position: row.try_get(0)?,
                session: row.try_get(1)?,
                sequence: row.try_get(2)?,
                received_at: row.try_get(3)?,
            })
        };
        Ok((rows.iter().map(event).collect::<Result<_, sqlx::Error>>()?, Some(now)))
    }
}

async fn due(
    connection: &mut PgConnection,
    now: Option<DateTime<Utc>>,
    look: Look,
    limit: usize,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    sqlx::query(DUE).bind(now).bind(limit).bind(look.from).fetch_all(connection).await
}

type Judged = (Vec<(i64, Order)>, Vec<(i64, DateTime<Utc>)>);

/// Which of them may run now, and when to look at the others again.
async fn judge(
    connection: &mut PgConnection,
    due: Vec<Due>,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
    grace: Duration,
) -> Result<Judged, sqlx::Error> {
    let sessions = sessions(connection, &due, now).await?;
    let (mut take, mut put_off) = (Vec::new(), Vec::new());
    for event in due {
        let Some(session) = event.session.and_then(|session| sessions.get(&session)) else {
            take.push((event.position, Order::Unchecked));
            continue;
        };
        let held_back = session.running.or_else(|| {
            let (_, due) = session.first.filter(|(position, _)| *position != event.position)?;
            Some(if due > now { due } else { until })
        });
        if let Some(wake) = held_back {
            put_off.push((event.position, wake));
            continue;
        }
        let sequence = u64::try_from(event.sequence).unwrap_or(0);
        let waited = (now - event.received_at).to_std().unwrap_or_default();
        match Order::judge(sequence, session.highest, waited, grace) {
            Ok(order) => take.push((event.position, order)),
            Err(rest) => {
                // A look that comes too early would be one for nothing.
                let rest = TimeDelta::microseconds(micros(rest.saturating_add(Duration::from_nanos(999))));
                put_off.push((event.position, now + rest));
            }
        }
    }
    Ok((take, put_off))
}

async fn sessions(
    connection: &mut PgConnection,
    due: &[Due],
    now: DateTime<Utc>,
) -> Result<HashMap<Uuid, Session>, sqlx::Error> {
    let mut asked: Vec<_> = due.iter().filter_map(|due| due.session).collect();
    asked.sort_unstable();
    asked.dedup();
    if asked.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(SESSIONS).bind(asked).bind(now).fetch_all(connection).await?;
    let session = |row: &PgRow| {
        let (position, due): (Option<i64>, Option<DateTime<Utc>>) = (row.try_get(1)?, row.try_get(2)?);
        let highest: Option<i64> = row.try_get(4)?;
        let session = Session {
            first: position.zip(due),
            running: row.try_get(3)?,
            highest: highest.and_then(|highest| u64::try_from(highest).ok()).unwrap_or(0),
        };
        Ok((row.try_get(0)?, session))
    };
    rows.iter().map(session).collect()
}

async fn lease(
    connection: &mut PgConnection,
    take: &[(i64, Order)],
    until: DateTime<Utc>,
) -> Result<Vec<ClaimedEvent>, sqlx::Error> {
    if take.is_empty() {
        return Ok(Vec::new());
    }
    let positions: Vec<_> = take.iter().map(|(position, _)| *position).collect();
    let rows = sqlx::query(TAKE).bind(&positions).bind(until).fetch_all(connection).await?;
    let places: HashMap<_, _> =
        take.iter().enumerate().map(|(place, (position, order))| (*position, (place, *order))).collect();
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(&(place, order)) = places.get(&row.try_get::<i64, _>(0)?) else { continue };
        let token = u64::try_from(row.try_get::<i64, _>(3)?).unwrap_or(0);
        let runs = u32::try_from(row.try_get::<i32, _>(4)?).unwrap_or(0);
        let lease = Lease::new(Key::id(row.try_get(1)?, row.try_get(2)?), token);
        events.push((place, ClaimedEvent::new(lease, runs, order, row.try_get::<String, _>(5)?)));
    }
    // The order in which an UPDATE returns its rows is not that in which they were due.
    events.sort_unstable_by_key(|(place, _)| *place);
    Ok(events.into_iter().map(|(_, event)| event).collect())
}

async fn postpone(
    connection: &mut PgConnection,
    put_off: &[(i64, DateTime<Utc>)],
) -> Result<(), sqlx::Error> {
    if put_off.is_empty() {
        return Ok(());
    }
    let (positions, wakes): (Vec<_>, Vec<_>) = put_off.iter().copied().unzip();
    sqlx::query(PUT_OFF).bind(positions).bind(wakes).execute(connection).await?;
    Ok(())
}
