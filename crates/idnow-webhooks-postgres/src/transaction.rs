//! A handler's part in the store's own transaction.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use idnow_webhooks_core::event::Event;
use idnow_webhooks_core::store::{Lease, StoreError};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row, Transaction};
use uuid::Uuid;

use crate::core::Core;
use crate::error::unavailable;
use crate::key::Key;
use crate::settle::{token, wake_followers};
use crate::store::PostgresStore;
use crate::work::{FOR_HANDLER, LIMIT, within};

/// Locked so, the event cannot be claimed, even when its lease runs out; but the lease can be extended.
const HOLD: &str = "
    SELECT FROM idnow_webhooks_events AS event JOIN idnow_webhooks_states AS state ON state.position = event.position
    WHERE event.key = $1 AND state.token = $2 AND state.state + 0 = 1 FOR KEY SHARE OF state";

const COMPLETED: &str = "
    SELECT FROM idnow_webhooks_events AS event JOIN idnow_webhooks_states AS state ON state.position = event.position
    WHERE event.key = $1 AND state.token = $2 AND state.state + 0 = 2";

const COMPLETE: &str = "
    UPDATE idnow_webhooks_states AS state SET state = 2, due = NULL, wake = NULL, error = NULL,
        finished_at = COALESCE($1::timestamptz, clock_timestamp())
    FROM idnow_webhooks_events AS event
    WHERE event.key = $2 AND state.position = event.position AND state.token = $3 AND state.state + 0 = 1
    RETURNING CASE WHEN queued THEN session END";

/// A transaction in which a handler's writes and the completion of its event are committed together, or not at all.
///
/// It is a connection of sqlx: give `&mut *transaction` to queries. Its isolation level is READ COMMITTED. While it is
/// open, nobody else can take the event, even if the lease runs out.
///
/// Dropping it rolls everything back, and the event is not completed then, even if the handler returns `Ok`: it is
/// handled again ([`StoreError::NotCommitted`]). A handler that wants its event completed without the transaction says
/// so with [`rollback`](Self::rollback).
///
/// It takes one connection of [`PostgresStore::pool`] for as long as it lives. The server ends it when no statement
/// comes for 10 minutes, unless `idle_in_transaction_session_timeout` is set to something else.
pub struct PostgresTransaction {
    transaction: Transaction<'static, Postgres>,
    lease: Lease,
    core: Arc<Core>,
}

/// Whether a lease lasts.
enum Held {
    Yes(Transaction<'static, Postgres>),
    /// It ended when its event was completed.
    UntilCompleted,
    No,
}

impl PostgresStore {
    /// Begins a transaction for the handler of this event, which must have been given out by this store or a clone of it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = idnow_webhooks_private_postgres::PrivatePostgres::start().await?;
    /// # let url = server.create_database().await?;
    /// use idnow_webhooks_core::event::{Event, SessionCompleted};
    /// use idnow_webhooks_core::{EventRouter, HandlerError, Worker};
    /// use idnow_webhooks_postgres::PostgresStore;
    ///
    /// let store = PostgresStore::connect(&url).await?;
    /// # sqlx::raw_sql("CREATE TABLE customers (session text)").execute(store.pool()).await?;
    /// let handlers = EventRouter::new().on({
    ///     let store = store.clone();
    ///     move |event: Event<SessionCompleted>| {
    ///         let store = store.clone();
    ///         async move {
    ///             let mut transaction = store.transaction(&event).await?;
    ///             sqlx::query("INSERT INTO customers (session) VALUES ($1)")
    ///                 .bind(event.payload.session_id.to_string())
    ///                 .execute(&mut *transaction)
    ///                 .await?;
    ///             transaction.commit().await?;
    ///             Ok(())
    ///         }
    ///     }
    /// });
    /// let worker = Worker::builder(store.clone(), handlers).start()?;
    /// # use idnow_webhooks_core::store::{EventStore, NewEvent};
    /// # let event = idnow_webhooks_testkit::SampleEvent::completed();
    /// # store.insert(NewEvent::from_json(&event.data().to_string())).await?;
    /// # while store.completed().await? == 0 {
    /// #     tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    /// # }
    /// # let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM customers");
    /// # assert_eq!(count.fetch_one(store.pool()).await?, 1);
    /// # worker.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`] if somebody else may be handling the event by now, [`StoreError::AlreadyCompleted`] if a
    /// transaction of this run has been committed. [`StoreError::Unavailable`] if there is no connection, or the event
    /// was not given out by a store (only such an event can be completed).
    pub async fn transaction<P>(&self, event: &Event<P>) -> Result<PostgresTransaction, StoreError> {
        let run = event.run().ok_or_else(|| {
            StoreError::unavailable(
                "this event was not given out by a store, so there is nothing to complete",
            )
        })?;
        self.transaction_under(&run.lease).await
    }

