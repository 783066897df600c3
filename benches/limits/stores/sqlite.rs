//! `SqliteStore`.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use idnow_webhooks_core::store::{EventState, EventStore as _, Purge};
use idnow_webhooks_core::{Clock, SystemClock};
use idnow_webhooks_sqlite::SqliteStore;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sqlx::{Arguments as _, AssertSqlSafe, ConnectOptions as _, Connection as _};
use tokio::runtime::Runtime;

use super::drive::{CALLERS, Store, insert_singly, insert_together, insertions, timed};
use super::sample::{NAME, Row, SEQUENCE, data};
use super::{many, volume};
use crate::measure::{Effort, compare};
use crate::report::{Limit, Report};

const ROUNDS: usize = 40;
/// Several copies of the log into the file fall into each turn.
const TURN: usize = 8192;
const TURN_OF_SINGLE_ONES: usize = 1024;

pub fn run(effort: Effort, report: &mut Report, runtime: &Runtime) {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| -> Store {
        Arc::new(runtime.block_on(SqliteStore::open(folder.path().join(name))).unwrap())
    };
    Report::section(
        "SQLite: one event, against bare statements of sqlx on the same tables with the same settings",
        "store",
        "bare",
    );
    let bare = folder.path().join("bare.db");
    // The store makes the tables.
    drop(open("bare.db"));
    let mut bare = runtime.block_on(Bare::open(&bare));
    let rounds = effort.rounds(ROUNDS);
    let (turn, few) = (effort.turn(TURN), effort.turn(TURN_OF_SINGLE_ONES));
    let store = open("single.db");
    let ours = insertions(runtime, few, |events| insert_singly(&store, events));
    let reference = || {
        let rows = Row::several(few);
        timed(runtime, few, async {
            for row in rows.chunks(1) {
                bare.insert(row).await;
            }
        })
    };
    report.row(
        "one at a time, against one row per commit",
        &compare(rounds, ours, reference),
        Limit::Ratio(1.2),
    );
    let store = open("together.db");
    runtime.block_on(bare.clear());
    let ours = insertions(runtime, turn, |events| insert_together(&store, events));
    let reference = || {
        let rows = Row::several(turn);
        timed(runtime, turn, async {
            for rows in rows.chunks(CALLERS) {
                bare.insert(rows).await;
            }
        })
    };
    report.row(
        "64 at a time, against 64 rows per commit",
        &compare(rounds, ours, reference),
        Limit::Rate(0.9),
    );
    drop(store);

    let number = many(effort);
    Report::section(
        &format!("SQLite: {number} completed events in the store, against none"),
        "full",
        "empty",
    );
    drop(open("full.db"));
    runtime.block_on(fill(&folder.path().join("full.db"), number));
    let (full, empty) = (open("full.db"), open("empty.db"));
    let everything = Purge { state: EventState::Completed, older_than: Duration::ZERO, limit: usize::MAX };
    volume::run(effort, report, runtime, [&full, &empty], || {
        runtime.block_on(empty.purge(everything)).unwrap();
    });
    let kept = runtime.block_on(full.completed()).unwrap();
    assert!(kept > number.into(), "the store that is to be full is not");
}

/// A connection with what the store sets: see `Settings::connect` there.
struct Bare {
    connection: SqliteConnection,
    one: Arc<str>,
    many: Arc<str>,
}

impl Bare {
    async fn open(path: &Path) -> Self {
        let connection = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", setting("CHECKPOINT_PAGES"))
            .pragma("journal_size_limit", setting("LOG_SIZE"))
            .pragma("cache_size", setting("WRITER_CACHE"))
            .disable_statement_logging()
            .connect()
            .await
            .unwrap();
        Self { connection, one: statement(1), many: statement(CALLERS) }
    }

    /// One statement, one commit.
    async fn insert(&mut self, rows: &[Row]) {
        let now = SystemClock.now().timestamp_micros();
        let mut arguments = SqliteArguments::default();
        for row in rows {
            arguments.add(&row.event_id.as_bytes()[..]).unwrap();
            arguments.add(NAME).unwrap();
            arguments.add(&row.session.as_bytes()[..]).unwrap();
            arguments.add(SEQUENCE).unwrap();
            arguments.add(now).unwrap();
            arguments.add(now).unwrap();
            arguments.add(now).unwrap();
            arguments.add(Arc::clone(&row.data)).unwrap();
        }
        let sql = if rows.len() == 1 { &self.one } else { &self.many };
        let query = sqlx::query_with(AssertSqlSafe(Arc::clone(sql)), arguments);
        let inserted = query.execute(&mut self.connection).await.unwrap().rows_affected();
        assert_eq!(usize::try_from(inserted).unwrap(), rows.len());
    }

    async fn clear(&mut self) {
        let sql = "DELETE FROM idnow_webhooks_events; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)";
        sqlx::raw_sql(sql).execute(&mut self.connection).await.unwrap();
    }
}

/// What the store sets, out of its source: a comparison with other settings would mean nothing.
fn setting(name: &str) -> &'static str {
    let source = include_str!("../../../crates/idnow-webhooks-sqlite/src/database.rs");
    let (_, value) = source.split_once(&format!("const {name}: &str = \"")).unwrap();
    value.split_once('"').unwrap().0
}

fn statement(rows: usize) -> Arc<str> {
    let mut sql = String::from(
        "INSERT INTO idnow_webhooks_events \
         (event_id, name, session, sequence, state, queued, runs, token, received_at, due, wake, data) VALUES ",
    );
    for row in 0..rows {
        write!(sql, "{}(?,?,?,?,0,1,0,0,?,?,?,?)", if row == 0 { "" } else { "," }).unwrap();
    }
    sql.into()
}

/// Completed events, under random ids as real ones have them, finished in the last 29 days.
async fn fill(path: &Path, events: u32) {
    const STEP: u32 = 50_000;
    let options = SqliteConnectOptions::new().filename(path).disable_statement_logging();
    let mut connection = options.pragma("cache_size", "-400000").connect().await.unwrap();
    let day = 24 * 3600 * 1_000_000;
    let begin = SystemClock.now().timestamp_micros() - 29 * day;
    let apart = 29 * day / i64::from(events);
    let data: Arc<str> = data(&uuid::Uuid::nil(), &uuid::Uuid::nil()).into();
    for from in (0..events).step_by(usize::try_from(STEP).unwrap()) {
        let sql = "INSERT INTO idnow_webhooks_events (event_id, name, session, sequence, state, queued, runs, \
                   token, received_at, finished_at, data) \
                   WITH RECURSIVE number(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM number WHERE i + 1 < ?2) \
                   SELECT randomblob(16), ?3, randomblob(16), ?4, 2, 1, 1, 1, ?5 + i * ?6, ?5 + i * ?6, ?7 FROM number";
        let query = sqlx::query(sql).bind(from).bind(events.min(from + STEP)).bind(NAME).bind(SEQUENCE);
        query.bind(begin).bind(apart).bind(Arc::clone(&data)).execute(&mut connection).await.unwrap();
    }
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
