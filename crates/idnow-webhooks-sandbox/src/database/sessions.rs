//! Sessions: made and changed.

mod read;

use async_trait::async_trait;
use sqlx::Row as _;
use uuid::Uuid;

use super::codes::Code;
use super::events::{NewEvent, emit};
use super::ids::{id_of, row_of};
use super::row::json;
use super::unit::{Fault, NextExpiry, Numbers, Unit, Work};
use crate::clock::{Micros, time};
use crate::error::Error;
use crate::live::Change;
use crate::model::{EventKind, Session, SessionStatus, Step};
use crate::rules::lifecycle::advance;
use read::{COLUMNS, course};

#[cfg(test)]
pub(super) use read::list_query;
pub(super) use read::one_query;

pub(crate) use read::{by_id, count, list};

/// A session on its way from one status to another.
#[derive(Debug, Clone)]
struct Course {
    row: i64,
    session: Session,
    last_event: Option<i64>,
}

/// Makes a session for each run, which goes through its steps at once.
#[derive(Debug)]
pub(crate) struct Create {
    pub(crate) flow: Uuid,
    pub(crate) environment: String,
    /// Until they expire.
    pub(crate) ttl: Micros,
    pub(crate) runs: Vec<&'static [Step]>,
}

#[async_trait]
impl Work for Create {
    type Output = Vec<Session>;

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<Vec<Session>, Fault> {
        let (flow_row, _) = unit.known.flow(self.flow)?;
        let now = time(unit.now);
        let mut courses = Vec::with_capacity(self.runs.len());
        let mut events = Vec::new();
        for run in &self.runs {
            let row = Numbers::next(&mut unit.numbers.session);
            let session = Session {
                id: id_of(row),
                flow_id: self.flow,
                environment: self.environment.clone(),
                status: SessionStatus::Created,
                outcome: None,
                last_step: None,
                events: 0,
                created_at: now,
                started_at: None,
                updated_at: now,
                completed_at: None,
                expires_at: time(unit.now.saturating_add(self.ttl)),
            };
            let mut course = Course { row, session, last_event: None };
            events.push(happened(unit, &mut course, EventKind::Created));
            for step in *run {
                events.extend(take_step(unit, &mut course, *step)?);
            }
            courses.push(course);
        }
        insert(unit, flow_row, &courses).await?;
        finish(unit, &events).await?;
        for course in &courses {
            unit.outcome.tally.sessions(course.session.status, 1);
            unit.tell(|| Change::Session { id: course.session.id });
        }
        let expiry = unit.now.saturating_add(self.ttl);
        if courses.iter().any(|course| course.session.status.is_open()) {
            unit.outcome.expiry = Some(unit.outcome.expiry.map_or(expiry, |other| other.min(expiry)));
        }
        Ok(courses.into_iter().map(|course| course.session).collect())
    }
}

/// Lets something happen to a session. If its time has run out, that is all that happens to it: the refusal is the output
/// then, as something was written.
#[derive(Debug)]
pub(crate) struct Drive {
    pub(crate) session: Uuid,
    pub(crate) step: Step,
}

#[async_trait]
impl Work for Drive {
    type Output = Result<Session, Error>;

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<Self::Output, Fault> {
        let row = sqlx::query(sqlx::AssertSqlSafe(one_query()))
            .bind(row_of(self.session))
            .bind(self.session.as_bytes().as_slice())
            .fetch_optional(&mut *unit.connection)
            .await?;
        let row = row.ok_or_else(|| Error::not_found("session", self.session))?;
        let mut course = course(&row)?;
        let before = course.session.status;
        let too_late = before.is_open() && course.session.expires_at <= time(unit.now);
        let step = if too_late { Step::Expire } else { self.step };
        let events: Vec<_> = take_step(unit, &mut course, step)?.into_iter().collect();
        change(unit, &[(before, course.clone())], &events).await?;
        if too_late && self.step != Step::Expire {
            // It says that the session has ended, and how.
            return Ok(take_step(unit, &mut course, self.step).map(|_| course.session));
        }
        Ok(Ok(course.session))
    }
}

/// How long a session is put off that has run out of time and cannot be read.
const LONGER: Micros = 3_600_000_000;

pub(super) const PUT_OFF: &str =
    "UPDATE sessions SET expires_at = ?2 WHERE id IN (SELECT value FROM json_each(?1))";

pub(super) fn expired_query() -> String {
    format!("SELECT {COLUMNS} WHERE s.status < 2 AND s.expires_at <= ?1 ORDER BY s.expires_at LIMIT ?2")
}

pub(super) const NEXT_EXPIRY: &str = "SELECT min(expires_at) FROM sessions WHERE status < 2";

/// Ends sessions whose time has run out, at most so many.
#[derive(Debug)]
pub(crate) struct Expire {
    pub(crate) limit: u32,
}

#[async_trait]
impl Work for Expire {
    /// When the next one expires, which may have been before now.
    type Output = Option<Micros>;

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<Option<Micros>, Fault> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(expired_query())).bind(unit.now).bind(self.limit);
        let rows = rows.fetch_all(&mut *unit.connection).await?;
        let (mut courses, mut events) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let mut unreadable = Vec::new();
        for row in &rows {
            let mut course = match course(row) {
                Ok(course) => course,
                Err(error) => {
                    let row: i64 = row.try_get(0)?;
                    tracing::error!(row, %error, "a session whose time is up cannot be read; it is put off");
                    unreadable.push(row);
                    continue;
                }
            };
            let before = course.session.status;
            events.extend(take_step(unit, &mut course, Step::Expire)?);
            courses.push((before, course));
        }
        put_off(unit, &unreadable).await?;
        change(unit, &courses, &events).await?;
        let next = sqlx::query_scalar(NEXT_EXPIRY).fetch_one(&mut *unit.connection).await?;
        unit.outcome.next_expiry = Some(NextExpiry(next));
        Ok(next)
    }
}

