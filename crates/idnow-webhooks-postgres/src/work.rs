//! Short transactions of the store's own.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgConnection, Postgres};

use idnow_webhooks_core::store::StoreError;

use crate::connections::{Connections, Worked};
use crate::error::too_slow;

/// How long one call may take, the wait for a connection included. The server gives up earlier, after
/// `statement_timeout`; this is for one that does not answer at all.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// What holds for every transaction in which the store promises something, whatever the pool or the database is set
/// to. A commit that was answered must be on the disk; and each statement must see what was committed before it.
macro_rules! durable {
    () => {
        "BEGIN ISOLATION LEVEL READ COMMITTED; \
         SELECT set_config('synchronous_commit', \
             CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, \
             true);"
    };
}
pub(crate) const DURABLE: &str = durable!();

/// What holds for each of the store's own connections from the start, so that a single statement, too, leaves nothing
/// waiting on the server when its caller has given up.
///
/// The statements are planned once. To plan each execution anew, as the server does where it seems cheaper, is to look up
/// the ends of an index at the time, past all the entries there of what was handled.
pub(crate) const OWN: &str =
    "SET statement_timeout = '5s'; SET lock_timeout = '2s'; SET plan_cache_mode = force_generic_plan";

/// For a transaction that lasts as long as its handler takes: if its machine vanishes, the server notices within half a
/// minute and rolls back, and somebody else can handle the event. So it does if the handler hangs.
pub(crate) const FOR_HANDLER: &str = concat!(
    durable!(),
    "SELECT set_config('idle_in_transaction_session_timeout', '10min', true) \
        WHERE current_setting('idle_in_transaction_session_timeout') = '0';",
    "SET LOCAL tcp_keepalives_idle = 15; SET LOCAL tcp_keepalives_interval = 5; SET LOCAL tcp_keepalives_count = 3;"
);

/// A machine that vanishes must not keep what its transaction has locked.
///
/// The statements all go by an index. A planner that has not seen the table grow yet, or goes by a plan from when it
/// was empty, might read all of it instead.
const BEGIN: &str = concat!(
    durable!(),
    "SET LOCAL statement_timeout = '5s'; SET LOCAL lock_timeout = '2s';\
     SET LOCAL idle_in_transaction_session_timeout = '5s'; SET LOCAL jit = off;\
     SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;\
     SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;"
);

/// What a transaction excludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alone {
    /// Nothing.
    No,
    /// Those that exclude all.
    Shared(i64),
    /// All that share.
    Exclusive(i64),
}

/// A transaction. One that is not committed closes its connection: whatever state that is in, nobody else sees it.
pub(crate) struct Work {
    connection: PoolConnection<Postgres>,
    worked: Worked,
    done: bool,
}

impl Work {
    pub(crate) async fn begin(connections: &Connections, alone: Alone) -> Result<Self, sqlx::Error> {
        let mut work = Self::single(connections).await?;
        // All in one message to the server.
        let begin = match alone {
            Alone::No => sqlx::raw_sql(BEGIN),
            Alone::Shared(key) => {
                sqlx::raw_sql(AssertSqlSafe(format!("{BEGIN} SELECT pg_advisory_xact_lock_shared({key})")))
            }
            Alone::Exclusive(key) => {
                sqlx::raw_sql(AssertSqlSafe(format!("{BEGIN} SELECT pg_advisory_xact_lock({key})")))
            }
        };
        begin.execute(&mut *work.connection).await?;
        Ok(work)
    }

    /// For one statement that may look at every row.
    pub(crate) async fn long(connections: &Connections) -> Result<Self, sqlx::Error> {
        let mut work = Self::single(connections).await?;
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL statement_timeout = '1min'";
        sqlx::raw_sql(begin).execute(&mut *work.connection).await?;
        Ok(work)
    }

    /// For one statement, which is a transaction of its own and commits itself.
    pub(crate) async fn single(connections: &Connections) -> Result<Self, sqlx::Error> {
        Ok(Self { connection: connections.acquire().await?, worked: connections.worked(), done: false })
    }

    /// The single statement has ended well.
    pub(crate) fn finish(mut self) {
        self.done = true;
    }

    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("COMMIT").execute(&mut *self.connection).await?;
        self.done = true;
        Ok(())
    }

    pub(crate) async fn roll_back(mut self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("ROLLBACK").execute(&mut *self.connection).await?;
        self.done = true;
        Ok(())
    }
}

impl Deref for Work {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Work {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if self.done {
            self.worked.note();
        } else {
            self.connection.close_on_drop();
        }
    }
}

/// Gives up what takes longer than `limit`.
pub(crate) async fn within<T>(
    what: &str,
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let result = tokio::time::timeout(limit, work).await;
    result.unwrap_or_else(|_| Err(StoreError::unavailable(too_slow(what, limit))))
}

/// A duration as the server reckons it, in microseconds. More than a thousand years are as good as for ever, and do
/// not fit its dates.
pub(crate) fn micros(duration: Duration) -> i64 {
    const MOST: i64 = 1000 * 365 * 24 * 3600 * 1_000_000;
    i64::try_from(duration.as_micros()).map_or(MOST, |micros| micros.min(MOST))
}

/// A text as PostgreSQL takes it: anything but NUL.
pub(crate) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
