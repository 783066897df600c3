//! The tables, and how a file of an older version gets them.

use sqlx::{Connection as _, Row as _, SqliteConnection};

/// The version that this software writes.
pub(crate) const KNOWN: u32 = 1;

/// What leads from one version to the next; a version is a number of steps.
///
/// Times are microseconds since the epoch. The numbers of states stand in `codes.rs`. Rows count up; the ids of sessions
/// and events, which are random, tell their rows (`ids.rs`), so that no index of random keys is needed: each of its
/// entries would be on a page of its own. URLs and issuers stand in `texts`, once each.
///
/// No row is ever used twice: those that are `gone` count, too.
///
/// The deliveries of an event are made with it and follow one another. A delivery that has a `started_at` is in an attempt
/// whose outcome is not known; the `attempts` have the others. `base` is how many attempts there were when it was last
/// retriggered, and those since that were cut off: they use up no retry. A retired key has no private half any more.
const STEPS: [&str; KNOWN as usize] = ["
    CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE clients (id TEXT PRIMARY KEY, secret TEXT NOT NULL) STRICT;
    CREATE TABLE keys (
        id INTEGER PRIMARY KEY,
        kid TEXT NOT NULL UNIQUE,
        modulus BLOB NOT NULL,
        exponent BLOB NOT NULL,
        pkcs8 BLOB,
        state INTEGER NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE flows (
        id INTEGER PRIMARY KEY,
        uuid BLOB NOT NULL UNIQUE,
        name TEXT NOT NULL,
        ttl INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        deleted_at INTEGER
    ) STRICT;
    CREATE TABLE endpoints (
        id INTEGER PRIMARY KEY,
        uuid BLOB NOT NULL UNIQUE,
        flow INTEGER NOT NULL,
        environment TEXT NOT NULL,
        url INTEGER NOT NULL,
        description TEXT NOT NULL,
        headers TEXT NOT NULL,
        events TEXT NOT NULL,
        enabled INTEGER NOT NULL,
        in_header INTEGER NOT NULL,
        concurrency INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        deleted_at INTEGER
    ) STRICT;
    CREATE TABLE sessions (
        id INTEGER PRIMARY KEY,
        uuid BLOB NOT NULL,
        flow INTEGER NOT NULL,
        environment TEXT NOT NULL,
        status INTEGER NOT NULL,
        outcome INTEGER,
        last_step TEXT,
        events INTEGER NOT NULL,
        last_event INTEGER,
        created_at INTEGER NOT NULL,
        started_at INTEGER,
        updated_at INTEGER NOT NULL,
        completed_at INTEGER,
        expires_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX sessions_open ON sessions (expires_at) WHERE status < 2;
    CREATE INDEX sessions_of ON sessions (flow, environment);
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        uuid BLOB NOT NULL,
        session INTEGER NOT NULL,
        previous INTEGER,
        kind INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        status INTEGER NOT NULL,
        last_step TEXT,
        occurred_at INTEGER NOT NULL,
        first_delivery INTEGER NOT NULL,
        deliveries INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY,
        event INTEGER NOT NULL,
        endpoint INTEGER NOT NULL,
        state INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        base INTEGER NOT NULL,
        next_at INTEGER,
        dead_reason INTEGER,
        created_at INTEGER NOT NULL,
        finished_at INTEGER,
        started_at INTEGER,
        key INTEGER,
        url INTEGER,
        issuer INTEGER
    ) STRICT;
    CREATE INDEX deliveries_to ON deliveries (endpoint);
    CREATE INDEX deliveries_waiting ON deliveries (endpoint, next_at) WHERE state = 0;
    CREATE INDEX deliveries_sending ON deliveries (id) WHERE state = 1;
    CREATE INDEX deliveries_dead ON deliveries (id) WHERE state = 3;
    CREATE INDEX deliveries_dead_to ON deliveries (endpoint) WHERE state = 3;
    CREATE TABLE attempts (
        delivery INTEGER NOT NULL,
        number INTEGER NOT NULL,
        started_at INTEGER NOT NULL,
        took INTEGER NOT NULL,
        key INTEGER NOT NULL,
        url INTEGER NOT NULL,
        issuer INTEGER NOT NULL,
        answer TEXT,
        faults TEXT,
        PRIMARY KEY (delivery, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE gone (session INTEGER NOT NULL, event INTEGER NOT NULL, delivery INTEGER NOT NULL) STRICT;
    INSERT INTO gone VALUES (0, 0, 0);
"];

/// What a file was before it was opened.
pub(crate) enum Found {
    /// It has the tables now.
    Usable,
    /// It is of a version from the future.
    Newer(i64),
    /// It is a database of something else.
    Foreign,
}

/// Brings a file to the version of this software.
pub(crate) async fn migrate(connection: &mut SqliteConnection) -> Result<Found, sqlx::Error> {
    // Nothing is written to a file that is not ours.
    let version = match version(connection).await? {
        None => return Ok(Found::Foreign),
        Some(version) if version > i64::from(KNOWN) => return Ok(Found::Newer(version)),
        Some(version) if version == i64::from(KNOWN) => return Ok(Found::Usable),
        Some(version) => version,
    };
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for step in STEPS.iter().skip(usize::try_from(version).unwrap_or_default()) {
        sqlx::raw_sql(*step).execute(&mut *transaction).await?;
    }
    let table = "CREATE TABLE IF NOT EXISTS sandbox_schema (version INTEGER NOT NULL) STRICT; DELETE FROM sandbox_schema";
    sqlx::raw_sql(table).execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO sandbox_schema VALUES (?)").bind(KNOWN).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Found::Usable)
}

/// 0 of an empty file; none of the database of something else.
async fn version(connection: &mut SqliteConnection) -> Result<Option<i64>, sqlx::Error> {
    let tables =
        "SELECT count(*), coalesce(sum(name = 'sandbox_schema'), 0) FROM sqlite_master WHERE type = 'table'";
    let tables = sqlx::query(tables).fetch_one(&mut *connection).await?;
    match (tables.try_get::<i64, _>(0)?, tables.try_get::<i64, _>(1)?) {
        (0, _) => Ok(Some(0)),
        (_, 0) => Ok(None),
        _ => {
            let version = "SELECT coalesce(max(version), 0) FROM sandbox_schema";
            sqlx::query(version).fetch_one(connection).await?.try_get(0).map(Some)
        }
    }
}