/// So that what cannot be read now neither keeps others from expiring, nor is looked at all the time.
async fn put_off(unit: &mut Unit<'_>, rows: &[i64]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(PUT_OFF)
        .bind(json(&rows)?)
        .bind(unit.now.saturating_add(LONGER))
        .execute(&mut *unit.connection)
        .await?;
    Ok(())
}

/// An event that a session has had, with what it told then.
type Happened = (i64, EventKind, Option<i64>, Course);

fn happened(unit: &mut Unit<'_>, course: &mut Course, kind: EventKind) -> Happened {
    let row = Numbers::next(&mut unit.numbers.event);
    let previous = course.last_event.replace(row);
    course.session.events = course.session.events.saturating_add(1);
    (row, kind, previous, course.clone())
}

fn take_step(unit: &mut Unit<'_>, course: &mut Course, step: Step) -> Result<Option<Happened>, Error> {
    let session = &mut course.session;
    let advance = advance(session.status, session.last_step.as_ref(), step).map_err(Error::conflict)?;
    let now = time(unit.now);
    session.status = advance.status;
    session.outcome = advance.outcome;
    session.last_step = advance.last_step;
    session.updated_at = now;
    if matches!(advance.status, SessionStatus::Running | SessionStatus::Completed) {
        session.started_at.get_or_insert(now);
    }
    if !advance.status.is_open() {
        session.completed_at = Some(now);
    }
    if advance.status == SessionStatus::Expired {
        // It may have been told to.
        session.expires_at = session.expires_at.min(now);
    }
    Ok(advance.event.map(|kind| happened(unit, course, kind)))
}

async fn insert(unit: &mut Unit<'_>, flow: i64, courses: &[Course]) -> Result<(), sqlx::Error> {
    let mut rows = Vec::with_capacity(courses.len());
    for course in courses {
        let session = &course.session;
        rows.push((
            course.row,
            session.id.simple().to_string(),
            &session.environment,
            session.status.code(),
            session.outcome.map(Code::code),
            session.last_step.as_ref().map(json).transpose()?,
            session.events,
            course.last_event,
            session.created_at.timestamp_micros(),
            session.started_at.map(|at| at.timestamp_micros()),
            session.updated_at.timestamp_micros(),
            session.completed_at.map(|at| at.timestamp_micros()),
            session.expires_at.timestamp_micros(),
        ));
    }
    sqlx::query(
        "INSERT INTO sessions (id, uuid, flow, environment, status, outcome, last_step, events, last_event, created_at,
                               started_at, updated_at, completed_at, expires_at)
         SELECT value ->> 0, unhex(value ->> 1), ?2, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
                value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12
         FROM json_each(?1)",
    )
    .bind(json(&rows)?)
    .bind(flow)
    .execute(&mut *unit.connection)
    .await?;
    Ok(())
}

pub(super) const CHANGE: &str =
    "UPDATE sessions SET status = r.value ->> 1, outcome = r.value ->> 2, last_step = r.value ->> 3,
         events = r.value ->> 4, last_event = r.value ->> 5, started_at = r.value ->> 6, updated_at = r.value ->> 7,
         completed_at = r.value ->> 8, expires_at = r.value ->> 9
     FROM json_each(?1) AS r WHERE sessions.id = r.value ->> 0";

/// Writes sessions that have changed, with the status that they had, and their events.
async fn change(
    unit: &mut Unit<'_>,
    courses: &[(SessionStatus, Course)],
    events: &[Happened],
) -> Result<(), sqlx::Error> {
    if courses.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(courses.len());
    for (before, course) in courses {
        let session = &course.session;
        unit.outcome.tally.sessions(*before, -1);
        unit.outcome.tally.sessions(session.status, 1);
        unit.tell(|| Change::Session { id: session.id });
        rows.push((
            course.row,
            session.status.code(),
            session.outcome.map(Code::code),
            session.last_step.as_ref().map(json).transpose()?,
            session.events,
            course.last_event,
            session.started_at.map(|at| at.timestamp_micros()),
            session.updated_at.timestamp_micros(),
            session.completed_at.map(|at| at.timestamp_micros()),
            session.expires_at.timestamp_micros(),
        ));
    }
    sqlx::query(CHANGE).bind(json(&rows)?).execute(&mut *unit.connection).await?;
    finish(unit, events).await
}

async fn finish(unit: &mut Unit<'_>, events: &[Happened]) -> Result<(), sqlx::Error> {
    let new = events.iter().map(|(row, kind, previous, course)| NewEvent {
        row: *row,
        kind: *kind,
        sequence: course.session.events,
        previous: *previous,
        session: course.row,
        flow: course.session.flow_id,
        environment: &course.session.environment,
        status: course.session.status,
        last_step: course.session.last_step.as_ref(),
    });
    emit(unit, &new.collect::<Vec<_>>()).await
}
