//! The store's own connections, and what is known when there are none to be had.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, PgPool, Postgres};
use tokio::sync::oneshot;

use crate::error::{code, known};

/// So long may a connection take before somebody asks why.
const PATIENCE: Duration = Duration::from_millis(50);
/// So long holds what was found out.
const REST: Duration = Duration::from_millis(500);
/// How long an attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How long a connection that was made before may take to answer.
const ANSWER: Duration = Duration::from_millis(200);
/// How long those who know of a failure wait for what the next attempt comes to.
const NEWS: Duration = Duration::from_millis(500);
/// How long a caller may wait for one of the connections there are.
const TURN: Duration = Duration::from_secs(3);
/// Between two looks for a connection that is free.
const LOOK: Duration = Duration::from_millis(1);

/// A pool tries to connect for as long as it may, each of its callers in turn, and then cannot say why it failed. Those
/// who deliver events would wait all that time for their 503. So while a connection does not come, one is made beside
/// the pool; if that fails, and those of the pool do not work either, all fail at once and with the cause, until an
/// attempt, every now and then, succeeds.
#[derive(Debug)]
pub(crate) struct Connections {
    pool: PgPool,
    known: Arc<Known>,
    /// Those who wait for a connection while no new ones can be made, in the order they came.
    queue: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    last: Mutex<Option<Attempt>>,
    /// When a connection of the pool has last done what it was to do.
    worked: Mutex<Option<Instant>>,
    /// One attempt at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Clone)]
struct Attempt {
    at: Instant,
    /// Why it failed, if it did.
    failure: Option<Arc<sqlx::Error>>,
}

/// For who has used a connection.
#[derive(Debug)]
pub(crate) struct Worked(Arc<Known>);

impl Worked {
    pub(crate) fn note(&self) {
        self.0.worked();
    }
}

impl Known {
    fn last(&self) -> Option<Attempt> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fresh(&self) -> Option<Attempt> {
        self.last().filter(|attempt| attempt.at.elapsed() < REST)
    }

    fn note(&self, failure: Option<Arc<sqlx::Error>>) {
        let attempt = Attempt { at: Instant::now(), failure };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(attempt);
    }

    fn worked(&self) {
        *self.worked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// How long those that are there still count as working.
    fn works(&self) -> Option<Duration> {
        let worked = *self.worked.lock().unwrap_or_else(PoisonError::into_inner);
        REST.checked_sub(worked?.elapsed()).filter(|left| !left.is_zero())
    }

    async fn works_no_more(&self) {
        while let Some(left) = self.works() {
            tokio::time::sleep(left).await;
        }
    }

    async fn attempt(&self, options: &PgConnectOptions) {
        let connect = async { PgConnection::connect_with(options).await?.close().await };
        let timed_out = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
        let result = tokio::time::timeout(ATTEMPT, connect).await.unwrap_or_else(timed_out);
        self.note(result.err().filter(|error| !is_full(error)).map(Arc::new));
    }
}

impl Connections {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool, known: Arc::default(), queue: tokio::sync::Mutex::default() }
    }

    pub(crate) fn options(&self) -> Arc<PgConnectOptions> {
        self.pool.connect_options()
    }

    pub(crate) fn worked(&self) -> Worked {
        Worked(Arc::clone(&self.known))
    }

    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        if let Some(Attempt { failure: Some(why), .. }) = self.known.last() {
            let mut free = pin!(self.one_that_is_free());
            let mut asked = pin!(tokio::time::timeout(NEWS, self.why()));
            let (news, mut waits) = tokio::select! {
                biased;
                free = &mut free => match free {
                    Some(connection) => return Ok(connection),
                    None => (asked.await, None),
                },
                news = &mut asked => (news, Some(free)),
            };
            if let Some(why) = news.unwrap_or(Some(why)) {
                let connection = match &mut waits {
                    Some(free) => free.await,
                    // One has worked meanwhile.
                    None if self.known.works().is_some() => self.one_that_is_free().await,
                    None => None,
                };
                return connection.ok_or_else(|| known(why));
            }
        }
        let why = tokio::select! {
            biased;
            acquired = self.pool.acquire() => match acquired {
                Err(error) if !matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) => {
                    let why = Arc::new(error);
                    if !is_full(&why) {
                        self.known.note(Some(Arc::clone(&why)));
                    }
                    why
                }
                acquired => return acquired,
            },
            why = self.find_out() => why,
        };
        self.one_that_is_free().await.ok_or_else(|| known(why))
    }

    /// Ends only when no connection can be made. If one can, all those of the pool are in use.
    async fn find_out(&self) -> Arc<sqlx::Error> {
        loop {
            tokio::time::sleep(PATIENCE).await;
            if let Some(why) = self.why().await {
                return why;
            }
        }
    }

    /// Why no connection can be made, if none can: as was found out a moment ago, or is now.
    async fn why(&self) -> Option<Arc<sqlx::Error>> {
        loop {
            if let Some(attempt) = self.known.fresh() {
                return attempt.failure;
            }
            if let Ok(turn) = Arc::clone(&self.known.turn).try_lock_owned() {
                let (known, options) = (Arc::clone(&self.known), self.options());
                // In a task of its own: what one caller begins is for all, even when that one has gone.
                tokio::spawn(async move {
                    // Somebody may just have ended another.
                    if known.fresh().is_none() {
                        known.attempt(&options).await;
                    }
                    drop(turn);
                });
            }
            drop(self.known.turn.lock().await);
        }
    }

    /// One of the connections there are. They are waited for while they work; if they do not, only one that is free
    /// already is asked.
    async fn one_that_is_free(&self) -> Option<PoolConnection<Postgres>> {
        let found = async {
            let place = tokio::select! {
                biased;
                place = self.queue.lock() => place,
                () = self.known.works_no_more() => return None,
            };
            loop {
                if let Some(connection) = self.pool.try_acquire() {
                    drop(place);
                    return self.if_it_answers(connection).await;
                }
                self.known.works()?;
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(TURN, found).await.ok()?
    }

    /// One that only is slow goes back to the pool when it has answered: on a slow server there may be no better one.
    async fn if_it_answers(
        &self,
        mut connection: PoolConnection<Postgres>,
    ) -> Option<PoolConnection<Postgres>> {
        let patience = if self.known.works().is_some() { ATTEMPT } else { ANSWER };
        let (give, given) = oneshot::channel();
        let known = Arc::clone(&self.known);
        tokio::spawn(async move {
            if matches!(tokio::time::timeout(ATTEMPT, connection.ping()).await, Ok(Ok(()))) {
                known.worked();
                // Back to the pool if nobody waits for it any more.
                drop(give.send(connection));
            } else {
                connection.close_on_drop();
            }
        });
        tokio::time::timeout(patience, given).await.ok()?.ok()
    }
}

/// The server is up, and may have room as soon as one of our own connections is free.
fn is_full(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code == "53300")
}
