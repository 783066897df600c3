use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use idnow_webhooks_core::store::{
    Backlog, Beginning, Claim, ClaimedEvent, EventFilter, EventStore, Insertion, Lease, NewEvent, ParkLimits,
    ParkOutcome, ParkedToken, Purge, Replay, StoreError, StoredEvent,
};
use sqlx::PgPool;
use tokio::task::AbortHandle;

use crate::builder::PostgresStoreBuilder;
use crate::core::Core;
use crate::error::ConnectError;
use crate::insert::Inserts;
use crate::settle::{Settlement, Settles};
use crate::work::{LIMIT, within};

/// For the one call that may look at every event.
const LONG_LIMIT: Duration = Duration::from_mins(1);

/// A durable store in a PostgreSQL database, which any number of replicas may share.
///
/// A handle: clones share one store. When the last one is dropped, its tasks end. See the [crate] for what it promises.
#[derive(Clone)]
pub struct PostgresStore {
    handle: Arc<Handle>,
}

pub(crate) struct Handle {
    pub(crate) core: Arc<Core>,
    pub(crate) inserts: Inserts,
    pub(crate) settles: Settles,
    /// What goes on beside all calls.
    pub(crate) tasks: Vec<AbortHandle>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl PostgresStore {
    /// Opens a store with the defaults: makes the tables if they are missing.
    ///
    /// The address is `postgres://user:password@host/database`, with the parameters of `libpq` such as `sslmode` and
    /// `options` (for a schema of its own: `?options=-csearch_path%3Dwebhooks`). Without a password in it, that in
    /// `PGPASSWORD` counts, or else the one in the file that `PGPASSFILE` names; on Linux, a file that group or others may
    /// read counts for nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = idnow_webhooks_private_postgres::PrivatePostgres::start().await?;
    /// # let url = server.create_database().await?;
    /// use idnow_webhooks_core::store::EventStore;
    /// use idnow_webhooks_postgres::PostgresStore;
    ///
    /// let store = PostgresStore::connect(&url).await?;
    /// assert_eq!(store.backlog().await?.waiting, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The server cannot be reached or used; the error says why, and what to do.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder().connect(url).await
    }

    /// Begins to set up a store.
    pub fn builder() -> PostgresStoreBuilder {
        PostgresStoreBuilder::default()
    }

    /// The connections for handlers, which their [transactions](Self::transaction) use. The store's own work goes by
    /// others.
    pub fn pool(&self) -> &PgPool {
        &self.handle.core.handlers
    }

    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle: Arc::new(handle) }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.handle.core
    }
}

#[async_trait]
impl EventStore for PostgresStore {
    async fn insert(&self, event: NewEvent) -> Result<Insertion, StoreError> {
        self.handle.inserts.insert(event).await
    }

    async fn begin(&self, event: NewEvent, lease: Duration) -> Result<Beginning, StoreError> {
        within("beginning an event", LIMIT, self.core().begin(event, lease)).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<ClaimedEvent>, StoreError> {
        within("claiming events", LIMIT, self.core().claim(claim)).await
    }

    async fn extend(&self, lease: &Lease, lasts: Duration) -> Result<(), StoreError> {
        self.handle.settles.settle(lease, Settlement::Extend { lasts }).await
    }

    async fn complete(&self, lease: &Lease) -> Result<(), StoreError> {
        if self.core().open.is_left(lease) {
            return Err(StoreError::NotCommitted(Arc::clone(&lease.event_id)));
        }
        self.handle.settles.settle(lease, Settlement::Complete).await
    }

    async fn retry(&self, lease: &Lease, wait: Duration, error: &str) -> Result<(), StoreError> {
        self.handle.settles.settle(lease, Settlement::Retry { wait, error: error.to_owned() }).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.handle.settles.settle(lease, Settlement::Release).await
    }

    async fn bury(&self, lease: &Lease, error: &str) -> Result<(), StoreError> {
        self.handle.settles.settle(lease, Settlement::Bury { error: error.to_owned() }).await
    }

    async fn changed(&self) {
        self.core().bell.wait().await;
    }

    async fn list(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
        within("listing events", LIMIT, self.core().list(filter)).await
    }

    async fn get(&self, event_id: &str) -> Result<Option<StoredEvent>, StoreError> {
        within("reading an event", LIMIT, self.core().get(event_id)).await
    }

    async fn replay(&self, event_id: &str) -> Result<Replay, StoreError> {
        within("replaying an event", LIMIT, self.core().replay(event_id)).await
    }

    async fn replay_dead(&self, limit: usize) -> Result<usize, StoreError> {
        within("replaying dead letters", LIMIT, self.core().replay_dead(limit)).await
    }

    async fn purge(&self, purge: Purge) -> Result<usize, StoreError> {
        within("forgetting events", LIMIT, self.core().purge(purge)).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        within("checking whether events can be stored", LIMIT, self.core().check()).await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        within("counting events", LIMIT, self.core().backlog()).await
    }

    async fn completed(&self) -> Result<u64, StoreError> {
        within("counting completed events", LONG_LIMIT, self.core().completed()).await
    }

    async fn park(&self, token: ParkedToken, limits: ParkLimits) -> Result<ParkOutcome, StoreError> {
        within("parking a token", LIMIT, self.core().park(token, limits)).await
    }

    async fn parked(&self, after: i64, limit: usize) -> Result<Vec<ParkedToken>, StoreError> {
        within("listing parked tokens", LIMIT, self.core().parked(after, limit)).await
    }

    async fn unpark(&self, id: &str) -> Result<bool, StoreError> {
        within("forgetting a parked token", LIMIT, self.core().unpark(id)).await
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.pool().connect_options();
        f.debug_struct("PostgresStore")
            .field("host", &options.get_host())
            .field("database", &options.get_database())
            .field("schema", &self.core().schema.name)
            .finish_non_exhaustive()
    }
}
