use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use idnow_webhooks_core::store::{Evidence, Insertion, NewEvent};
use sqlx::sqlite::{SqliteArguments, SqliteQueryResult};
use sqlx::{Arguments as _, AssertSqlSafe, Row as _};

use super::{DEAD, WAITING, signed};
use crate::compact::Compact;
use crate::writer::Unit;

/// The most rows of one statement. There is a prepared statement for every number of rows up to this.
pub(crate) const MOST_ROWS: usize = 64;

const VALUES: &str = "(?,?,?,?,?,1,0,?,?,?,?,?,?,?,?,?)";

/// A worker may claim from now on what was begun inline and is not finished: the provider will not send it again,
/// because this delivery is answered 2xx.
const INTO_QUEUE: &str = "UPDATE idnow_webhooks_events SET queued = 1, wake = due \
    WHERE event_id = ? AND state < 2 AND queued = 0";

/// An event in the form in which it is written, made by the caller and not by the one writer.
#[derive(Debug)]
pub(crate) struct NewRow {
    pub(crate) id: Compact,
    pub(crate) name: Option<String>,
    pub(crate) session: Option<Compact>,
    pub(crate) sequence: i64,
    pub(crate) dead: Option<Arc<str>>,
    pub(crate) evidence: Option<Arc<Evidence>>,
    pub(crate) data: Arc<str>,
}

impl From<NewEvent> for NewRow {
    fn from(event: NewEvent) -> Self {
        Self {
            id: Compact::new(&event.id),
            name: event.name(),
            session: event.session_id().as_deref().map(Compact::new),
            sequence: signed(event.sequence),
            data: event.data().into(),
            dead: event.dead,
            evidence: event.evidence,
        }
    }
}

impl NewRow {
    pub(crate) fn evidence(&self) -> (Option<&str>, Option<&str>) {
        let evidence = self.evidence.as_deref();
        (evidence.and_then(|evidence| evidence.key.as_deref()), evidence.map(|evidence| &*evidence.token))
    }
}

/// Inserts up to [`MOST_ROWS`] events in one statement, and says which were new.
pub(crate) async fn insert(unit: &mut Unit<'_>, rows: &[NewRow]) -> Result<Vec<Insertion>, sqlx::Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut arguments = SqliteArguments::default();
    for row in rows {
        bind(&mut arguments, row, unit.now).map_err(sqlx::Error::Encode)?;
    }
    let inserted = sqlx::query_with(AssertSqlSafe(statement(rows.len())), arguments)
        .execute(&mut *unit.connection)
        .await?;
    if usize::try_from(inserted.rows_affected()) == Ok(rows.len()) {
        unit.news |= rows.iter().any(|row| row.dead.is_none());
        return Ok(vec![Insertion::New; rows.len()]);
    }
    let mut new = new_ids(unit, &inserted).await?;
    let mut insertions = Vec::with_capacity(rows.len());
    for row in rows {
        // Removed, so that the same event once more in this batch is a duplicate of the first.
        if new.remove(&row.id) {
            unit.news |= row.dead.is_none();
            insertions.push(Insertion::New);
        } else {
            let queued = sqlx::query(INTO_QUEUE).bind(&row.id).execute(&mut *unit.connection).await?;
            unit.news |= queued.rows_affected() > 0;
            insertions.push(Insertion::Duplicate);
        }
    }
    Ok(insertions)
}

/// Which rows a statement has inserted. It is asked only where some were not: a statement that returned its rows would
/// cost everyone another trip between threads.
async fn new_ids(unit: &mut Unit<'_>, inserted: &SqliteQueryResult) -> Result<HashSet<Compact>, sqlx::Error> {
    let number = inserted.rows_affected();
    if number == 0 {
        return Ok(HashSet::new());
    }
    // One statement counts its positions up one by one from the highest.
    let last = inserted.last_insert_rowid();
    let sql = "SELECT event_id FROM idnow_webhooks_events WHERE position > ? AND position <= ?";
    let query = sqlx::query(sql).bind(last.saturating_sub(signed(number))).bind(last);
    query.fetch_all(&mut *unit.connection).await?.iter().map(|row| row.try_get(0)).collect()
}

fn bind(arguments: &mut SqliteArguments, row: &NewRow, now: i64) -> Result<(), sqlx::error::BoxDynError> {
    let dead = row.dead.is_some();
    let due = (!dead).then_some(now);
    let (key, token) = row.evidence();
    arguments.add(&row.id)?;
    arguments.add(row.name.as_deref())?;
    arguments.add(row.session.as_ref())?;
    arguments.add(row.sequence)?;
    arguments.add(if dead { DEAD } else { WAITING })?;
    arguments.add(now)?;
    arguments.add(now)?;
    arguments.add(due)?;
    arguments.add(due)?;
    arguments.add(dead.then_some(now))?;
    arguments.add(row.dead.as_deref())?;
    arguments.add(key)?;
    arguments.add(token)?;
    arguments.add(Arc::clone(&row.data))?;
    Ok(())
}

/// The statement for a number of rows. Placeholders have no numbers: looking those up takes SQLite quadratic time.
fn statement(rows: usize) -> Arc<str> {
    static STATEMENTS: [OnceLock<Arc<str>>; MOST_ROWS] = [const { OnceLock::new() }; MOST_ROWS];
    let make = || {
        let mut sql = String::from(
            "INSERT INTO idnow_webhooks_events (event_id, name, session, sequence, state, queued, runs, token, \
             received_at, due, wake, finished_at, error, evidence_key, evidence_token, data) VALUES ",
        );
        for row in 0..rows {
            let _ = write!(sql, "{}{VALUES}", if row == 0 { "" } else { "," });
        }
        sql.push_str(" ON CONFLICT (event_id) DO NOTHING");
        Arc::from(sql)
    };
    match STATEMENTS.get(rows.saturating_sub(1)) {
        Some(statement) => Arc::clone(statement.get_or_init(make)),
        None => make(),
    }
}
