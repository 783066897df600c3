//! The tables, and how a file of an older version gets them.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Row as _, Sqlite, SqliteConnection};

use crate::error::Cause;

/// The version that this software writes.
pub(crate) const KNOWN: u32 = 2;

/// What leads from one version to the next; a version is a number of steps.
///
/// `state`: 0 waiting, 1 running, 2 completed, 3 dead. Times are microseconds since the epoch. `due` is when an event
/// waits no more, or when the lease on it ends; `wake` is when a claim should look at it: 0 for a new event that none has
/// looked at yet, whatever the time, and null for events that are handled inline. `token` counts from the time of
/// arrival, so that a lease on an event that was forgotten since is never taken for one on the new event of the same
/// id.
///
/// Every index of random keys costs a page for each event. So an insertion is in none: ids get into theirs
/// [many at a time](crate::recent), and sessions into one of two, that of the unfinished who are not new, and that of the
/// finished.
///
/// `merged`: rows up to this position are in the table of ids. `floor`: no row above it was ever forgotten.
///
/// Parked tokens: `received_at` is by the receiver's clock, `stored_at` by that of the store, which decides about their
/// age. Positions are never given twice, since operators page by them.
const STEPS: [&str; KNOWN as usize] = [
    "
    CREATE TABLE idnow_webhooks_events (
        position INTEGER PRIMARY KEY,
        event_id ANY NOT NULL,
        name TEXT,
        session ANY,
        sequence INTEGER NOT NULL,
        state INTEGER NOT NULL,
        queued INTEGER NOT NULL,
        runs INTEGER NOT NULL,
        token INTEGER NOT NULL,
        received_at INTEGER NOT NULL,
        due INTEGER,
        wake INTEGER,
        finished_at INTEGER,
        error TEXT,
        evidence_key TEXT,
        evidence_token TEXT,
        data TEXT NOT NULL
    ) STRICT;
    CREATE INDEX idnow_webhooks_open ON idnow_webhooks_events (wake, state, received_at) WHERE state < 2;
    CREATE INDEX idnow_webhooks_open_sessions ON idnow_webhooks_events (session, sequence)
        WHERE wake > 0 AND session IS NOT NULL;
    CREATE INDEX idnow_webhooks_closed_sessions ON idnow_webhooks_events (session, sequence)
        WHERE state >= 2 AND session IS NOT NULL;
    CREATE INDEX idnow_webhooks_completed ON idnow_webhooks_events (finished_at) WHERE state = 2;
    CREATE INDEX idnow_webhooks_dead ON idnow_webhooks_events (state) WHERE state = 3;
    CREATE TABLE idnow_webhooks_ids (
        event_id ANY PRIMARY KEY,
        position INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE idnow_webhooks_recent (merged INTEGER NOT NULL, floor INTEGER NOT NULL) STRICT;
    INSERT INTO idnow_webhooks_recent (merged, floor) VALUES (0, 0);
",
    "
    CREATE TABLE idnow_webhooks_parked (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        issuer TEXT NOT NULL,
        audience TEXT NOT NULL,
        event_id TEXT,
        event_name TEXT,
        code TEXT NOT NULL,
        reason TEXT NOT NULL,
        is_expected_flow INTEGER NOT NULL,
        received_at INTEGER NOT NULL,
        stored_at INTEGER NOT NULL,
        evidence_token TEXT NOT NULL,
        evidence_key TEXT
    ) STRICT;
    CREATE INDEX idnow_webhooks_parked_origin ON idnow_webhooks_parked (issuer, audience, is_expected_flow);
    CREATE INDEX idnow_webhooks_parked_rank ON idnow_webhooks_parked (is_expected_flow);
    CREATE INDEX idnow_webhooks_parked_stored_at ON idnow_webhooks_parked (stored_at);
",
];

pub(crate) enum Migration {
    Done,
    /// The file is of a version from the future.
    Newer(i64),
    /// The file is a database without the tables, and is to stay so.
    NoStore,
}

/// What is to be said of a file before anything is changed in it, without waiting for a lock. `None`: it is to be
/// [migrated](migrate).
pub(crate) async fn look(
    connection: &mut SqliteConnection,
    create: bool,
) -> Result<Option<Migration>, sqlx::Error> {
    Ok(match version(connection).await? {
        ..=0 if !create => Some(Migration::NoStore),
        found if found > i64::from(KNOWN) => Some(Migration::Newer(found)),
        found if found == i64::from(KNOWN) => Some(Migration::Done),
        _ => None,
    })
}

/// Whether the file can be written, as far as that can be told while somebody else may be writing: `look` would be
/// content with a file that can only be read.
pub(crate) async fn probe(
    connection: &mut SqliteConnection,
    busy_timeout: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("PRAGMA busy_timeout = 0").execute(&mut *connection).await?;
    let begun = sqlx::raw_sql("BEGIN IMMEDIATE; ROLLBACK").execute(&mut *connection).await;
    match begun {
        Err(error) if Cause::of(&error) != Cause::Locked => return Err(error),
        _ => {}
    }
    let restore = format!("PRAGMA busy_timeout = {}", busy_timeout.as_millis());
    sqlx::raw_sql(AssertSqlSafe(restore)).execute(connection).await?;
    Ok(())
}

/// Brings a file to the version of this software. Whoever opens it at the same time waits for the lock.
pub(crate) async fn migrate(connection: &mut SqliteConnection) -> Result<Migration, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let migrated = steps(&mut transaction).await;
    match migrated {
        Ok(Migration::Done) => transaction.commit().await?,
        _ => transaction.rollback().await?,
    }
    migrated
}

async fn steps(connection: &mut SqliteConnection) -> Result<Migration, sqlx::Error> {
    let found = version(connection).await?;
    if found > i64::from(KNOWN) {
        return Ok(Migration::Newer(found));
    }
    if found == i64::from(KNOWN) {
        return Ok(Migration::Done);
    }
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        sqlx::raw_sql(*step).execute(&mut *connection).await?;
    }
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS idnow_webhooks_schema (version INTEGER NOT NULL) STRICT")
        .execute(&mut *connection)
        .await?;
    sqlx::raw_sql("DELETE FROM idnow_webhooks_schema").execute(&mut *connection).await?;
    sqlx::query::<Sqlite>("INSERT INTO idnow_webhooks_schema (version) VALUES (?)")
        .bind(KNOWN)
        .execute(connection)
        .await?;
    Ok(Migration::Done)
}

async fn version(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let table = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'idnow_webhooks_schema'";
    let tables: i64 = sqlx::query(table).fetch_one(&mut *connection).await?.try_get(0)?;
    if tables == 0 {
        return Ok(0);
    }
    sqlx::query("SELECT coalesce(max(version), 0) FROM idnow_webhooks_schema")
        .fetch_one(connection)
        .await?
        .try_get(0)
}
