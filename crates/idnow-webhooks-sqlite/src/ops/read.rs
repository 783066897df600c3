use std::time::Duration;

use chrono::{DateTime, Utc};
use idnow_webhooks_core::store::{Backlog, EventFilter, EventState, Evidence, StoredEvent};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};

use super::{COMPLETED, DEAD, RUNNING, WAITING, unsigned};
use crate::compact::Compact;

const COLUMNS: &str = "SELECT position, event_id, name, session, sequence, state, runs, received_at, due, finished_at, \
    error, evidence_key, evidence_token, data FROM idnow_webhooks_events";

pub(crate) async fn get(
    connection: &mut SqliteConnection,
    id: &Compact,
) -> Result<Option<StoredEvent>, sqlx::Error> {
    // What is in no index is looked for among the rows themselves.
    let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
    query
        .push(" WHERE position = (SELECT position FROM idnow_webhooks_ids WHERE event_id = ")
        .push_bind(id)
        .push(") AND event_id = ")
        .push_bind(id)
        .push(" UNION ALL ")
        .push(COLUMNS)
        .push(" WHERE position > (SELECT merged FROM idnow_webhooks_recent) AND event_id = ")
        .push_bind(id)
        .push(" LIMIT 1");
    query.build().fetch_optional(connection).await?.map(|row| stored(&row)).transpose()
}

pub(crate) async fn list(
    connection: &mut SqliteConnection,
    filter: &EventFilter,
) -> Result<Vec<StoredEvent>, sqlx::Error> {
    let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
    query.push(" WHERE ");
    // The most selective index first: unfinished events and dead letters are few among those that are kept.
    if let Some(session) = &filter.session_id {
        let session = Compact::new(session);
        query
            .push("position IN (SELECT position FROM idnow_webhooks_events INDEXED BY idnow_webhooks_open_sessions WHERE wake > 0 AND session IS NOT NULL AND session = ")
            .push_bind(session.clone())
            // What is new or handled inline is in no index of sessions.
            .push(" UNION ALL SELECT position FROM idnow_webhooks_events INDEXED BY idnow_webhooks_open WHERE state < 2 AND wake = 0 AND session = ")
            .push_bind(session.clone())
            .push(" UNION ALL SELECT position FROM idnow_webhooks_events INDEXED BY idnow_webhooks_open WHERE state < 2 AND wake IS NULL AND session = ")
            .push_bind(session.clone())
            .push(" UNION ALL SELECT position FROM idnow_webhooks_events INDEXED BY idnow_webhooks_closed_sessions WHERE state >= 2 AND session IS NOT NULL AND session = ")
            .push_bind(session)
            .push(")");
    } else {
        query.push(match filter.state {
            Some(EventState::Waiting | EventState::Running) => {
                "position IN (SELECT position FROM idnow_webhooks_events INDEXED BY idnow_webhooks_open WHERE state < 2)"
            }
            Some(EventState::Dead) => {
                "position IN (SELECT position FROM idnow_webhooks_events INDEXED BY idnow_webhooks_dead WHERE state = 3)"
            }
            Some(EventState::Completed) | None => "TRUE",
        });
    }
    if let Some(state) = filter.state {
        query.push(" AND +state = ").push_bind(number(state));
    }
    if let Some(name) = &filter.name {
        query.push(" AND name = ").push_bind(name);
    }
    if let Some(before) = filter.before {
        query.push(" AND position < ").push_bind(before);
    }
    query.push(" ORDER BY position DESC LIMIT ").push_bind(i64::try_from(filter.limit).unwrap_or(i64::MAX));
    query.build().fetch_all(connection).await?.iter().map(stored).collect()
}

pub(crate) async fn backlog(connection: &mut SqliteConnection, now: i64) -> Result<Backlog, sqlx::Error> {
    // All of it from the indexes alone. What failed inline has no `wake`: it is the provider's to try again.
    let sql = "SELECT coalesce(sum(state = 0 AND wake IS NOT NULL), 0), coalesce(sum(state = 1), 0), \
               min(CASE WHEN state = 0 AND wake IS NOT NULL THEN received_at END), \
               (SELECT count(*) FROM idnow_webhooks_events INDEXED BY idnow_webhooks_dead WHERE state = 3), \
               (SELECT count(*) FROM idnow_webhooks_parked) \
               FROM idnow_webhooks_events INDEXED BY idnow_webhooks_open WHERE state < 2";
    let row = sqlx::query(sql).fetch_one(connection).await?;
    let oldest: Option<i64> = row.try_get(2)?;
    Ok(Backlog {
        waiting: unsigned(row.try_get(0)?),
        running: unsigned(row.try_get(1)?),
        dead: unsigned(row.try_get(3)?),
        parked: unsigned(row.try_get(4)?),
        oldest_waiting: oldest.map(|at| Duration::from_micros(unsigned(now.saturating_sub(at)))),
    })
}

pub(crate) async fn completed(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let sql =
        "SELECT count(*) FROM idnow_webhooks_events INDEXED BY idnow_webhooks_completed WHERE state = 2";
    Ok(unsigned(sqlx::query(sql).fetch_one(connection).await?.try_get(0)?))
}

fn stored(row: &SqliteRow) -> Result<StoredEvent, sqlx::Error> {
    let key: Option<String> = row.try_get("evidence_key")?;
    let token: Option<String> = row.try_get("evidence_token")?;
    let session: Option<Compact> = row.try_get("session")?;
    let time = |column: &str| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(time));
    Ok(StoredEvent {
        position: row.try_get("position")?,
        id: row.try_get::<Compact, _>("event_id")?.expand(),
        name: row.try_get("name")?,
        session_id: session.as_ref().map(Compact::expand),
        sequence: unsigned(row.try_get("sequence")?),
        state: state(row.try_get("state")?)?,
        runs: row.try_get("runs")?,
        received_at: self::time(row.try_get("received_at")?),
        due_at: time("due")?,
        finished_at: time("finished_at")?,
        error: row.try_get("error")?,
        data: row.try_get("data")?,
        evidence: token.map(|token| Evidence::new(token, key)),
    })
}

pub(crate) fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn number(state: EventState) -> i64 {
    match state {
        EventState::Waiting => WAITING,
        EventState::Running => RUNNING,
        EventState::Completed => COMPLETED,
        EventState::Dead => DEAD,
    }
}

pub(crate) fn state(number: i64) -> Result<EventState, sqlx::Error> {
    match number {
        WAITING => Ok(EventState::Waiting),
        RUNNING => Ok(EventState::Running),
        COMPLETED => Ok(EventState::Completed),
        DEAD => Ok(EventState::Dead),
        other => Err(sqlx::Error::Decode(format!("an event cannot be in state {other}").into())),
    }
}
