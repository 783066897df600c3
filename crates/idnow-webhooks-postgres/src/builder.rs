use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use idnow_webhooks_core::Clock;
use idnow_webhooks_core::store::Retention;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::runtime::Handle as Runtime;
use tokio::sync::{Mutex, Notify};

use crate::address::connect_options;
use crate::connections::Connections;
use crate::core::{Bell, Core};
use crate::error::{ConnectError, explain};
use crate::floor::Floor;
use crate::insert::Inserts;
use crate::open::Open;
use crate::schema::Schema;
use crate::settle::Settles;
use crate::store::{Handle, PostgresStore};
use crate::work::{LIMIT, OWN};
use crate::{listen, retention};

const MOST_LANES: usize = 64;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// The store's own, besides one for each lane: for claims, the ends of runs, notifications and operators.
const OWN_CONNECTIONS: u32 = 4;
const OWN_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// For so long after its last use a connection is believed to be there.
const FRESH: Duration = Duration::from_secs(1);

/// Sets up a [`PostgresStore`].
#[derive(Debug, Clone)]
#[must_use = "nothing is opened before `connect` or `with_pool`"]
pub struct PostgresStoreBuilder {
    retention: Retention,
    lanes: usize,
    pool_size: u32,
    create_if_missing: bool,
    clock: Option<Arc<dyn Clock>>,
}

impl Default for PostgresStoreBuilder {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            lanes: 2,
            pool_size: 16,
            create_if_missing: true,
            clock: None,
        }
    }
}

impl PostgresStoreBuilder {
    /// How long completed events are remembered (default: 30 days). Parked tokens are kept for 7 days, but never for longer
    /// than this.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// How many commits of new events are under way at once (default: 2; 1 to 64). Each takes all events that wait,
    /// up to 32, and one connection of the store's own.
    pub fn insert_lanes(mut self, lanes: usize) -> Self {
        self.lanes = lanes;
        self
    }

    /// How many connections [`connect`](Self::connect) allows for the transactions of handlers (default: 16; at least 1).
    /// The store's own come on top. A pool of your own has its own size.
    pub fn pool_size(mut self, connections: u32) -> Self {
        self.pool_size = connections;
        self
    }

    /// Whether to make the tables if the database has none (default: yes). Those of an older version are brought up to
    /// date all the same.
    pub fn create_if_missing(mut self, create: bool) -> Self {
        self.create_if_missing = create;
        self
    }

    /// Goes by another clock than the server's. For tests: replicas that go by different clocks would take each
    /// other's events.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Opens the store at an address; see [`PostgresStore::connect`].
    ///
    /// Handlers have up to 16 connections ([`pool_size`](Self::pool_size)), and one that gets none within 3 s fails. The
    /// store's own are as in [`with_pool`](Self::with_pool), so it takes up to 23 in all.
    pub async fn connect(self, url: &str) -> Result<PostgresStore, ConnectError> {
        self.check()?;
        Runtime::try_current().map_err(|_| ConnectError::NoRuntime)?;
        let mut options = connect_options(url)?;
        if options.get_application_name().is_none() {
            options = options.application_name("idnow-webhooks");
        }
        // A pool only says that there was no connection in time, not why.
        let first = async { PgConnection::connect_with(&options).await?.close().await };
        let first = tokio::time::timeout(LIMIT, first).await;
        let first = first.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())));
        first.map_err(|error| ConnectError::Unavailable(explain("connecting to PostgreSQL", &error)))?;
        let pool = PgPoolOptions::new().max_connections(self.pool_size).acquire_timeout(ACQUIRE_TIMEOUT);
        self.with_pool(pool.connect_lazy_with(options)).await
    }

    /// Opens the store beside a pool of your own, from which handlers get their
    /// [transactions](PostgresStore::transaction).
    ///
    /// The store does its own work on other connections, made with the pool's connect options, so that handlers cannot
    /// hold up insertions and heartbeats: as many as there are [`insert_lanes`](Self::insert_lanes), 4 more, and one to
    /// hear of new events. That is up to 7 by default, besides those of the pool.
    ///
    /// The tables are where the `search_path` says. It must be in the connect options (or set for the user or the
    /// database): the pool's hooks do not run for the store's own connections.
    pub async fn with_pool(self, pool: PgPool) -> Result<PostgresStore, ConnectError> {
        self.check()?;
        let runtime = Runtime::try_current().map_err(|_| ConnectError::NoRuntime)?;
        let own = Connections::new(own(&pool, self.lanes));
        let schema = Schema::prepare(&own, self.create_if_missing).await?;
        schema.check(&pool).await?;
        let (bell, floor, news) = (Bell::default(), Floor::default(), Notify::new());
        let (open, patience, parking) = (Open::default(), Mutex::default(), Mutex::default());
        let core = Arc::new(Core {
            own,
            handlers: pool,
            open,
            patience,
            parking,
            schema,
            retention: self.retention,
            clock: self.clock,
            bell,
            floor,
            news,
        });
        // What this store tells others, it need not hear itself.
        let myself = format!("{:016x}", RandomState::new().build_hasher().finish());
        let mut tasks = vec![
            runtime.spawn(listen::tell(Arc::clone(&core), myself.clone())).abort_handle(),
            runtime.spawn(listen::hear(Arc::clone(&core), myself)).abort_handle(),
        ];
        if self.retention != Retention::FOREVER {
            tasks.push(runtime.spawn(retention::run(Arc::clone(&core))).abort_handle());
        }
        let (inserts, settles) = (Inserts::start(&core, self.lanes), Settles::start(&core));
        Ok(PostgresStore::new(Handle { core, inserts, settles, tasks }))
    }

    fn check(&self) -> Result<(), ConnectError> {
        if !(1..=MOST_LANES).contains(&self.lanes) {
            let problem = "must be from 1 to 64: two suffice, as each takes all events that wait";
            return Err(ConnectError::InvalidSetting { setting: "insert_lanes", problem });
        }
        if self.pool_size == 0 {
            let problem = "must be at least 1: without a connection, no handler gets a transaction";
            return Err(ConnectError::InvalidSetting { setting: "pool_size", problem });
        }
        Ok(())
    }
}

/// Connections to where the pool's go, for the store's own work.
fn own(pool: &PgPool, lanes: usize) -> PgPool {
    let lanes = u32::try_from(lanes).unwrap_or(u32::MAX);
    PgPoolOptions::new()
        .max_connections(lanes.saturating_add(OWN_CONNECTIONS))
        .acquire_timeout(OWN_ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| {
            Box::pin(async move { sqlx::raw_sql(OWN).execute(connection).await.map(drop) })
        })
        // One that was in use a moment ago is there: to ask it each time would cost a trip to the server.
        .test_before_acquire(false)
        .before_acquire(|connection, used| {
            Box::pin(async move {
                if used.idle_for >= FRESH {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with((*pool.connect_options()).clone())
}
