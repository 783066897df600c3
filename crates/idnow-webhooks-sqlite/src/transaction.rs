use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use idnow_webhooks_core::store::{Lease, StoreError};
use sqlx::{Sqlite, SqliteConnection, Transaction};

use crate::compact::Compact;
use crate::database::{Database, Turn};
use crate::ops::{Settle, Settlement};
use crate::writer::{Unit, Work as _};

/// A transaction of the store's file, in which a handler writes to its own tables.
///
/// It is used as a connection of sqlx: `sqlx::query(..).execute(&mut *transaction)`. The event is marked as handled in
/// the same transaction. If it is dropped without [`commit`](Self::commit), everything is rolled back, and the event is
/// handled again as if the handler had written nothing.
///
/// When a statement fails, give up the transaction, as `?` does: after some errors, of a full disk for example, SQLite
/// has already rolled back on its own.
pub struct SqliteTransaction {
    // In this order: the rollback must be on its way before somebody else's turn begins.
    transaction: Transaction<'static, Sqlite>,
    turn: Turn,
    database: Arc<Database>,
    news: bool,
}

impl SqliteTransaction {
    pub(crate) async fn begin(database: Arc<Database>, lease: &Lease) -> Result<Self, StoreError> {
        let mut turn = database.turn().await?;
        let mut transaction = database.transaction(&mut turn).await?;
        // At the start and not at the end: if SQLite rolls back on its own, this goes together with the rest.
        let complete = Settle {
            id: Compact::new(&lease.event_id),
            token: lease.token,
            settlement: Settlement::CompleteRunning,
        };
        let mut unit = Unit { connection: &mut transaction, now: database.now(), news: false };
        let held = complete.run(&mut unit).await;
        let news = unit.news;
        match held {
            Ok(true) => Ok(Self { transaction, turn, database, news }),
            Ok(false) => Err(StoreError::LeaseLost(Arc::clone(&lease.event_id))),
            Err(error) => Err(database.settings.failure(&error).into()),
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
        let Self { transaction, mut turn, database, news } = self;
        transaction.commit().await.map_err(|error| database.settings.failure(&error))?;
        database.check_after(&mut turn).await?;
        drop(turn);
        if news {
            database.wake();
        }
        Ok(())
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
