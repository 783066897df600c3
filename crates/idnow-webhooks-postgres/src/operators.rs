//! What operators see and do.

use std::time::Duration;

use chrono::{DateTime, Utc};
use idnow_webhooks_core::store::{
    Backlog, EventFilter, EventState, Evidence, Replay, StoreError, StoredEvent,
};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::core::Core;
use crate::error::unavailable;
use crate::key::Key;
use crate::work::{Alone, Work};

const SELECT: &str = "
    SELECT state.position, key, event_id, name, session, session_id, sequence, state.state, runs, received_at, due,
        finished_at, error, data, evidence_token, evidence_key
    FROM idnow_webhooks_states AS state JOIN idnow_webhooks_events AS event ON event.position = state.position
    WHERE true";

pub(crate) const STATE: &str = "
    SELECT state.state FROM idnow_webhooks_events AS event
    JOIN idnow_webhooks_states AS state ON state.position = event.position WHERE event.key = $1";

const REPLAY: &str = "
    UPDATE idnow_webhooks_states AS state
    SET state = 0, runs = 0, due = now, wake = now, queued = true, finished_at = NULL
    FROM (SELECT COALESCE($1::timestamptz, statement_timestamp())) AS clock (now), idnow_webhooks_events AS event
    WHERE event.key = $2 AND state.position = event.position AND state.state IN (0, 3)";

const REPLAY_DEAD: &str = "
    UPDATE idnow_webhooks_states SET state = 0, runs = 0, due = now, wake = now, queued = true, finished_at = NULL
    FROM (SELECT COALESCE($1::timestamptz, statement_timestamp())) AS clock (now)
    WHERE position IN (
        SELECT position FROM idnow_webhooks_states WHERE state = 3 ORDER BY position LIMIT $2
        FOR UPDATE SKIP LOCKED)";

/// What failed inline waits for the provider, and so is nobody's work here.
const BACKLOG: &str = "
    SELECT count(*) FILTER (WHERE state = 0 AND queued), count(*) FILTER (WHERE state = 1),
        (SELECT count(*) FROM idnow_webhooks_states WHERE state = 3), (SELECT count(*) FROM idnow_webhooks_parked),
        min(received_at) FILTER (WHERE state = 0 AND queued), COALESCE($1::timestamptz, statement_timestamp())
    FROM idnow_webhooks_states WHERE state < 2";

/// What an insertion does, with a row of its size, to be rolled back: so it also fails where an insertion would.
const CHECK: &str = "
    WITH new AS (
        INSERT INTO idnow_webhooks_events (key, data) VALUES (md5(random()::text)::uuid, repeat(' ', 1500)) RETURNING position
    )
    INSERT INTO idnow_webhooks_states (position, token, received_at, sequence, runs, state, queued)
    SELECT position, 0, now(), 0, 0, 0, false FROM new";

impl Core {
    pub(crate) async fn list(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
        // PostgreSQL has no such text, so nothing here has it.
        if filter.name.as_ref().is_some_and(|name| name.contains('\0')) {
            return Ok(Vec::new());
        }
        let mut query = QueryBuilder::<Postgres>::new(SELECT);
        if let Some(state) = filter.state {
            // A literal, so that the planner sees which index covers it.
            query.push(format_args!(" AND state.state = {}", number(state)));
        }
        if let Some(name) = &filter.name {
            query.push(" AND name = ").push_bind(name);
        }
        if let Some(session) = &filter.session_id {
            let key = Key::new(session).get();
            // In two parts, as the indexes are.
            query.push(" AND (state.state < 2 AND session = ").push_bind(key);
            query.push(" OR state.state >= 2 AND session = ").push_bind(key).push(")");
        }
        if let Some(before) = filter.before {
            query.push(" AND state.position < ").push_bind(before);
        }
        // Another one: it must see how few are wanted.
        query.push(format_args!(" ORDER BY state.position DESC LIMIT {}", limit(filter.limit)));
        let events = async {
            let rows = query.build().fetch_all(&mut *self.own.acquire().await?).await?;
            rows.iter().map(stored).collect::<Result<Vec<_>, sqlx::Error>>()
        };
        events.await.map_err(|error| unavailable("listing events", &error))
    }

    pub(crate) async fn get(&self, event_id: &str) -> Result<Option<StoredEvent>, StoreError> {
        let mut query = QueryBuilder::<Postgres>::new(SELECT);
        query.push(" AND key = ").push_bind(Key::new(event_id).get());
        let event = async {
            let row = query.build().fetch_optional(&mut *self.own.acquire().await?).await?;
            row.as_ref().map(stored).transpose()
        };
        event.await.map_err(|error| unavailable("reading an event", &error))
    }

