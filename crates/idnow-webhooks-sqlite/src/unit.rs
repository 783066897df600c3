//! A transaction, as those see it who do something in it.

use async_trait::async_trait;
use sqlx::{Row as _, SqliteConnection};

use crate::compact::Compact;
use crate::recent::Recent;

/// One thing to do in a transaction, all or nothing.
#[async_trait]
pub(crate) trait Work: Send + Sync + 'static {
    type Output: Send + 'static;

    async fn run(&self, unit: &mut Unit<'_>) -> Result<Self::Output, sqlx::Error>;
}

/// A transaction that may write, as [`Work`] sees it.
pub(crate) struct Unit<'c> {
    pub(crate) connection: &'c mut SqliteConnection,
    /// Microseconds since the epoch; the same for the whole batch.
    pub(crate) now: i64,
    /// Whether there is something new for workers, once it is committed.
    pub(crate) news: bool,
    /// To be believed no more if the transaction is not committed.
    pub(crate) recent: &'c mut Recent,
    /// Whether `recent` has everything that other processes have inserted. They can insert nothing more before this
    /// transaction ends.
    pub(crate) up_to_date: bool,
    /// Whether `recent` holds only if this is committed, although nothing was inserted.
    pub(crate) has_merged: bool,
}

const FIND: &str = "SELECT position FROM idnow_webhooks_events \
    WHERE position IN (?1, (SELECT position FROM idnow_webhooks_ids WHERE event_id = ?2)) AND event_id = ?2";

impl<'c> Unit<'c> {
    pub(crate) fn new(connection: &'c mut SqliteConnection, now: i64, recent: &'c mut Recent) -> Self {
        Self { connection, now, news: false, recent, up_to_date: false, has_merged: false }
    }

    /// Learns what other processes have inserted.
    pub(crate) async fn catch_up(&mut self) -> Result<(), sqlx::Error> {
        if !self.up_to_date {
            self.has_merged |= self.recent.catch_up(self.connection).await?;
            self.up_to_date = true;
        }
        Ok(())
    }

    /// Where an event is, wherever its id is kept. `None`: there is no such event.
    pub(crate) async fn locate(&mut self, id: &Compact) -> Result<Option<i64>, sqlx::Error> {
        let found = self.find(id).await?;
        if found.is_some() || self.up_to_date {
            return Ok(found);
        }
        self.catch_up().await?;
        self.find(id).await
    }

    async fn find(&mut self, id: &Compact) -> Result<Option<i64>, sqlx::Error> {
        let query = sqlx::query(FIND).bind(self.recent.position(id)).bind(id);
        let row = query.fetch_optional(&mut *self.connection).await?;
        row.map(|row| row.try_get(0)).transpose()
    }
}
