//! The connections to the file: one that writes, and some beside it.

use std::sync::{self, Arc, PoisonError, RwLock};

use idnow_webhooks_core::Clock;
use idnow_webhooks_core::telemetry::quietly;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Sqlite};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

use crate::begun::BegunTransactions;
use crate::error::{Cause, Failure, OpenError};
use crate::files::{Files, Origin};
use crate::recent::Recent;
use crate::settings::{Pools, Settings};

/// The writer's connection, while there is one that works.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    open: Option<Open>,
}

/// A connection, and what is known of the file behind it.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) connection: SqliteConnection,
    pub(crate) recent: Recent,
    files: Arc<Files>,
}

/// A file that was found damaged.
#[derive(Debug)]
struct Damage {
    origin: Origin,
    failure: Failure,
}

/// Whoever holds it may write: SQLite has one writer at a time, and its own lock is not fair.
pub(crate) type Turn = OwnedMutexGuard<Writer>;

/// Whoever holds it may begin a transaction of a handler.
pub(crate) type HandlersTurn = OwnedMutexGuard<()>;

#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) changed: Notify,
    /// Told when there is something to [merge](crate::merge).
    pub(crate) grown: Arc<Notify>,
    pub(crate) begun: BegunTransactions,
    writer: Arc<Mutex<Writer>>,
    handlers: Arc<Mutex<()>>,
    pools: RwLock<Pools>,
    damage: sync::Mutex<Option<Damage>>,
}

