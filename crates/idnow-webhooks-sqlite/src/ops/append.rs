//! The one statement by which events get into the store.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe};

use super::{NewRow, RUNNING, WAITING};
use crate::unit::Unit;

/// The most rows of one statement. There is a prepared statement for every number of rows up to this.
pub(crate) const MOST_ROWS: usize = 64;

const VALUES: &str = "?,?,?,?,?,?,?,?,?,?,?,?,?,?,?";

/// SQLite's code for a position that is taken.
const TAKEN: &str = "1555";

/// In which state an event enters.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry {
    /// A worker may claim it.
    Queue,
    /// It runs inline, under a lease until then.
    Inline { until: i64 },
}

/// Inserts these events, whose ids differ, if all are new: not in the table of ids, and nobody has inserted anything
/// that is not in memory, from where they must not be known. Otherwise nothing is inserted: `false`. It holds also for a
/// statement alone.
pub(crate) async fn append(unit: &mut Unit<'_>, rows: &[&NewRow], entry: Entry) -> Result<bool, sqlx::Error> {
    if rows.is_empty() {
        return Ok(true);
    }
    unit.recent.load(unit.connection).await?;
    let mut arguments = SqliteArguments::default();
    let mut position = unit.recent.last();
    for row in rows {
        position = position.saturating_add(1);
        bind(&mut arguments, position, row, entry, unit.now).map_err(sqlx::Error::Encode)?;
    }
    arguments.add(unit.recent.floor()).map_err(sqlx::Error::Encode)?;
    for row in rows {
        arguments.add(&row.id).map_err(sqlx::Error::Encode)?;
    }
    let query = sqlx::query_with(AssertSqlSafe(statement(rows.len())), arguments);
    let inserted = match query.execute(&mut *unit.connection).await {
        Ok(done) => done.rows_affected(),
        // Another process has inserted something.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(TAKEN) => 0,
        Err(error) => return Err(error),
    };
    if inserted == 0 {
        return Ok(false);
    }
    unit.recent.add(rows.iter().map(|row| &row.id));
    unit.up_to_date = true;
    unit.news |= matches!(entry, Entry::Queue);
    Ok(true)
}

fn bind(
    arguments: &mut SqliteArguments,
    position: i64,
    row: &NewRow,
    entry: Entry,
    now: i64,
) -> Result<(), sqlx::error::BoxDynError> {
    let (state, queued, runs, due, wake) = match entry {
        // Nobody has looked at it yet.
        Entry::Queue => (WAITING, true, 0, now, Some(0)),
        Entry::Inline { until } => (RUNNING, false, 1, until, None),
    };
    let (key, token) = row.evidence();
    arguments.add(position)?;
    arguments.add(&row.id)?;
    arguments.add(row.name.as_deref())?;
    arguments.add(row.session.as_ref())?;
    arguments.add(row.sequence)?;
    arguments.add(state)?;
    arguments.add(queued)?;
    arguments.add(runs)?;
    arguments.add(now)?;
    arguments.add(now)?;
    arguments.add(due)?;
    arguments.add(wake)?;
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
            "INSERT INTO idnow_webhooks_events (position, event_id, name, session, sequence, state, queued, runs, \
             token, received_at, due, wake, evidence_key, evidence_token, data) SELECT ",
        );
        // It must not read the table that it inserts into: SQLite would copy all rows first.
        if rows == 1 {
            sql.push_str(VALUES);
        } else {
            sql.push_str("* FROM (VALUES ");
            for row in 0..rows {
                let _ = write!(sql, "{}({VALUES})", if row == 0 { "" } else { "," });
            }
            sql.push(')');
        }
        sql.push_str(
            " WHERE (SELECT floor FROM idnow_webhooks_recent) = ? \
             AND NOT EXISTS (SELECT 1 FROM idnow_webhooks_ids WHERE event_id IN (?",
        );
        sql.push_str(&",?".repeat(rows.saturating_sub(1)));
        sql.push_str("))");
        Arc::from(sql)
    };
    match STATEMENTS.get(rows.saturating_sub(1)) {
        Some(statement) => Arc::clone(statement.get_or_init(make)),
        None => make(),
    }
}
