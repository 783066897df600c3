//! `PostgresStore`, on a server of its own, on this machine.

use std::sync::Arc;

use futures_util::future::join_all;
use idnow_webhooks_core::store::EventStore as _;
use idnow_webhooks_postgres::PostgresStore;
use idnow_webhooks_private_postgres::PrivatePostgres;
use sqlx::{Connection as _, PgConnection};
use tokio::runtime::Runtime;

use super::drive::{self, CALLERS, Store, complete, insert_singly, insert_together, insertions, timed};
use super::sample::{self, NAME, Row, SEQUENCE, data};
use super::{many, volume};
use crate::measure::{Effort, compare};
use crate::report::{Limit, Report};

const ROUNDS: usize = 30;
const TURN: usize = 2048;
const TURN_OF_SINGLE_ONES: usize = 512;
const CONNECTIONS: usize = 16;

pub fn run(effort: Effort, report: &mut Report, runtime: &Runtime) {
    let server = match runtime.block_on(PrivatePostgres::start()) {
        Ok(server) => server,
        Err(error) if effort == Effort::Quick => {
            println!("\nPostgreSQL: skipped: {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let database = || runtime.block_on(server.create_database()).unwrap();
    commits(effort, report, runtime, &database());
    fullness(effort, report, runtime, &[database(), database()]);
}

fn open(runtime: &Runtime, url: &str) -> Store {
    Arc::new(runtime.block_on(PostgresStore::connect(url)).unwrap())
}

/// Both sides in the same tables, which are emptied before each turn: this is about commits, not about the size of the indexes.
fn commits(effort: Effort, report: &mut Report, runtime: &Runtime, url: &str) {
    Report::section(
        "PostgreSQL: one event, against bare statements of sqlx on the same tables, one event per commit",
        "store",
        "bare",
    );
    let store = open(runtime, url);
    let bare = Bare::open(runtime, url, 1);
    let rounds = effort.rounds(ROUNDS);
    let (turn, few) = (effort.turn(TURN), effort.turn(TURN_OF_SINGLE_ONES));
    let ours = insertions(runtime, few, |events| insert_singly(&store, events));
    let ours = || {
        bare.truncate();
        ours()
    };
    let single = compare(rounds, ours, || bare.turn(few));
    report.row("one at a time, against 1 connection", &single, Limit::None);
    let against = |connections, rows| {
        let bare = Bare::open(runtime, url, connections);
        let ours = insertions(runtime, turn, |events| insert_together(&store, events));
        let ours = || {
            bare.truncate();
            ours()
        };
        compare(rounds, ours, || bare.turn(rows))
    };
    let (one, many) = (against(1, few), against(CONNECTIONS, turn));
    // The better reference is the one to be judged by.
    let limit = |judged| if judged { Limit::Rate(3.0) } else { Limit::AnyRate };
    let many_is_better = many.reference < one.reference;
    report.row("64 at a time, against 1 connection", &one, limit(!many_is_better));
    report.row(&format!("64 at a time, against {CONNECTIONS} connections"), &many, limit(many_is_better));
}

fn fullness(effort: Effort, report: &mut Report, runtime: &Runtime, [full_url, empty_url]: &[String; 2]) {
    let number = many(effort);
    Report::section(
        &format!("PostgreSQL: {number} completed events in the store, against none"),
        "full",
        "empty",
    );
    let (full, empty) = (open(runtime, full_url), open(runtime, empty_url));
    runtime.block_on(fill(full_url, number));
    let bare = Bare::open(runtime, empty_url, 1);
    volume::run(effort, report, runtime, [&full, &empty], || bare.truncate());
    for (name, store, url) in [("full", &full, full_url), ("empty", &empty, empty_url)] {
        let [insert, claim, complete] = runtime.block_on(log_volume(store, url, effort.turn(TURN)));
        println!(
            "log of the {name} store, bytes per event: insert {insert}, claim {claim}, complete {complete}"
        );
    }
    let kept = runtime.block_on(full.completed()).unwrap();
    assert!(kept > number.into(), "the store that is to be full is not");
}

/// How much the server writes to its log for an event that is inserted, claimed and completed, from a checkpoint on, after
/// which the first change of each page costs the whole page.
async fn log_volume(store: &Store, url: &str, events: usize) -> [i64; 3] {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let mut last = None;
    // The server writes to its log for other reasons too, but little.
    let mut written = async || {
        let position = "SELECT (pg_current_wal_insert_lsn() - '0/0')::int8";
        let now: i64 = sqlx::query_scalar(position).fetch_one(&mut connection).await.unwrap();
        (now - last.replace(now).unwrap_or(now)) / i64::try_from(events).unwrap()
    };
    let mut checkpoint = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql("CHECKPOINT").execute(&mut checkpoint).await.unwrap();
    written().await;
    insert_together(store, sample::events(events)).await;
    let insert = written().await;
    let mut claimed = Vec::new();
    while claimed.len() < events {
        claimed.extend(drive::claim(store).await);
    }
    let claim = written().await;
    for claimed in claimed.chunks(CALLERS) {
        complete(store, claimed).await;
    }
    [insert, claim, written().await]
}

/// Connections, each of which inserts one event per commit.
struct Bare<'r> {
    runtime: &'r Runtime,
    connections: std::cell::RefCell<Vec<PgConnection>>,
}

const INSERT: &str = "\
    WITH new AS (INSERT INTO idnow_webhooks_events (key, name, data) VALUES ($1, $2, $5) RETURNING position) \
    INSERT INTO idnow_webhooks_states (position, token, received_at, due, wake, sequence, session, runs, state, queued) \
    SELECT position, 0, now(), now(), now(), $4, $3, 0, 0, true FROM new";

impl<'r> Bare<'r> {
    fn open(runtime: &'r Runtime, url: &str, connections: usize) -> Self {
        let connect = async || {
            let mut connection = PgConnection::connect(url).await.unwrap();
            let durable = "SET synchronous_commit = on";
            sqlx::raw_sql(durable).execute(&mut connection).await.unwrap();
            connection
        };
        let connections = runtime.block_on(join_all((0..connections).map(|_| connect())));
        Self { runtime, connections: connections.into() }
    }

    fn truncate(&self) {
        let mut connections = self.connections.borrow_mut();
        let sql = sqlx::raw_sql("TRUNCATE idnow_webhooks_events, idnow_webhooks_states");
        self.runtime.block_on(sql.execute(connections.first_mut().unwrap())).unwrap();
    }

    fn turn(&self, rows: usize) -> f64 {
        self.truncate();
        let mut connections = self.connections.borrow_mut();
        let each = rows / connections.len();
        let operations = each * connections.len();
        let rows: Vec<_> = connections.iter().map(|_| Row::several(each)).collect();
        let work = join_all(connections.iter_mut().zip(rows).map(async |(connection, rows)| {
            for row in rows {
                let query = sqlx::query(INSERT).bind(row.event_id).bind(NAME).bind(row.session);
                let query = query.bind(SEQUENCE).bind(&*row.data);
                assert_eq!(query.execute(&mut *connection).await.unwrap().rows_affected(), 1);
            }
        }));
        timed(self.runtime, operations, async {
            work.await;
        })
    }
}

/// Completed events, under random ids as real ones have them, finished in the last 29 days.
async fn fill(url: &str, events: u32) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let sql = "\
        WITH new AS ( \
            INSERT INTO idnow_webhooks_events (key, name, data) \
            SELECT gen_random_uuid(), $1, $3 FROM generate_series(1, $4) RETURNING position) \
        INSERT INTO idnow_webhooks_states \
            (position, token, received_at, finished_at, sequence, session, runs, state, queued) \
        SELECT position, 1, at, at, $2, gen_random_uuid(), 1, 2, true \
        FROM new, LATERAL (SELECT now() - (1 - position::float8 / $4) * interval '29 days') AS time (at)";
    let query = sqlx::query(sql).bind(NAME).bind(SEQUENCE);
    let data = data(&uuid::Uuid::nil(), &uuid::Uuid::nil());
    let events = i32::try_from(events).unwrap();
    query.bind(data).bind(events).execute(&mut connection).await.unwrap();
    for sql in ["VACUUM (ANALYZE) idnow_webhooks_events, idnow_webhooks_states", "CHECKPOINT"] {
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}
