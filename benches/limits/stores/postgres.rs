//! `PostgresStore`, on a server of its own, on this machine.

use std::sync::Arc;

use futures_util::future::join_all;
use idnow_webhooks_core::store::EventStore as _;
use idnow_webhooks_postgres::PostgresStore;
use idnow_webhooks_private_postgres::PrivatePostgres;
use sqlx::{Connection as _, PgConnection};
use tokio::runtime::Runtime;

use super::drive::{Store, insert_singly, insert_together, insertions, timed};
use super::sample::{NAME, Row, SEQUENCE, data};
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

/// Both sides in one table, which is emptied before each turn: this is about commits, not about the size of the indexes.
fn commits(effort: Effort, report: &mut Report, runtime: &Runtime, url: &str) {
    Report::section(
        "PostgreSQL: one event, against bare statements of sqlx on the same table, one row per commit",
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
    let kept = runtime.block_on(full.completed()).unwrap();
    assert!(kept > number.into(), "the store that is to be full is not");
}

/// Connections, each of which inserts one row per commit.
struct Bare<'r> {
    runtime: &'r Runtime,
    connections: std::cell::RefCell<Vec<PgConnection>>,
}

const INSERT: &str = "INSERT INTO idnow_webhooks_events \
    (event_id, name, session, sequence, state, queued, runs, token, received_at, due, wake, data) \
    VALUES ($1, $2, $3, $4, 0, true, 0, 0, now(), now(), now(), $5)";

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
        let sql = sqlx::raw_sql("TRUNCATE idnow_webhooks_events");
        self.runtime.block_on(sql.execute(connections.first_mut().unwrap())).unwrap();
    }

    fn turn(&self, rows: usize) -> f64 {
        self.truncate();
        let mut connections = self.connections.borrow_mut();
        let each = rows / connections.len();
        let operations = each * connections.len();
        let rows: Vec<Vec<_>> = connections
            .iter()
            .map(|_| Row::several(each).into_iter().map(|row| (row.event_id.to_string(), row)).collect())
            .collect();
        let work = join_all(connections.iter_mut().zip(rows).map(async |(connection, rows)| {
            for (event_id, row) in rows {
                let query = sqlx::query(INSERT).bind(event_id).bind(NAME).bind(row.session.to_string());
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
    let sql = "INSERT INTO idnow_webhooks_events (event_id, name, session, sequence, state, queued, runs, token, \
               received_at, finished_at, data) \
               SELECT gen_random_uuid()::text, $1, gen_random_uuid()::text, $2, 2, true, 1, 1, at, at, $3 \
               FROM generate_series(1, $4) AS number (i), \
               LATERAL (SELECT now() - (1 - i::float8 / $4) * interval '29 days') AS time (at)";
    let query = sqlx::query(sql).bind(NAME).bind(SEQUENCE);
    let data = data(&uuid::Uuid::nil(), &uuid::Uuid::nil());
    let events = i32::try_from(events).unwrap();
    query.bind(data).bind(events).execute(&mut connection).await.unwrap();
    for sql in ["VACUUM (ANALYZE) idnow_webhooks_events", "CHECKPOINT"] {
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}
