//! The tables, and how they came to be.

use sqlx::{Connection, PgConnection, PgPool, Row};

use crate::connections::Connections;
use crate::error::{ConnectError, explain};
use crate::work::DURABLE;

/// What each version adds to the one before it; the first makes version 1.
const MIGRATIONS: &[&str] = &[include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// So that of several replicas that start at once, one makes the tables and the others wait for it.
const LOCK: i64 = 0x6964_6e6f_775f_7765;

/// Where the tables are.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    pub(crate) name: String,
    /// Tells this schema from others in the same database, for locks and notifications.
    pub(crate) key: i64,
}

impl Schema {
    /// Makes the tables if they are missing, unless they are not to be made.
    pub(crate) async fn prepare(connections: &Connections, create: bool) -> Result<Self, Unprepared> {
        let mut connection = connections.acquire().await?;
        let mut transaction = connection.begin_with(DURABLE).await?;
        let schema = migrate(&mut transaction, create).await?;
        transaction.commit().await?;
        Ok(schema)
    }

    /// Whether other connections find the same tables.
    pub(crate) async fn check(&self, pool: &PgPool) -> Result<(), Unprepared> {
        let found = place(&mut *pool.acquire().await?).await?;
        if found.as_ref() == Some(&self.name) {
            Ok(())
        } else {
            Err(ConnectError::SearchPath(self.name.clone()).into())
        }
    }
}

/// Why the tables cannot be used. Its conversions are its own, as those of [`ConnectError`] are everybody's.
#[derive(Debug)]
pub(crate) struct Unprepared(ConnectError);

impl From<sqlx::Error> for Unprepared {
    fn from(error: sqlx::Error) -> Self {
        Self(ConnectError::Unavailable(explain("preparing the tables", &error)))
    }
}

impl From<ConnectError> for Unprepared {
    fn from(error: ConnectError) -> Self {
        Self(error)
    }
}

impl From<Unprepared> for ConnectError {
    fn from(Unprepared(error): Unprepared) -> Self {
        error
    }
}

async fn migrate(connection: &mut PgConnection, create: bool) -> Result<Schema, Unprepared> {
    let server = "SELECT current_setting('server_version_num')::int4, current_setting('server_version'), \
                  current_setting('server_encoding'), current_schema()::text";
    let row = sqlx::query(server).fetch_one(&mut *connection).await?;
    if row.try_get::<i32, _>(0)? < 120_000 {
        return Err(ConnectError::TooOld(row.try_get(1)?).into());
    }
    let encoding: String = row.try_get(2)?;
    if encoding != "UTF8" {
        return Err(ConnectError::Encoding(encoding).into());
    }
    if row.try_get::<Option<String>, _>(3)?.is_none() {
        return Err(ConnectError::NoSchema.into());
    }
    if !create && place(connection).await?.is_none() {
        return Err(ConnectError::NoStore.into());
    }
    // Building an index on many rows takes its time, and the other replicas wait for it.
    let patience = "SET LOCAL lock_timeout = '10min'; SET LOCAL statement_timeout = 0";
    sqlx::raw_sql(patience).execute(&mut *connection).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *connection).await?;
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    let mut found = 0;
    if let Some(schema) = place(connection).await? {
        let query = sqlx::query("SELECT max(version) FROM idnow_webhooks_schema");
        let version: Option<i32> = query.fetch_one(&mut *connection).await?.try_get(0)?;
        found = version.unwrap_or(0);
        if found > known {
            return Err(ConnectError::NewerSchema { schema, found, known }.into());
        }
    } else {
        let create = "CREATE TABLE idnow_webhooks_schema (version integer NOT NULL);\
                      INSERT INTO idnow_webhooks_schema VALUES (0);";
        sqlx::raw_sql(create).execute(&mut *connection).await?;
    }
    if found < known {
        for step in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
            sqlx::raw_sql(*step).execute(&mut *connection).await?;
        }
        let update = sqlx::query("UPDATE idnow_webhooks_schema SET version = $1").bind(known);
        update.execute(&mut *connection).await?;
    }
    let name = place(connection).await?.ok_or(ConnectError::NoSchema)?;
    let row = sqlx::query("SELECT hashtextextended($1, $2)").bind(&name).bind(LOCK);
    let key = row.fetch_one(&mut *connection).await?.try_get(0)?;
    Ok(Schema { name, key })
}

/// The schema that holds the tables, if they exist: the first of the search path that does.
async fn place(connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let query = "SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.oid = to_regclass('idnow_webhooks_schema')";
    sqlx::query(query).fetch_optional(connection).await?.map(|row| row.try_get(0)).transpose()
}
