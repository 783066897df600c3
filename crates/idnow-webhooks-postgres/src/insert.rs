//! Insertions, many in one commit.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use idnow_webhooks_core::store::{Insertion, NewEvent, StoreError};
use sqlx::{PgConnection, Row};
use tokio::sync::{Mutex, mpsc, oneshot};
use uuid::Uuid;

use crate::core::Core;
use crate::error::{explain, is_of_one_row, is_serialization_failure, too_slow};
use crate::key::Key;
use crate::work::{Alone, LIMIT, Work, text};

/// The most events in one commit: no more, so that something is left for another lane while this one waits for the
/// disk.
const BATCH: usize = 32;
const WHAT: &str = "storing events";
/// How many events may wait for a place in a batch. Beyond that, their callers wait for a place to wait.
const QUEUE: usize = 1024;

/// One statement with its own durability, so that a batch is one round trip to the server; see
/// [`DURABLE`](crate::work::DURABLE), which holds for the others.
const INSERT: &str = "
    WITH here AS MATERIALIZED (
        SELECT COALESCE($1::timestamptz, statement_timestamp()) AS now, set_config('synchronous_commit',
            CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true)
    ), new AS (
        INSERT INTO idnow_webhooks_events (key, event_id, name, session_id, data, evidence_token, evidence_key)
        SELECT * FROM UNNEST($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
        ON CONFLICT (key) DO NOTHING
        RETURNING position, key
    ), states AS (
        INSERT INTO idnow_webhooks_states (position, token, received_at, due, wake, sequence, session, runs, state, queued)
        SELECT position, (random() * 2 ^ 62)::int8, now, now, now, sequence, session, 0, 0, true
        FROM here, new JOIN UNNEST($2::uuid[], $9::uuid[], $10::int8[]) AS asked (key, session, sequence) USING (key)
    )
    SELECT key FROM new";

/// An event that was begun inline and is not finished: the provider will not send it again, however that ends, because
/// this delivery is answered 2xx. So a worker may claim it from now on.
///
/// One row without a key for each of them; and the keys of those whose state is lost. Nobody would ever handle them.
const INTO_QUEUE: &str = "
    WITH queued AS (
        UPDATE idnow_webhooks_states SET queued = true, wake = due WHERE position IN (
            SELECT state.position FROM idnow_webhooks_events AS event
            JOIN idnow_webhooks_states AS state ON state.position = event.position
            WHERE event.key = ANY($1) AND state.state + 0 < 2 AND NOT state.queued
            ORDER BY event.key FOR NO KEY UPDATE OF state)
        RETURNING position
    )
    SELECT NULL::uuid FROM queued
    UNION ALL
    SELECT event.key FROM idnow_webhooks_events AS event WHERE event.key = ANY($1)
        AND NOT EXISTS (SELECT FROM idnow_webhooks_states AS state WHERE state.position = event.position)";

/// What only a partial restore, or somebody's `DELETE`, brings about.
pub(crate) const NO_STATE: &str = "it is in idnow_webhooks_events and has no row in idnow_webhooks_states: restore that \
    row, or delete the one in idnow_webhooks_events, so that the event is stored anew";

/// A new event, as its row will have it.
#[derive(Debug)]
pub(crate) struct NewRow {
    pub(crate) event: NewEvent,
    pub(crate) key: Key,
    pub(crate) name: Option<String>,
    session: Option<(Key, String)>,
}

impl NewRow {
    pub(crate) fn new(event: NewEvent) -> Self {
        let name = event.name().as_deref().map(text);
        let session = event.session_id().map(|id| (Key::new(&id), id));
        Self { key: Key::new(&event.id), name, session, event }
    }

    /// The id, if the key does not say it.
    pub(crate) fn id(&self) -> Option<&str> {
        self.key.text(&self.event.id)
    }

    pub(crate) fn session(&self) -> Option<Uuid> {
        self.session.as_ref().map(|(key, _)| key.get())
    }

    /// The session's id, if its key does not say it.
    pub(crate) fn session_id(&self) -> Option<&str> {
        self.session.as_ref().and_then(|(key, id)| key.text(id))
    }

    pub(crate) fn sequence(&self) -> i64 {
        i64::try_from(self.event.sequence).unwrap_or(i64::MAX)
    }

    pub(crate) fn evidence(&self) -> (Option<&str>, Option<&str>) {
        let evidence = self.event.evidence.as_deref();
        (evidence.map(|evidence| &*evidence.token), evidence.and_then(|evidence| evidence.key.as_deref()))
    }
}

struct Waiting {
    row: NewRow,
    answer: oneshot::Sender<Result<Insertion, String>>,
}

/// Where insertions wait for a lane. The lanes end when all of these are gone.
pub(crate) struct Inserts(mpsc::Sender<Waiting>);

impl Inserts {
    /// Several lanes, so that the next batch is under way while one waits for the disk.
    pub(crate) fn start(core: &Arc<Core>, lanes: usize) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let queue = Arc::new(Mutex::new(receiver));
        for _ in 0..lanes {
            tokio::spawn(lane(Arc::clone(core), Arc::clone(&queue)));
        }
        Self(sender)
    }

    pub(crate) async fn insert(&self, event: NewEvent) -> Result<Insertion, StoreError> {
        let (answer, answered) = oneshot::channel();
        let stopped = || StoreError::unavailable("storing an event: the store has stopped");
        let waiting = Waiting { row: NewRow::new(event), answer };
        self.0.send(waiting).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?.map_err(StoreError::unavailable)
    }
}