impl Database {
    pub(crate) async fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let open = Open::new(&settings, settings.create_if_missing).await?;
        let pools = settings.pools(Arc::clone(&open.files));
        Ok(Self {
            settings,
            clock,
            changed: Notify::new(),
            grown: Arc::default(),
            writer: Arc::new(Mutex::new(Writer { open: Some(open) })),
            begun: BegunTransactions::default(),
            handlers: Arc::default(),
            pools: RwLock::new(pools),
            damage: sync::Mutex::default(),
        })
    }

    /// Microseconds since the epoch, at least one: 0 means that nobody has looked at an event.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now().timestamp_micros().max(1)
    }

    /// Wakes workers: those that wait, and the next one that comes to wait.
    pub(crate) fn wake(&self) {
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    /// Waits for the right to write.
    ///
    /// Not for ever: a worker extends the lease of an event while its handler may hold a transaction, and does not go
    /// on with the handler until it has an answer.
    pub(crate) async fn turn(&self) -> Result<Turn, Failure> {
        let wait = self.settings.busy_timeout;
        tokio::time::timeout(wait, Arc::clone(&self.writer).lock_owned()).await.map_err(|_| {
            Failure::busy(format!(
                "somebody else was writing for longer than {wait:?}: a handler that keeps its transaction open (let \
                 it do what is slow before it begins one), or the disk is slow"
            ))
        })
    }

    /// Waits until no other handler has a transaction, or waits for its turn to write: otherwise everybody else would
    /// wait for all handlers that came before. There is no limit: that is the worker's, for the handler.
    pub(crate) async fn handlers_turn(&self) -> HandlersTurn {
        Arc::clone(&self.handlers).lock_owned().await
    }

    pub(crate) fn turn_if_free(&self) -> Option<Turn> {
        Arc::clone(&self.writer).try_lock_owned().ok()
    }

    /// The writer's connection: the one there is, if it is still that of the file at the path, or a new one.
    pub(crate) async fn connection<'t>(&self, turn: &'t mut Turn) -> Result<&'t mut Open, Failure> {
        if let Err(failure) = check(turn) {
            self.close(turn).await;
            return Err(failure);
        }
        if let Some(failure) = self.known_damage() {
            self.close(turn).await;
            return Err(failure);
        }
        let open = match turn.open.take() {
            Some(open) => open,
            None => self.open_again().await?,
        };
        Ok(turn.open.insert(open))
    }

    async fn open_again(&self) -> Result<Open, Failure> {
        // Nothing is created: where a file system is not mounted, an empty store would take every event for new.
        let open = Open::new(&self.settings, false).await.map_err(|error| Failure::from(&error))?;
        let path = self.settings.path.display();
        if open.files.origin() == self.pools().files.origin() {
            quietly(|| tracing::info!(%path, "the event store was reopened"));
        } else {
            quietly(|| {
                tracing::warn!(
                    "{path} is another file than before: duplicates of earlier events are not recognised, and \
                     events that waited in the old one are not handled"
                );
            });
        }
        let pools = self.settings.pools(Arc::clone(&open.files));
        let old = {
            let mut current = self.pools.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, pools)
        };
        tokio::spawn(async move {
            old.readers.close().await;
            old.transactions.close().await;
        });
        Ok(open)
    }

    /// What was just committed is only safe if the file is still the one at the path.
    pub(crate) async fn check_after(&self, turn: &mut Turn) -> Result<(), Failure> {
        let checked = check(turn);
        if checked.is_err() {
            self.close(turn).await;
        }
        checked
    }

    /// What went wrong with the file. It is not used again if it is damaged.
    pub(crate) fn failure(&self, error: &sqlx::Error) -> Failure {
        let failure = Failure::of(&self.settings.path, self.settings.busy_timeout, error);
        if Cause::of(error) == Cause::Corrupt
            && self.pools().files.check().is_ok()
            && let Ok(origin) = Origin::at(&self.settings.path)
        {
            *self.damage() = Some(Damage { origin, failure: failure.clone() });
        }
        failure
    }

    /// Of the file that is at the path now.
    fn known_damage(&self) -> Option<Failure> {
        let damage = self.damage();
        let known = damage.as_ref()?;
        let same = Origin::at(&self.settings.path).is_ok_and(|origin| origin == known.origin);
        same.then(|| known.failure.clone())
    }

    fn damage(&self) -> sync::MutexGuard<'_, Option<Damage>> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn close(&self, turn: &mut Turn) {
        if let Some(open) = turn.open.take()
            && let Err(error) = open.connection.close().await
        {
            quietly(|| tracing::debug!(%error, "closing a connection to the event store failed"));
        }
    }

    fn pools(&self) -> Pools {
        self.pools.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A connection to read, which holds up nobody.
    pub(crate) async fn reader(&self) -> Result<PoolConnection<Sqlite>, Failure> {
        let mut pools = self.pools();
        if pools.files.check().is_err() {
            let mut turn = self.turn().await?;
            // The first call finds out, the second one opens the new file.
            if self.connection(&mut turn).await.is_err() {
                self.connection(&mut turn).await?;
            }
            pools = self.pools();
        }
        let limit = self.settings.max_readers;
        pools.readers.acquire().await.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => {
                Failure::busy(format!("all {limit} connections for reading are in use"))
            }
            error => self.failure(&error),
        })
    }

    /// Begins a transaction for others to write in. The turn must be held until it ends.
    pub(crate) async fn transaction<'t>(
        &self,
        turn: &'t mut Turn,
    ) -> Result<(sqlx::Transaction<'static, Sqlite>, &'t mut Recent), Failure> {
        let open = self.connection(turn).await?;
        let begun = self.pools().transactions.begin_with("BEGIN IMMEDIATE").await;
        begun.map(|begun| (begun, &mut open.recent)).map_err(|error| self.failure(&error))
    }
}

impl Open {
    async fn new(settings: &Settings, create: bool) -> Result<Self, OpenError> {
        let (connection, files) = settings.open(create).await?;
        Ok(Self { connection, recent: Recent::new(settings.merge_after), files: Arc::new(files) })
    }
}

fn check(turn: &Turn) -> Result<(), Failure> {
    turn.open.as_ref().map_or(Ok(()), |open| open.files.check())
}

#[cfg(test)]
mod tests;