    pub(crate) async fn replay(&self, event_id: &str) -> Result<Replay, StoreError> {
        let replay = self.try_replay(event_id).await;
        let replay = replay.map_err(|error| unavailable("replaying an event", &error))?;
        if replay == Replay::Queued {
            self.added();
        }
        Ok(replay)
    }

    async fn try_replay(&self, event_id: &str) -> Result<Replay, sqlx::Error> {
        let key = Key::new(event_id).get();
        let mut work = Work::begin(&self.own, self.settling()).await?;
        let replayed = sqlx::query(REPLAY).bind(self.now()).bind(key).execute(&mut *work).await?;
        let replay = if replayed.rows_affected() > 0 {
            Replay::Queued
        } else {
            match sqlx::query(STATE).bind(key).fetch_optional(&mut *work).await? {
                Some(row) => Replay::Refused(state(row.try_get(0)?)),
                None => Replay::Unknown,
            }
        };
        work.commit().await?;
        Ok(replay)
    }

    pub(crate) async fn replay_dead(&self, most: usize) -> Result<usize, StoreError> {
        let replayed = async {
            let mut work = Work::begin(&self.own, self.settling()).await?;
            let query = sqlx::query(REPLAY_DEAD).bind(self.now()).bind(limit(most));
            let replayed = query.execute(&mut *work).await?.rows_affected();
            work.commit().await?;
            Ok(replayed)
        };
        let replayed = replayed.await.map_err(|error| unavailable("replaying dead letters", &error))?;
        if replayed > 0 {
            self.added();
        }
        Ok(usize::try_from(replayed).unwrap_or(usize::MAX))
    }

    pub(crate) async fn backlog(&self) -> Result<Backlog, StoreError> {
        let backlog = async {
            // For its settings: this must not read the whole table.
            let mut work = Work::begin(&self.own, Alone::No).await?;
            let row = sqlx::query(BACKLOG).bind(self.now()).fetch_one(&mut *work).await?;
            work.roll_back().await?;
            let (oldest, now): (Option<DateTime<Utc>>, DateTime<Utc>) = (row.try_get(4)?, row.try_get(5)?);
            Ok(Backlog {
                waiting: count(&row, 0)?,
                running: count(&row, 1)?,
                dead: count(&row, 2)?,
                parked: count(&row, 3)?,
                oldest_waiting: oldest.map(|at| (now - at).to_std().unwrap_or(Duration::ZERO)),
            })
        };
        backlog.await.map_err(|error| unavailable("counting events", &error))
    }

    pub(crate) async fn completed(&self) -> Result<u64, StoreError> {
        let _one_at_a_time = self.patience.lock().await;
        let completed = async {
            let mut work = Work::long(&self.own).await?;
            let query = sqlx::query("SELECT count(*) FROM idnow_webhooks_states WHERE state = 2");
            let completed = count(&query.fetch_one(&mut *work).await?, 0)?;
            work.roll_back().await?;
            Ok(completed)
        };
        completed.await.map_err(|error| unavailable("counting completed events", &error))
    }

    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        let check = async {
            let mut work = Work::begin(&self.own, Alone::No).await?;
            sqlx::raw_sql(CHECK).execute(&mut *work).await?;
            work.roll_back().await
        };
        check.await.map_err(|error| unavailable("checking whether events can be stored", &error))
    }
}

fn count(row: &PgRow, column: usize) -> Result<u64, sqlx::Error> {
    Ok(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or(0))
}

pub(crate) fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

fn number(state: EventState) -> i16 {
    match state {
        EventState::Waiting => 0,
        EventState::Running => 1,
        EventState::Completed => 2,
        EventState::Dead => 3,
    }
}

fn state(number: i16) -> EventState {
    EventState::ALL.into_iter().find(|state| self::number(*state) == number).unwrap_or(EventState::Dead)
}

fn stored(row: &PgRow) -> Result<StoredEvent, sqlx::Error> {
    let evidence: Option<String> = row.try_get("evidence_token")?;
    let key: Option<String> = row.try_get("evidence_key")?;
    let session: Option<Uuid> = row.try_get("session")?;
    let session_id: Option<String> = row.try_get("session_id")?;
    Ok(StoredEvent {
        position: row.try_get("position")?,
        id: Key::id(row.try_get("key")?, row.try_get("event_id")?),
        name: row.try_get("name")?,
        session_id: session.map(|key| Key::id(key, session_id)),
        sequence: u64::try_from(row.try_get::<i64, _>("sequence")?).unwrap_or(0),
        state: state(row.try_get("state")?),
        runs: u32::try_from(row.try_get::<i32, _>("runs")?).unwrap_or(0),
        received_at: row.try_get("received_at")?,
        due_at: row.try_get("due")?,
        finished_at: row.try_get("finished_at")?,
        error: row.try_get("error")?,
        data: Some(row.try_get("data")?),
        evidence: evidence.map(|token| Evidence::new(token, key)),
    })
}