    /// The same for whoever holds the lease on an event.
    pub async fn transaction_under(&self, lease: &Lease) -> Result<PostgresTransaction, StoreError> {
        const WHAT: &str = "beginning a handler's transaction";
        let (core, key) = (self.core(), Key::new(&lease.event_id));
        let begin = async {
            let mut transaction = core.handlers.begin_with(FOR_HANDLER).await?;
            let query = sqlx::query(HOLD).bind(key.get()).bind(token(lease));
            let held = query.fetch_optional(&mut *transaction).await?;
            if held.is_some() {
                return Ok(Held::Yes(transaction));
            }
            let query = sqlx::query(COMPLETED).bind(key.get()).bind(token(lease));
            let completed = query.fetch_optional(&mut *transaction).await?;
            transaction.rollback().await?;
            Ok(if completed.is_some() { Held::UntilCompleted } else { Held::No })
        };
        let begin = async { begin.await.map_err(|error| unavailable(WHAT, &error)) };
        let transaction = match Box::pin(within(WHAT, LIMIT, begin)).await? {
            Held::Yes(transaction) => transaction,
            Held::UntilCompleted => return Err(StoreError::AlreadyCompleted(Arc::clone(&lease.event_id))),
            Held::No => return Err(lost(lease)),
        };
        core.open.begun(lease);
        Ok(PostgresTransaction { transaction, lease: lease.clone(), core: Arc::clone(core) })
    }
}

impl PostgresTransaction {
    /// Completes the event, and commits that together with the handler's writes.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`] if the lease has ended: nothing is committed. [`StoreError::Unavailable`] if the
    /// commit failed, or the connection was lost before the server said how it went; the event is then handled again
    /// unless it was committed. So return the error from the handler in any case.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        const WHAT: &str = "committing a handler's transaction";
        let (core, lease) = (Arc::clone(&self.core), self.lease.clone());
        let commit = async {
            let completed = self.complete().await?;
            match completed {
                Some(_) => self.transaction.commit().await?,
                None => self.transaction.rollback().await?,
            }
            Ok(completed)
        };
        let commit = async { commit.await.map_err(|error: sqlx::Error| unavailable(WHAT, &error)) };
        let completed = within(WHAT, LIMIT, commit).await?;
        core.open.ended(&lease);
        let Some(woken) = completed else { return Err(lost(&lease)) };
        if woken {
            core.floor.lower();
        }
        core.bell.ring();
        Ok(())
    }

    /// Takes everything back. The event is not completed by this, but it will be if the handler returns `Ok`.
    pub async fn rollback(self) -> Result<(), StoreError> {
        self.core.open.rolled_back(&self.lease);
        let rollback = self.transaction.rollback().await;
        rollback.map_err(|error| unavailable("rolling a handler's transaction back", &error))
    }

    /// Whether the next of its session was woken; none if the lease is lost.
    async fn complete(&mut self) -> Result<Option<bool>, sqlx::Error> {
        let (core, lease) = (&self.core, &self.lease);
        // Nobody can claim while this is locked, so a process that stops here must not keep it.
        let lock = format!(
            "SET LOCAL statement_timeout = '5s'; SET LOCAL idle_in_transaction_session_timeout = '5s'; \
             SELECT pg_advisory_xact_lock_shared({})",
            core.schema.key
        );
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *self.transaction).await?;
        let key = Key::new(&lease.event_id);
        let complete = sqlx::query(COMPLETE).bind(core.now()).bind(key.get()).bind(token(lease));
        let Some(row) = complete.fetch_optional(&mut *self.transaction).await? else { return Ok(None) };
        let session: Option<Uuid> = row.try_get(0)?;
        wake_followers(&mut self.transaction, session.into_iter().collect()).await.map(Some)
    }
}

fn lost(lease: &Lease) -> StoreError {
    StoreError::LeaseLost(Arc::clone(&lease.event_id))
}

impl Deref for PostgresTransaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for PostgresTransaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

impl fmt::Debug for PostgresTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresTransaction").field("lease", &self.lease).finish_non_exhaustive()
    }
}
