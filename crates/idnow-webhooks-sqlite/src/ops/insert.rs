use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use idnow_webhooks_core::store::{Evidence, Insertion, NewEvent};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::append::{Entry, append};
use super::signed;
use crate::compact::Compact;
use crate::json;
use crate::unit::Unit;

/// A worker may claim from now on what was begun inline and is not finished: the provider will not send it again,
/// because this delivery is answered 2xx.
const INTO_QUEUE: &str = "UPDATE idnow_webhooks_events SET queued = 1, wake = due \
    WHERE position IN (SELECT value FROM json_each(?)) AND state < 2 AND queued = 0";

/// An event in the form in which it is written, made by the caller and not by the one writer.
#[derive(Debug)]
pub(crate) struct NewRow {
    pub(crate) id: Compact,
    pub(crate) name: Option<String>,
    pub(crate) session: Option<Compact>,
    pub(crate) sequence: i64,
    pub(crate) evidence: Option<Arc<Evidence>>,
    pub(crate) data: Arc<str>,
}

impl From<NewEvent> for NewRow {
    fn from(event: NewEvent) -> Self {
        Self {
            id: Compact::new(&event.id),
            name: event.name(),
            session: event.session_id().as_deref().map(Compact::new),
            sequence: signed(event.sequence),
            data: event.data().into(),
            evidence: event.evidence,
        }
    }
}

impl NewRow {
    pub(crate) fn evidence(&self) -> (Option<&str>, Option<&str>) {
        let evidence = self.evidence.as_deref();
        (evidence.and_then(|evidence| evidence.key.as_deref()), evidence.map(|evidence| &*evidence.token))
    }
}

/// Inserts events if every one is new, in one statement. `false`: nothing was inserted, and some may be new all the same.
pub(crate) async fn insert_new(unit: &mut Unit<'_>, rows: &[NewRow]) -> Result<bool, sqlx::Error> {
    unit.recent.load(unit.connection).await?;
    let mut seen = HashSet::with_capacity(rows.len());
    let fresh = |row: &NewRow| unit.recent.position(&row.id).is_none();
    if !rows.iter().all(|row| fresh(row) && seen.insert(&row.id)) {
        return Ok(false);
    }
    append(unit, &rows.iter().collect::<Vec<_>>(), Entry::Queue).await
}

/// Inserts up to [`MOST_ROWS`](super::MOST_ROWS) events, and says which were new. Not for a statement alone.
pub(crate) async fn insert(unit: &mut Unit<'_>, rows: &[NewRow]) -> Result<Vec<Insertion>, sqlx::Error> {
    if insert_new(unit, rows).await? {
        return Ok(vec![Insertion::New; rows.len()]);
    }
    unit.catch_up().await?;
    let known = known(unit, rows).await?;
    let (mut new, mut ids, mut duplicates) = (Vec::new(), HashSet::new(), Vec::new());
    let insertions = rows
        .iter()
        .map(|row| {
            if let Some(position) = known.get(&row.id) {
                duplicates.push(*position);
                return Insertion::Duplicate;
            }
            // The same event once more in this batch is a duplicate of the first.
            if !ids.insert(&row.id) {
                return Insertion::Duplicate;
            }
            new.push(row);
            Insertion::New
        })
        .collect();
    if !append(unit, &new, Entry::Queue).await? {
        return Err(super::cannot_append());
    }
    let queued = sqlx::query(INTO_QUEUE).bind(json::array(duplicates)).execute(&mut *unit.connection).await?;
    unit.news |= queued.rows_affected() > 0;
    Ok(insertions)
}

/// Where those of these events are that are here.
async fn known(unit: &mut Unit<'_>, rows: &[NewRow]) -> Result<HashMap<Compact, i64>, sqlx::Error> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT event_id, position FROM idnow_webhooks_events WHERE position IN (SELECT value FROM json_each(",
    );
    query.push_bind(json::array(rows.iter().filter_map(|row| unit.recent.position(&row.id))));
    query.push(
        ")) UNION ALL SELECT e.event_id, e.position FROM idnow_webhooks_ids AS i \
         CROSS JOIN idnow_webhooks_events AS e ON e.position = i.position AND e.event_id = i.event_id \
         WHERE i.event_id IN (",
    );
    let mut ids = query.separated(",");
    for row in rows {
        ids.push_bind(&row.id);
    }
    query.push(")");
    // Of one size each time, and duplicates are rare.
    let found = query.build().persistent(false).fetch_all(&mut *unit.connection).await?;
    found.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
