use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use idnow_webhooks_core::store::{Lease, StoreError};
use sqlx::{Sqlite, SqliteConnection, Transaction};

use crate::compact::Compact;
use crate::database::{Database, HandlersTurn, Turn};
use crate::ops::{Settle, Settlement};
use crate::unit::{Unit, Work as _};

/// A transaction of the store's file, in which a handler writes to its own tables.
///
/// It is used as a connection of sqlx: `sqlx::query(..).execute(&mut *transaction)`. The event is marked as handled in
/// the same transaction. If it is dropped without [`commit`](Self::commit), everything is rolled back, and the event is
/// handled again as if the handler had written nothing, even if the handler says that all went well. If there was nothing
/// to write, say so with [`rollback`](Self::rollback).
///
/// When a statement fails, give up the transaction, as `?` does: after some errors, of a full disk for example, SQLite
/// has already rolled back on its own.
pub struct SqliteTransaction {
    // In this order: the rollback must be on its way before somebody else's turn begins.
    transaction: Transaction<'static, Sqlite>,
    turn: Turn,
    // After the turn, so that those who wait for that come before the next handler.
    handlers: HandlersTurn,
    database: Arc<Database>,
    lease: Lease,
    news: bool,
}

impl SqliteTransaction {
    pub(crate) async fn begin(database: Arc<Database>, lease: &Lease) -> Result<Self, StoreError> {
        let handlers = database.handlers_turn().await;
        let mut turn = database.turn().await?;
        let (mut transaction, recent) = database.transaction(&mut turn).await?;
        // At the start and not at the end: if SQLite rolls back on its own, this goes together with the rest.
        let complete = Settle {
            id: Compact::new(&lease.event_id),
            token: lease.token,
            settlement: Settlement::CompleteRunning,
        };
        let mut known = recent.take();
        let mut unit = Unit::new(&mut transaction, database.now(), &mut known);
        let held = complete.run(&mut unit).await;
        let news = unit.news;
        let completed = match held {
            Ok(false) => complete.was_completed(&mut unit).await,
            _ => Ok(false),
        };
        // Nothing is inserted here, so what was learnt holds whatever becomes of the transaction; but for a merge.
        let holds = !unit.has_merged && held.is_ok() && completed.is_ok();
        if holds {
            *recent = known;
        }
        match held.and_then(|held| Ok((held, completed?))) {
            Ok((true, _)) => {
                database.begun.add(lease);
                Ok(Self { transaction, turn, handlers, database, lease: lease.clone(), news })
            }
            Ok((false, true)) => Err(StoreError::AlreadyCompleted(Arc::clone(&lease.event_id))),
            Ok((false, false)) => Err(StoreError::LeaseLost(Arc::clone(&lease.event_id))),
            Err(error) => Err(database.failure(&error).into()),
        }
    }

    /// Commits what was written, and that the event is handled.
    ///
    /// After that the handler's result makes no difference any more: the event is completed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: nothing is committed, and the event will be handled again.
    ///
    /// # Cancel safety
    ///
    /// It is committed or rolled back.
    pub async fn commit(self) -> Result<(), StoreError> {
        let Self { transaction, mut turn, handlers, database, lease, news } = self;
        transaction.commit().await.map_err(|error| database.failure(&error))?;
        database.check_after(&mut turn).await?;
        database.begun.end(&lease);
        drop(turn);
        drop(handlers);
        if news {
            database.wake();
        }
        Ok(())
    }

    /// Undoes what was written, on purpose: the handler's result then says what becomes of the event, as if there had
    /// been no transaction.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the connection fails. Nothing is committed all the same.
    ///
    /// # Cancel safety
    ///
    /// It is rolled back in any case.
    pub async fn rollback(self) -> Result<(), StoreError> {
        let Self { transaction, turn, handlers, database, lease, .. } = self;
        database.begun.end(&lease);
        let rolled_back = transaction.rollback().await;
        drop(turn);
        drop(handlers);
        rolled_back.map_err(|error| database.failure(&error).into())
    }
}

impl Deref for SqliteTransaction {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.transaction
    }
}

impl DerefMut for SqliteTransaction {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }
}

impl fmt::Debug for SqliteTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTransaction").finish_non_exhaustive()
    }
}
