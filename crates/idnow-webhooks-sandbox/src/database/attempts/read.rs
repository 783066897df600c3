//! Attempts are read.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use crate::chaos::Inflicted;
use crate::clock::time;
use crate::database::row::{decode, number};
use crate::model::{Answer, Attempt};

/// An attempt, and what its token was made of.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) attempt: Attempt,
    pub(crate) issuer: String,
}

/// The columns of an attempt `a`, joined with what it [names](NAMED).
pub(in crate::database) const PAST: &str =
    "a.number, a.started_at, a.took, a.answer, u.text, k.kid, i.text, a.faults";

/// What an attempt `a` names.
pub(in crate::database) const NAMED: &str =
    "LEFT JOIN texts u ON u.id = a.url LEFT JOIN keys k ON k.id = a.key LEFT JOIN texts i ON i.id = a.issuer";

/// The last attempt `a` of a delivery `d` that has an answer.
pub(in crate::database) const LAST_ANSWERED: &str =
    "LEFT JOIN attempts a ON a.delivery = d.id AND a.number = (SELECT number FROM attempts
         WHERE delivery = d.id AND answer IS NOT NULL ORDER BY number DESC LIMIT 1)";

pub(in crate::database) fn list_query() -> String {
    format!(
        "SELECT {PAST}
         FROM (SELECT delivery, number, started_at, took, key, url, issuer, answer, faults FROM attempts
               WHERE delivery = ?1 AND number < ?2
               UNION ALL
               SELECT id, attempts, started_at, 0, key, url, issuer, NULL, NULL FROM deliveries
               WHERE id = ?1 AND attempts < ?2 AND started_at IS NOT NULL) a {NAMED}
         ORDER BY a.number DESC LIMIT ?3"
    )
}

/// At most `limit` of the attempts of a delivery, the last one first, of those before a number. That under way is the last.
pub(crate) async fn list(
    connection: &mut SqliteConnection,
    delivery: i64,
    before: i64,
    limit: u32,
) -> Result<Vec<Past>, sqlx::Error> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(list_query())).bind(delivery).bind(before).bind(limit);
    let rows = rows.fetch_all(connection).await?;
    rows.iter().map(|row| past(row, 0)).collect()
}

/// Its columns begin with `first`.
pub(in crate::database) fn past(row: &SqliteRow, first: usize) -> Result<Past, sqlx::Error> {
    let answer: Option<&str> = row.try_get(first + 3)?;
    let answer: Option<Answer> = answer.map(serde_json::from_str).transpose().map_err(decode)?;
    let faults: Option<&str> = row.try_get(first + 7)?;
    let faults: Option<Vec<Inflicted>> = faults.map(serde_json::from_str).transpose().map_err(decode)?;
    let attempt = Attempt {
        number: number(row, first)?,
        started_at: time(row.try_get(first + 1)?),
        duration_ms: number::<u64>(row, first + 2)? / 1000,
        answer,
        url: row.try_get::<Option<String>, _>(first + 4)?.unwrap_or_default(),
        key_id: row.try_get::<Option<String>, _>(first + 5)?.unwrap_or_default(),
        faults: faults.unwrap_or_default(),
    };
    Ok(Past { attempt, issuer: row.try_get::<Option<String>, _>(first + 6)?.unwrap_or_default() })
}

/// None if there was no such attempt.
pub(in crate::database) fn perhaps_past(row: &SqliteRow, first: usize) -> Result<Option<Past>, sqlx::Error> {
    let is_there = row.try_get::<Option<i64>, _>(first)?.is_some();
    is_there.then(|| past(row, first)).transpose()
}
