use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use idnow_webhooks_core::store::{EventStore, MemoryStore, Retention};
use idnow_webhooks_postgres::PostgresStore;
use idnow_webhooks_private_postgres::PrivatePostgres;
use idnow_webhooks_sqlite::SqliteStore;
use idnow_webhooks_testkit::FixedClock;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use crate::watch;

/// What is tested: an implementation of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// In memory.
    Memory,
    /// In a file of its own.
    Sqlite,
    /// In a database of its own, on a server that all cases of the process share.
    Postgres,
}

/// Where the events of one store are.
#[async_trait]
pub(super) trait Place: Send + Sync + fmt::Debug {
    /// Opens the store, as another process would. It forgets nothing by itself.
    async fn open(&self, clock: &FixedClock) -> Arc<dyn EventStore>;

    /// Removes everything.
    async fn remove(&self) {}
}

impl Subject {
    pub(super) async fn place(self) -> Arc<dyn Place> {
        watch::watch();
        match self {
            Self::Memory => Arc::new(Memory::default()),
            Self::Sqlite => Arc::new(File(tempfile::tempdir().unwrap())),
            Self::Postgres => {
                let server = PrivatePostgres::shared().await.unwrap();
                let main = server.url("postgres");
                // User, password, host.
                main.split([':', '@']).nth(2).map(watch::plant);
                Arc::new(Database { url: server.create_database().await.unwrap(), main })
            }
        }
    }
}

/// Memory cannot be opened by anybody else, so all share the one store.
#[derive(Debug, Default)]
struct Memory(tokio::sync::OnceCell<Arc<MemoryStore>>);

#[async_trait]
impl Place for Memory {
    async fn open(&self, clock: &FixedClock) -> Arc<dyn EventStore> {
        let make = || async { Arc::new(MemoryStore::new().with_clock(clock.clone())) };
        Arc::<MemoryStore>::clone(self.0.get_or_init(make).await)
    }
}

#[derive(Debug)]
struct File(TempDir);

#[async_trait]
impl Place for File {
    async fn open(&self, clock: &FixedClock) -> Arc<dyn EventStore> {
        let store = SqliteStore::builder(self.0.path().join("events.db")).retention(Retention::FOREVER);
        Arc::new(store.clock(clock.clone()).open().await.unwrap())
    }
}

struct Database {
    url: String,
    /// Of the database that is always there.
    main: String,
}

#[async_trait]
impl Place for Database {
    async fn open(&self, clock: &FixedClock) -> Arc<dyn EventStore> {
        let store = PostgresStore::builder().retention(Retention::FOREVER).clock(clock.clone());
        Arc::new(store.connect(&self.url).await.unwrap())
    }

    async fn remove(&self) {
        let (_, name) = self.url.rsplit_once('/').unwrap();
        let mut connection = PgConnection::connect(&self.main).await.unwrap();
        let sql = format!("DROP DATABASE {name} WITH (FORCE)");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }
}

/// Without the password.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database")
    }
}
