use std::collections::HashMap;
use std::path::PathBuf;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Row as _, SqliteConnection};

/// The store's tables, read by SQL that owes nothing to the store.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// A URL.
    Postgres(String),
}

/// An event as it stands in the store's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `eventId`.
    pub id: String,
    /// 0 waiting, 1 running, 2 completed, 3 dead.
    pub state: i64,
    /// How often it was handed out.
    pub runs: i64,
}

/// Without an index: one that is out of step with its table must not hide a row.
const POSTGRES_EVENTS: &str = "
    SELECT COALESCE(event_id, CAST(key AS text), 'no event'), CAST(state AS text), CAST(runs AS text)
    FROM idnow_webhooks_events FULL JOIN idnow_webhooks_states USING (position)";
const SQLITE_EVENTS: &str = "
    SELECT CASE typeof(event_id) WHEN 'blob' THEN lower(hex(event_id)) ELSE event_id END,
        CAST(state AS TEXT), CAST(runs AS TEXT)
    FROM idnow_webhooks_events NOT INDEXED";

enum Open {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "without the database there is no test")]
impl Database {
    /// Makes the user's tables, into which handlers count: neither keeps anything from being counted twice.
    pub async fn prepare(&self) {
        let counter = "CREATE TABLE counter (n BIGINT NOT NULL)";
        let handled = "CREATE TABLE handled (event_id TEXT NOT NULL, durability TEXT NOT NULL)";
        for statement in [counter, handled, "INSERT INTO counter VALUES (0)"] {
            self.execute(statement).await;
        }
    }

    /// Every event, in any order.
    pub async fn events(&self) -> Vec<Row> {
        let statement = if matches!(self, Self::Sqlite(_)) { SQLITE_EVENTS } else { POSTGRES_EVENTS };
        let row = |row: Vec<String>| Row {
            id: canonical(&row[0]),
            state: row[1].parse().unwrap(),
            runs: row[2].parse().unwrap(),
        };
        self.rows(statement).await.into_iter().map(row).collect()
    }

    /// How many events are neither completed nor dead letters.
    pub async fn unfinished(&self) -> i64 {
        self.number(match self {
            Self::Sqlite(_) => "SELECT CAST(count(*) AS TEXT) FROM idnow_webhooks_events WHERE state < 2",
            Self::Postgres(_) => "SELECT CAST(count(*) AS text) FROM idnow_webhooks_states WHERE state < 2",
        })
        .await
    }

    /// The events that handlers have counted, and how durable the connections were by which they did.
    pub async fn handled(&self) -> Vec<(String, String)> {
        let rows = self.rows("SELECT event_id, durability FROM handled").await;
        rows.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect()
    }

    /// How many events handlers have counted.
    pub async fn counter(&self) -> i64 {
        self.number("SELECT CAST(n AS TEXT) FROM counter").await
    }

    /// The leases, by event, with the time at which each ends, in microseconds since the epoch. PostgreSQL only.
    pub async fn leases(&self) -> HashMap<String, i64> {
        let statement = "SELECT COALESCE(event_id, CAST(key AS text)),
                CAST(CAST(extract(epoch FROM due) * 1000000 AS bigint) AS text)
            FROM idnow_webhooks_events JOIN idnow_webhooks_states USING (position) WHERE state = 1";
        let rows = self.rows(statement).await;
        rows.into_iter().map(|row| (row[0].clone(), row[1].parse().unwrap())).collect()
    }

    /// What SQLite finds wrong with its file: `ok`.
    pub async fn integrity(&self) -> String {
        self.rows("PRAGMA integrity_check").await[0][0].clone()
    }

    /// A number that a statement gives as text.
    pub async fn number(&self, statement: &'static str) -> i64 {
        self.rows(statement).await[0][0].parse().unwrap()
    }

    /// Runs a statement.
    pub async fn execute(&self, statement: &'static str) {
        match self.open().await {
            Open::Sqlite(mut connection) => {
                sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Open::Postgres(mut connection) => {
                sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// All columns are text.
    async fn rows(&self, statement: &'static str) -> Vec<Vec<String>> {
        match self.open().await {
            Open::Sqlite(mut connection) => {
                let rows = sqlx::query(statement).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                rows.iter().map(|row| (0..row.len()).map(|column| row.get(column)).collect()).collect()
            }
            Open::Postgres(mut connection) => {
                let rows = sqlx::query(statement).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                rows.iter().map(|row| (0..row.len()).map(|column| row.get(column)).collect()).collect()
            }
        }
    }

    async fn open(&self) -> Open {
        match self {
            Self::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
                Open::Sqlite(options.disable_statement_logging().connect().await.unwrap())
            }
            Self::Postgres(url) => Open::Postgres(PgConnection::connect(url).await.unwrap()),
        }
    }
}

/// An id as it was sent, of one that may be stored as the 16 bytes of a UUID.
fn canonical(id: &str) -> String {
    uuid::Uuid::parse_str(id).map_or_else(|_| id.to_owned(), |id| id.to_string())
}
