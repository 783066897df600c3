//! The ends of runs and the extensions of leases, many in one commit.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use idnow_webhooks_core::store::{Lease, StoreError};
use sqlx::{PgConnection, Row};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::core::Core;
use crate::error::{explain, is_of_one_row, too_slow};
use crate::key::Key;
use crate::work::{LIMIT, Work, micros, text};

const BATCH: usize = 64;
const QUEUE: usize = 1024;

/// With `+ 0`, here and elsewhere, no index of those that are open fits: a planner that has not seen yet how many there
/// are would read all of it for each event.
///
/// `wait` is none for what is finished. An event of inline mode is due at once: the provider decides when it comes.
const SETTLE: &str = "
    UPDATE idnow_webhooks_states AS state SET
        state = asked.state,
        due = CASE WHEN asked.wait IS NULL THEN NULL WHEN queued OR asked.state = 1
            THEN now + asked.wait * interval '1 microsecond' ELSE now END,
        wake = CASE WHEN queued THEN now + asked.wait * interval '1 microsecond' END,
        finished_at = CASE WHEN asked.wait IS NULL THEN now END,
        runs = GREATEST(runs - asked.given_back, 0),
        error = CASE asked.state WHEN 2 THEN NULL ELSE COALESCE(asked.error, state.error) END
    FROM (SELECT COALESCE($1::timestamptz, statement_timestamp())) AS clock (now), UNNEST($2::uuid[], $3::int8[],
        $4::int2[], $5::int8[], $6::int4[], $7::text[]) AS asked (key, token, state, wait, given_back, error)
        JOIN idnow_webhooks_events AS event ON event.key = asked.key
    WHERE state.position = event.position AND state.token = asked.token AND state.state + 0 = 1
    RETURNING asked.key, state.token, CASE WHEN queued THEN state.session END";

const COMPLETED: &str = "
    SELECT asked.key, asked.token
    FROM UNNEST($1::uuid[], $2::int8[]) AS asked (key, token)
    JOIN idnow_webhooks_events AS event ON event.key = asked.key
    JOIN idnow_webhooks_states AS state ON state.position = event.position
    WHERE state.token = asked.token AND state.state + 0 = 2";

/// Of all events that were put off, only the lowest of each session can run now: it holds back the others. This may be
/// one whose lease ran out. A row that is locked is being woken or run by somebody else.
///
/// An extension may also be what lets it run: the new end of the lease may be before the old one.
const FOLLOWERS: &str = "
    UPDATE idnow_webhooks_states SET wake = due WHERE position IN (
        SELECT position FROM idnow_webhooks_states WHERE position IN (
            SELECT first.position FROM UNNEST($1::uuid[]) AS asked (session) CROSS JOIN LATERAL (
                SELECT position, due, wake FROM idnow_webhooks_states AS state
                WHERE state.session = asked.session AND state < 2 AND queued
                ORDER BY sequence, position LIMIT 1
            ) AS first WHERE first.wake > first.due
        ) AND state + 0 < 2 FOR NO KEY UPDATE SKIP LOCKED
    )";

/// What becomes of an event.
#[derive(Debug)]
pub(crate) enum Settlement {
    Complete,
    Retry { wait: Duration, error: String },
    Release,
    Bury { error: String },
    Extend { lasts: Duration },
}

impl Settlement {
    fn state(&self) -> i16 {
        match self {
            Self::Complete => 2,
            Self::Retry { .. } | Self::Release => 0,
            Self::Bury { .. } => 3,
            Self::Extend { .. } => 1,
        }
    }

    fn wait(&self) -> Option<i64> {
        match self {
            Self::Complete | Self::Bury { .. } => None,
            Self::Retry { wait, .. } => Some(micros(*wait)),
            Self::Release => Some(0),
            Self::Extend { lasts } => Some(micros(*lasts)),
        }
    }

    fn error(&self) -> Option<String> {
        match self {
            Self::Retry { error, .. } | Self::Bury { error } => Some(text(error)),
            Self::Complete | Self::Release | Self::Extend { .. } => None,
        }
    }
}

#[derive(Debug)]
struct Waiting {
    key: Key,
    lease: Lease,
    settlement: Settlement,
    answer: oneshot::Sender<Result<bool, String>>,
}

/// The key of an event, and the token of a lease on it.
type Run = (Uuid, i64);

impl Waiting {
    fn run(&self) -> Run {
        (self.key.get(), token(&self.lease))
    }
}

/// Where settlements wait. Their lane ends when this is gone.
pub(crate) struct Settles(mpsc::Sender<Waiting>);

impl Settles {
    pub(crate) fn start(core: &Arc<Core>) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(lane(Arc::clone(core), receiver));
        Self(sender)
    }

    pub(crate) async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        let stopped = || StoreError::unavailable("noting the end of a run: the store has stopped");
        let waiting = Waiting { key: Key::new(&lease.event_id), lease: lease.clone(), settlement, answer };
        self.0.send(waiting).await.map_err(|_| stopped())?;
        match answered.await.map_err(|_| stopped())? {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::LeaseLost(Arc::clone(&lease.event_id))),
            Err(error) => Err(StoreError::unavailable(error)),
        }
    }
}

/// One lane: what was asked about an event first is also done first.
async fn lane(core: Arc<Core>, mut queue: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let batch = std::mem::take(&mut batch);
        match attempt(&core, &batch).await {
            // One event must not keep the others from being settled.
            Err((_, true)) if batch.len() > 1 => {
                for waiting in batch {
                    let one = std::slice::from_ref(&waiting);
                    let result = attempt(&core, one).await;
                    answer(&core, vec![waiting], result);
                }
            }
            result => answer(&core, batch, result),
        }
    }
}

