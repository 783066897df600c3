//! The ids of the events that came last, in memory.
//!
//! Ids are random, and an index of them is written all over: a page for each event. So new ids go into no index. They
//! are known here, and [merged](crate::merge) into a table many at a time, in its order.
//!
//! Both only say where an event may be: whoever finds a position looks at the row as well. What makes an insertion
//! safe beside other processes is that every new row takes the next position, and that none is ever taken twice:
//! a process that has missed something finds its position taken. Only rows that were forgotten could hide that, so
//! whoever forgets one that is above `floor` moves it up to the last position that was given.

use std::collections::HashMap;

use sqlx::{Row as _, SqliteConnection};

use crate::compact::Compact;
use crate::json;

/// How many rows are read at a time.
const PAGE: usize = 4096;
/// How many ids are merged by one statement.
pub(crate) const STEP: usize = 256;
/// How many times more than those after which they are merged are remembered at most.
const MOST: usize = 4;

/// Read from the rows, so that what was forgotten meanwhile does not come back.
const MERGE: &str = "INSERT OR REPLACE INTO idnow_webhooks_ids (event_id, position) \
    SELECT e.event_id, e.position FROM json_each(?1) AS chosen \
    CROSS JOIN idnow_webhooks_events AS e ON e.position = chosen.value";
const MERGED: &str = "UPDATE idnow_webhooks_recent SET merged = ?1 WHERE merged < ?1";

/// Positions by id, of all rows from `merged` to `last`, as far as this process knows.
#[derive(Debug)]
pub(crate) struct Recent {
    merge_after: usize,
    loaded: bool,
    positions: HashMap<Compact, i64>,
    /// Rows up to this one are in the table of ids.
    merged: i64,
    /// The last position that was given.
    last: i64,
    floor: i64,
    /// Up to which row ids are being merged in steps.
    planned: Option<i64>,
}

impl Recent {
    /// Nothing is known yet. `merge_after`: how many ids are kept in memory before they are merged.
    pub(crate) fn new(merge_after: usize) -> Self {
        Self {
            merge_after,
            loaded: false,
            positions: HashMap::new(),
            merged: 0,
            last: 0,
            floor: 0,
            planned: None,
        }
    }

    /// Leaves one behind that knows nothing, for the time in which this one says more than is committed.
    pub(crate) fn take(&mut self) -> Self {
        let merge_after = self.merge_after;
        std::mem::replace(self, Self::new(merge_after))
    }

    pub(crate) fn position(&self, id: &Compact) -> Option<i64> {
        self.positions.get(id).copied()
    }

    pub(crate) fn last(&self) -> i64 {
        self.last
    }

    pub(crate) fn floor(&self) -> i64 {
        self.floor
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    pub(crate) fn is_to_be_merged(&self) -> bool {
        self.positions.len() > self.merge_after
    }

    /// What follows the last.
    pub(crate) fn add<'i>(&mut self, ids: impl Iterator<Item = &'i Compact>) {
        for id in ids {
            self.last = self.last.saturating_add(1);
            self.positions.insert(id.clone(), self.last);
        }
    }

    /// Reads what is to be known, unless that was done before.
    pub(crate) async fn load(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        if self.loaded { Ok(()) } else { self.catch_up(connection).await.map(drop) }
    }

    /// Reads what other processes have inserted, or forgotten, since the last time. `true`: that was so much that it was
    /// merged at once, and this is not to be believed if that is not committed.
    ///
    /// It may be dropped at any point.
    pub(crate) async fn catch_up(&mut self, connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
        // Read before the rows, as this need not be a transaction, and believed after them: it says that none is missing.
        let sql = "SELECT merged, floor FROM idnow_webhooks_recent";
        let row = sqlx::query(sql).fetch_one(&mut *connection).await?;
        let floor = row.try_get(1)?;
        self.let_go(row.try_get(0)?);
        self.last = self.last.max(self.merged);
        let mut has_merged = false;
        loop {
            let sql = "SELECT event_id, position FROM idnow_webhooks_events WHERE position > ? \
                       ORDER BY position LIMIT ?";
            let query = sqlx::query(sql).bind(self.last).bind(i64::try_from(PAGE).unwrap_or(i64::MAX));
            let rows = query.fetch_all(&mut *connection).await?;
            for row in &rows {
                self.last = row.try_get(1)?;
                self.positions.insert(row.try_get(0)?, self.last);
            }
            has_merged |= self.make_room(connection).await?;
            if rows.len() < PAGE {
                break;
            }
        }
        self.floor = floor;
        self.last = self.last.max(floor);
        self.loaded = true;
        Ok(has_merged)
    }

    /// Merges everything at once where the background has not kept up, and says whether that was so.
    pub(crate) async fn make_room(&mut self, connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
        if self.positions.len() <= self.merge_after.saturating_mul(MOST) {
            return Ok(false);
        }
        let (last, positions) = (self.last, self.in_order());
        for step in positions.chunks(STEP) {
            merge(connection, step).await?;
        }
        self.all_merged_to(connection, last).await?;
        Ok(true)
    }

    /// All positions, in the order in which their ids stand in the table.
    fn in_order(&self) -> Vec<i64> {
        let mut ids: Vec<_> = self.positions.iter().collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, position)| *position).collect()
    }

    /// What is to be merged, in the order of the table, and up to which row that goes.
    pub(crate) fn plan(&mut self) -> (Vec<i64>, i64) {
        self.planned = Some(self.last);
        (self.in_order(), self.last)
    }

    /// All steps of the plan that goes to this row are done. It counts only if nothing came in between in which this
    /// memory was lost: the file may be another one by now.
    pub(crate) async fn end_plan(
        &mut self,
        connection: &mut SqliteConnection,
        position: i64,
    ) -> Result<(), sqlx::Error> {
        if self.planned.take() == Some(position) {
            self.all_merged_to(connection, position).await?;
        }
        Ok(())
    }

    /// All rows up to this one have been merged.
    async fn all_merged_to(
        &mut self,
        connection: &mut SqliteConnection,
        position: i64,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(MERGED).bind(position).execute(connection).await?;
        self.let_go(position);
        Ok(())
    }

    fn let_go(&mut self, merged: i64) {
        if merged > self.merged {
            self.merged = merged;
            self.positions.retain(|_, position| *position > merged);
            // What a burst has taken is given back.
            self.positions.shrink_to(self.merge_after);
        }
    }
}

/// Puts the ids of these rows into their table.
pub(crate) async fn merge(connection: &mut SqliteConnection, positions: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query(MERGE).bind(json::array(positions)).execute(connection).await.map(drop)
}
