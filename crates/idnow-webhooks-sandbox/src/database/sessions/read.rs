//! Sessions as they are in the database.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};
use uuid::Uuid;

use super::Course;
use crate::clock::{Micros, time};
use crate::database::codes::Code as _;
use crate::database::ids::row_of;
use crate::database::row::{last_step, number, uuid};
use crate::model::{Outcome, Session, SessionFilter, SessionStatus};

pub(super) const COLUMNS: &str =
    "s.id, s.uuid, f.uuid, s.environment, s.status, s.outcome, s.last_step, s.events, s.last_event,
     s.created_at, s.started_at, s.updated_at, s.completed_at, s.expires_at
     FROM sessions s CROSS JOIN flows f ON f.id = s.flow";

pub(super) fn course(row: &SqliteRow) -> Result<Course, sqlx::Error> {
    let moment = |column| row.try_get(column).map(time);
    let perhaps = |column| row.try_get::<Option<Micros>, _>(column).map(|at| at.map(time));
    let session = Session {
        id: uuid(row, 1)?,
        flow_id: uuid(row, 2)?,
        environment: row.try_get(3)?,
        status: SessionStatus::decode(row.try_get(4)?)?,
        outcome: row.try_get::<Option<i64>, _>(5)?.map(Outcome::decode).transpose()?,
        last_step: last_step(row, 6)?,
        events: number(row, 7)?,
        created_at: moment(9)?,
        started_at: perhaps(10)?,
        updated_at: moment(11)?,
        completed_at: perhaps(12)?,
        expires_at: moment(13)?,
    };
    Ok(Course { row: row.try_get(0)?, session, last_event: row.try_get(8)? })
}

pub(in crate::database) fn one_query() -> String {
    format!("SELECT {COLUMNS} WHERE s.id = ?1 AND s.uuid = ?2")
}

pub(crate) async fn by_id(
    connection: &mut SqliteConnection,
    id: Uuid,
) -> Result<Option<Session>, sqlx::Error> {
    let row = sqlx::query(sqlx::AssertSqlSafe(one_query()))
        .bind(row_of(id))
        .bind(id.as_bytes().as_slice())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(course).transpose().map(|course| course.map(|course| course.session))
}

/// At most `limit` with their rows, the newest first, of those before a row, without the first `offset`.
pub(crate) async fn list(
    connection: &mut SqliteConnection,
    filter: &SessionFilter,
    before: i64,
    offset: i64,
    limit: u32,
) -> Result<Vec<(i64, Session)>, sqlx::Error> {
    let rows = list_query(filter, before, offset, limit).build().fetch_all(connection).await?;
    rows.iter().map(|row| course(row).map(|course| (course.row, course.session))).collect()
}

pub(in crate::database) fn list_query(
    filter: &SessionFilter,
    before: i64,
    offset: i64,
    limit: u32,
) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(COLUMNS).push(" WHERE s.id < ").push_bind(before);
    narrow(&mut query, filter);
    query.push(" ORDER BY s.id DESC LIMIT ").push_bind(limit).push(" OFFSET ").push_bind(offset);
    query
}

pub(crate) async fn count(
    connection: &mut SqliteConnection,
    filter: &SessionFilter,
) -> Result<u64, sqlx::Error> {
    let mut query = QueryBuilder::new("SELECT count(*) FROM sessions s WHERE true");
    narrow(&mut query, filter);
    let row = query.build().fetch_one(connection).await?;
    number(&row, 0)
}

fn narrow(query: &mut QueryBuilder<Sqlite>, filter: &SessionFilter) {
    if let Some(flow) = filter.flow_id {
        query.push(" AND s.flow = (SELECT id FROM flows WHERE uuid = ");
        query.push_bind(flow.as_bytes().to_vec()).push(")");
    }
    if let Some(environment) = &filter.environment {
        query.push(" AND s.environment = ").push_bind(environment.clone());
    }
    if let Some(status) = filter.status {
        query.push(" AND s.status = ").push_bind(status.code());
    }
}
