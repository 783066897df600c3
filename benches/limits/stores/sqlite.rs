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
    let rounds = effort.rounds(ROUNDS);
    let (turn, few) = (effort.turn(TURN), effort.turn(TURN_OF_SINGLE_ONES));
    // A loop that is to refuse duplicates, as the store does, needs an index of ids. The one that takes everything
    // shows what is left to gain.
    for (reference, name, judged) in
        [("unique.db", "that refuses duplicates", true), ("bare.db", "that takes all", false)]
    {
        // The store makes the tables.
        drop(open(reference));
        let mut bare = runtime.block_on(Bare::open(&folder.path().join(reference), judged));
        let limit = |limit, any| if judged { limit } else { any };
        let store = open(&format!("single-{reference}"));
        let ours = insertions(runtime, few, |events| insert_singly(&store, events));
        let single = compare(rounds, ours, || bare.turn(runtime, few, 1));
        let row = format!("one at a time, against a loop {name}");
        report.row(&row, &single, limit(Limit::Ratio(1.2), Limit::None));
        let store = open(&format!("together-{reference}"));
        runtime.block_on(bare.clear());
        let ours = insertions(runtime, turn, |events| insert_together(&store, events));
        let together = compare(rounds, ours, || bare.turn(runtime, turn, CALLERS));
        let row = format!("64 at a time, against a loop {name}");
        report.row(&row, &together, limit(Limit::Rate(0.9), Limit::AnyRate));
    }

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

/// A connection with what the store sets: see `Settings` there.
struct Bare {
    connection: SqliteConnection,
    one: Arc<str>,
    many: Arc<str>,
}

impl Bare {
    async fn open(path: &Path, unique: bool) -> Self {
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", setting("CHECKPOINT_PAGES"))
            .pragma("journal_size_limit", setting("LOG_SIZE"))
            .disable_statement_logging()
            .connect()
            .await
            .unwrap();
        if unique {
            let sql = "CREATE UNIQUE INDEX event_ids ON idnow_webhooks_events (event_id)";
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        }
        Self { connection, one: statement(1), many: statement(CALLERS) }
    }

    /// So many rows, some in each commit.
    fn turn(&mut self, runtime: &Runtime, rows: usize, together: usize) -> f64 {
        let rows = Row::several(rows);
        timed(runtime, rows.len(), async {
            for rows in rows.chunks(together) {
                self.insert(rows).await;
            }
        })
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
    let source = include_str!("../../../crates/idnow-webhooks-sqlite/src/settings.rs");
    let (_, value) = source.split_once(&format!("const {name}: &str = \"")).unwrap();
    value.split_once('"').unwrap().0
}

fn statement(rows: usize) -> Arc<str> {
    let mut sql = String::from(
        "INSERT INTO idnow_webhooks_events \
         (event_id, name, session, sequence, state, queued, runs, token, received_at, due, wake, data) VALUES ",
    );
    for row in 0..rows {
        write!(sql, "{}(?,?,?,?,0,1,0,?,?,?,0,?)", if row == 0 { "" } else { "," }).unwrap();
    }
    sql.into()
}

/// Completed events, under random ids as real ones have them, finished in the last 29 days.
async fn fill(path: &Path, events: u32) {
    /// About as many as the store merges at once, so that the table of ids is as it would leave it.
    const STEP: u32 = 32_768;
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
        let sql = "INSERT INTO idnow_webhooks_ids (event_id, position) SELECT event_id, position \
                   FROM idnow_webhooks_events WHERE position > ? ORDER BY event_id";
        sqlx::query(sql).bind(from).execute(&mut connection).await.unwrap();
    }
    let sql = "UPDATE idnow_webhooks_recent SET merged = (SELECT max(position) FROM idnow_webhooks_events); \
               PRAGMA wal_checkpoint(TRUNCATE)";
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
