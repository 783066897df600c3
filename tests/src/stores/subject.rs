use std::fmt;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use idnow_webhooks_core::store::{EventStore, MemoryStore, Retention};
use idnow_webhooks_postgres::{ConnectError, PostgresStore, PostgresStoreBuilder};
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

/// How often it may have taken too long to connect, and be done anew.
const MOST_TIMED_OUT: usize = 2;
/// A machine that stood still has then caught up.
const PAUSE: Duration = Duration::from_millis(500);
/// What the store says when something has taken too long. Its errors tell people, not programs, why they cannot connect.
const TIMED_OUT: [&str; 3] = ["timed out", "in time", "took too long"];

/// A store on a server that runs. It waits some seconds for a connection, for which a busy machine may stand still: so after
/// a time-out it is asked again, at most twice, which is told on standard error. Every other error fails the case.
pub async fn connected(store: PostgresStoreBuilder, url: &str) -> PostgresStore {
    // Past the capture of the test's output: whoever reads that all has passed is to see it.
    let tell = |notice: &str| std::io::stderr().write_all(notice.as_bytes()).unwrap();
    patiently(|| store.clone().connect(url), tell).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn patiently<T, F: Future<Output = Result<T, ConnectError>>>(
    connect: impl Fn() -> F,
    tell: impl Fn(&str),
) -> Result<T, ConnectError> {
    for _ in 0..MOST_TIMED_OUT {
        match connect().await {
            Err(error) if is_timed_out(&error) => {
                tell(&format!("\nstores: connecting is tried again, as it took too long: {error}\n"));
                tokio::time::sleep(PAUSE).await;
            }
            result => return result,
        }
    }
    connect().await
}

fn is_timed_out(error: &ConnectError) -> bool {
    matches!(error, ConnectError::Unavailable(why) if TIMED_OUT.iter().any(|said| why.contains(said)))
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
        Arc::new(connected(store, &self.url).await)
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::net::TcpListener;

    use super::*;
    use crate::Reserved;

    /// How often is tried what fails like this again and again, and how often that is told.
    async fn tries(error: impl Fn() -> ConnectError) -> (usize, usize) {
        let (tries, told) = (Cell::new(0), Cell::new(0));
        let connect = || async {
            tries.set(tries.get() + 1);
            Err::<(), _>(error())
        };
        let tell = |notice: &str| {
            assert!(notice.contains(&error().to_string()), "{notice}");
            told.set(told.get() + 1);
        };
        patiently(connect, tell).await.unwrap_err();
        (tries.into_inner(), told.into_inner())
    }

    #[tokio::test]
    async fn only_a_time_out_is_tried_again_and_not_for_ever() {
        let unavailable = |why: &'static str| move || ConnectError::Unavailable(why.to_owned());
        assert_eq!(
            tries(unavailable("connecting: lost (timed out)")).await,
            (1 + MOST_TIMED_OUT, MOST_TIMED_OUT)
        );
        assert_eq!(tries(unavailable("the server does not let this user in")).await, (1, 0));
        assert_eq!(tries(|| ConnectError::NoStore).await, (1, 0));
        let failed = Cell::new(false);
        let second = || async {
            let first = !failed.replace(true);
            if first { Err(ConnectError::Unavailable("timed out".into())) } else { Ok("connected") }
        };
        assert_eq!(patiently(second, |_| ()).await.unwrap(), "connected");
    }

    /// The words of the store itself.
    #[tokio::test]
    async fn a_server_that_does_not_answer_is_told_from_one_that_is_not_there() {
        let error = async |address| {
            let url = format!("postgres://user@{address}/database");
            PostgresStore::builder().connect(&url).await.map(drop).unwrap_err()
        };
        // Nobody takes what arrives there.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let timed_out = error(silent.local_addr().unwrap()).await;
        assert!(is_timed_out(&timed_out), "{timed_out}");
        let refused = error(Reserved::new().address()).await;
        assert!(!is_timed_out(&refused), "{refused}");
    }
}
