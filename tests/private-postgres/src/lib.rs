//! A private, real PostgreSQL server for tests: its own data folder, port and password, `fsync` on.
//!
//! It needs PostgreSQL's binaries on this machine, nothing running and no root. As root, it runs the server as the user
//! `postgres` or `nobody`, because PostgreSQL refuses to run as root. The server ends with the test process, however
//! that ends, and its folder is removed.

mod binaries;
mod error;
mod folder;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::{Connection, PgConnection};
use tokio::sync::OnceCell;

pub use error::PrivatePostgresError;
use server::Server;

/// A private server. It is stopped, and its folder removed, when this is dropped.
#[derive(Debug)]
pub struct PrivatePostgres {
    server: Arc<Server>,
    databases: AtomicUsize,
}

impl PrivatePostgres {
    /// Starts a server of one's own, for tests that stop or kill it. Takes about a second.
    ///
    /// # Errors
    ///
    /// PostgreSQL is not installed, or does not start; the error says what to do, or what it wrote.
    pub async fn start() -> Result<Self, PrivatePostgresError> {
        let server = blocking(|| Server::create().map(Arc::new)).await?;
        let this = Self { server, databases: AtomicUsize::new(0) };
        this.ready().await?;
        Ok(this)
    }

    /// The server that the tests of this process share, started at the first call. It lives as long as the process.
    pub async fn shared() -> Result<&'static Self, PrivatePostgresError> {
        static SHARED: OnceCell<PrivatePostgres> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// The address of a database on this server, with the password of its superuser.
    pub fn url(&self, database: &str) -> String {
        self.server.url(database)
    }

    /// Makes a fresh, empty database, and gives its address.
    pub async fn create_database(&self) -> Result<String, PrivatePostgresError> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&self.url("postgres")).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(self.url(&name))
    }

    /// Kills the whole server at once, all its processes with SIGKILL. Only what was written survives.
    pub async fn kill(&self) -> Result<(), PrivatePostgresError> {
        let server = Arc::clone(&self.server);
        blocking(move || server.kill()).await
    }

    /// Ends all connections, finishes what was committed, and stops.
    pub async fn stop(&self) -> Result<(), PrivatePostgresError> {
        let server = Arc::clone(&self.server);
        blocking(move || server.stop()).await
    }

    /// Starts the server again after [`kill`](Self::kill) or [`stop`](Self::stop), on the same port and folder; stops
    /// it first if it runs. Returns when it accepts connections.
    pub async fn restart(&self) -> Result<(), PrivatePostgresError> {
        let server = Arc::clone(&self.server);
        blocking(move || server.restart(false)).await?;
        self.ready().await
    }

    /// The same, as a standby, which can only be read: until it is promoted, by `SELECT pg_promote()`.
    pub async fn restart_as_standby(&self) -> Result<(), PrivatePostgresError> {
        let server = Arc::clone(&self.server);
        blocking(move || server.restart(true)).await?;
        self.ready().await
    }

    async fn ready(&self) -> Result<(), PrivatePostgresError> {
        let mut last = None;
        for _ in 0..600 {
            match PgConnection::connect(&self.url("postgres")).await {
                Ok(connection) => return Ok(connection.close().await?),
                Err(error) => last = Some(error),
            }
            self.server.check()?;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let last = last.map(|error| error.to_string()).unwrap_or_default();
        Err(PrivatePostgresError::Start(format!("it accepts no connections for 30 s: {last}")))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PrivatePostgresError> + Send + 'static,
) -> Result<T, PrivatePostgresError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(PrivatePostgresError::Start(error.to_string())))
}