/// A batch is whatever came while the last one was on its way: nobody waits for a timer.
async fn lane(core: Arc<Core>, queue: Arc<Mutex<mpsc::Receiver<Waiting>>>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.lock().await.recv_many(&mut batch, BATCH).await > 0 {
        // Those whose caller has gone may as well not be stored.
        let batch: Vec<_> = batch.drain(..).filter(|waiting| !waiting.answer.is_closed()).collect();
        let (rows, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.row, waiting.answer)).unzip();
        let results = store(&core, &rows).await;
        if results.contains(&Ok(Insertion::New)) {
            core.added();
        }
        for (answer, result) in answers.into_iter().zip(results) {
            // Its caller may be gone by now.
            let _ = answer.send(result);
        }
    }
}

/// The keys of a batch.
#[derive(Default)]
struct Stored {
    new: Vec<Uuid>,
    /// Those that are there, but not as a whole.
    broken: Vec<Uuid>,
}

impl Stored {
    fn note(self, new: &mut HashSet<Uuid>, failed: &mut BTreeMap<Uuid, String>) {
        new.extend(self.new);
        failed.extend(self.broken.into_iter().map(|key| (key, format!("{WHAT}: {key}: {NO_STATE}"))));
    }
}

async fn store(core: &Core, rows: &[NewRow]) -> Vec<Result<Insertion, String>> {
    // In the order of their keys, in which all replicas insert: otherwise two batches could wait for each other.
    let mut unique = BTreeMap::new();
    for row in rows {
        unique.entry(row.key).or_insert(row);
    }
    let unique: Vec<_> = unique.into_values().collect();
    let mut new = HashSet::new();
    let mut failed = BTreeMap::new();
    match attempt(core, &unique).await {
        Ok(stored) => stored.note(&mut new, &mut failed),
        // One row must not keep the others out.
        Err((_, true)) if unique.len() > 1 => {
            for row in unique {
                match attempt(core, &[row]).await {
                    Ok(stored) => stored.note(&mut new, &mut failed),
                    Err((error, _)) => drop(failed.insert(row.key.get(), error)),
                }
            }
        }
        Err((error, _)) => failed.extend(unique.iter().map(|row| (row.key.get(), error.clone()))),
    }
    let result = |row: &NewRow| match failed.get(&row.key.get()) {
        Some(error) => Err(error.clone()),
        // Only the first of those with the same id is new.
        None if new.remove(&row.key.get()) => Ok(Insertion::New),
        None => Ok(Insertion::Duplicate),
    };
    rows.iter().map(result).collect()
}

/// Or the error, and whether one of the rows may be the cause.
async fn attempt(core: &Core, rows: &[&NewRow]) -> Result<Stored, (String, bool)> {
    match tokio::time::timeout(LIMIT, insert(core, rows)).await {
        Ok(result) => result.map_err(|error| (explain(WHAT, &error), is_of_one_row(&error))),
        Err(_) => Err((too_slow(WHAT, LIMIT), false)),
    }
}

async fn insert(core: &Core, rows: &[&NewRow]) -> Result<Stored, sqlx::Error> {
    if rows.is_empty() {
        return Ok(Stored::default());
    }
    let mut single = Work::single(&core.own).await?;
    let new = match insert_on(&mut single, core, rows).await {
        Ok(inserted) => {
            single.finish();
            inserted
        }
        // The database's default isolation is stricter than it should be here, and somebody inserted the same event.
        Err(error) if is_serialization_failure(&error) => {
            single.finish();
            let mut work = Work::begin(&core.own, Alone::No).await?;
            let inserted = insert_on(&mut work, core, rows).await?;
            work.commit().await?;
            inserted
        }
        Err(error) => return Err(error),
    };
    let mut broken = Vec::new();
    if new.len() < rows.len() {
        let mut work = Work::begin(&core.own, Alone::No).await?;
        let query = sqlx::query(INTO_QUEUE).bind(column(rows, |row| row.key.get()));
        let found: Vec<Option<Uuid>> =
            query.fetch_all(&mut *work).await?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        work.commit().await?;
        if found.contains(&None) {
            core.added();
        }
        broken.extend(found.into_iter().flatten());
    }
    Ok(Stored { new, broken })
}

/// The keys of those that are new.
async fn insert_on(
    connection: &mut PgConnection,
    core: &Core,
    rows: &[&NewRow],
) -> Result<Vec<Uuid>, sqlx::Error> {
    let query = sqlx::query(INSERT)
        .bind(core.now())
        .bind(column(rows, |row| row.key.get()))
        .bind(column(rows, |row| row.id()))
        .bind(column(rows, |row| row.name.as_deref()))
        .bind(column(rows, |row| row.session_id()))
        .bind(column(rows, |row| row.event.data()))
        .bind(column(rows, |row| row.evidence().0))
        .bind(column(rows, |row| row.evidence().1))
        .bind(column(rows, NewRow::session))
        .bind(column(rows, NewRow::sequence));
    query.fetch_all(connection).await?.iter().map(|row| row.try_get(0)).collect()
}

fn column<'a, T>(rows: &[&'a NewRow], value: impl Fn(&'a NewRow) -> T) -> Vec<T> {
    rows.iter().map(|row| value(row)).collect()
}