fn answer(core: &Core, batch: Vec<Waiting>, result: Result<Vec<bool>, (String, bool)>) {
    let result = result.map_err(|(error, _)| error);
    if result.is_ok() {
        // Others are told only of what this process gives away: followers are for whoever handled the one before.
        if batch.iter().any(|waiting| matches!(waiting.settlement, Settlement::Release)) {
            core.added();
        } else if batch.iter().any(|waiting| !matches!(waiting.settlement, Settlement::Extend { .. })) {
            core.bell.ring();
        }
    }
    for (at, waiting) in batch.into_iter().enumerate() {
        let held = result.as_ref().map(|held| held.get(at).copied().unwrap_or(false));
        match (held, &waiting.settlement) {
            (Ok(true), Settlement::Extend { .. }) => core.open.extended(&waiting.lease),
            (Ok(_), _) => core.open.ended(&waiting.lease),
            (Err(_), _) => {}
        }
        // Its caller may be gone by now.
        let _ = waiting.answer.send(held.map_err(Clone::clone));
    }
}

/// Which of the leases were held; or the error, and whether one of the events may be the cause.
async fn attempt(core: &Core, batch: &[Waiting]) -> Result<Vec<bool>, (String, bool)> {
    const WHAT: &str = "noting the end of runs";
    match tokio::time::timeout(LIMIT, settle(core, batch)).await {
        Ok(result) => result.map_err(|error| (explain(WHAT, &error), is_of_one_row(&error))),
        Err(_) => Err((too_slow(WHAT, LIMIT), false)),
    }
}

async fn settle(core: &Core, batch: &[Waiting]) -> Result<Vec<bool>, sqlx::Error> {
    let mut work = Work::begin(&core.own, core.settling()).await?;
    let mut held = HashSet::new();
    let mut sessions = Vec::new();
    let mut left: Vec<usize> = (0..batch.len()).collect();
    // One statement changes a row once, so what else was asked about the same event goes into the next.
    while !left.is_empty() {
        let mut keys = HashSet::new();
        let (mut round, rest): (Vec<_>, Vec<_>) = left
            .into_iter()
            .filter_map(|at| Some((at, batch.get(at)?)))
            .partition(|(_, waiting)| keys.insert(waiting.key));
        left = rest.into_iter().map(|(at, _)| at).collect();
        // In one order everywhere: otherwise two batches could wait for each other.
        round.sort_unstable_by_key(|(_, waiting)| waiting.key);
        let (places, round): (Vec<_>, Vec<_>) = round.into_iter().unzip();
        let settled = update(&mut work, core, &round).await?;
        for (at, waiting) in places.into_iter().zip(round) {
            let Some(session) = settled.get(&waiting.run()) else {
                continue;
            };
            held.insert(at);
            sessions.extend(*session);
        }
    }
    let again = |(at, waiting): &(usize, &Waiting)| {
        !held.contains(at) && matches!(waiting.settlement, Settlement::Complete | Settlement::Extend { .. })
    };
    let again: Vec<_> = batch.iter().enumerate().filter(again).collect();
    let completed = completed(&mut work, again.iter().map(|(_, waiting)| waiting.run())).await?;
    held.extend(again.into_iter().zip(completed).filter_map(|((at, _), completed)| completed.then_some(at)));
    let woken = wake_followers(&mut work, sessions).await?;
    work.commit().await?;
    if woken {
        core.floor.lower();
    }
    Ok((0..batch.len()).map(|at| held.contains(&at)).collect())
}

/// The runs whose leases were held, each with the session that may go on.
async fn update(
    connection: &mut PgConnection,
    core: &Core,
    round: &[&Waiting],
) -> Result<HashMap<Run, Option<Uuid>>, sqlx::Error> {
    let (keys, tokens): (Vec<_>, Vec<_>) = round.iter().map(|waiting| waiting.run()).unzip();
    let (mut states, mut waits, mut given_back) = (Vec::new(), Vec::new(), Vec::new());
    let mut errors = Vec::new();
    for Waiting { settlement, .. } in round {
        states.push(settlement.state());
        waits.push(settlement.wait());
        given_back.push(i32::from(matches!(settlement, Settlement::Release)));
        errors.push(settlement.error());
    }
    let query = sqlx::query(SETTLE).bind(core.now()).bind(keys).bind(tokens).bind(states).bind(waits);
    let rows = query.bind(given_back).bind(errors).fetch_all(connection).await?;
    rows.iter().map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?))).collect()
}

/// Which of the runs were completed before.
async fn completed(
    connection: &mut PgConnection,
    runs: impl Iterator<Item = Run>,
) -> Result<Vec<bool>, sqlx::Error> {
    let (keys, tokens): (Vec<_>, Vec<_>) = runs.unzip();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(COMPLETED).bind(&keys).bind(&tokens).fetch_all(connection).await?;
    let found = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    let found: HashSet<Run> = found.collect::<Result<_, sqlx::Error>>()?;
    Ok(keys.into_iter().zip(tokens).map(|run| found.contains(&run)).collect())
}

/// Lets the next of each session be looked at. Says whether there is one, which is due from a time that may be long past.
pub(crate) async fn wake_followers(
    connection: &mut PgConnection,
    sessions: Vec<Uuid>,
) -> Result<bool, sqlx::Error> {
    if sessions.is_empty() {
        return Ok(false);
    }
    Ok(sqlx::query(FOLLOWERS).bind(sessions).execute(connection).await?.rows_affected() > 0)
}

/// As the table has it.
pub(crate) fn token(lease: &Lease) -> i64 {
    // None is negative.
    i64::try_from(lease.token).unwrap_or(-1)
}
