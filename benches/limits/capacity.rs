//! What a receiver and its store need for each event: the figures of `docs/production.md`. Nothing is judged.

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method};
use idnow_webhooks_core::store::EventStore;
use idnow_webhooks_core::{EventRouter, Head, Receiver, Worker};
use idnow_webhooks_postgres::PostgresStore;
use idnow_webhooks_private_postgres::PrivatePostgres;
use idnow_webhooks_sqlite::SqliteStore;
use idnow_webhooks_testkit::{Provider, SampleEvent};
use sqlx::{Connection as _, PgConnection, SqliteConnection};

use crate::fixture::{Signature, provider};
use crate::http::child::CPU_TIME_IS_KNOWN;
use crate::measure::Effort;
use crate::report::Report;

/// Deliveries that are under way at once.
const AT_ONCE: usize = 64;
const EVENTS: usize = 50_000;

/// Per event.
struct Taking {
    processor: Duration,
    took: Duration,
}

struct Row {
    name: &'static str,
    delivering: Taking,
    handling: Taking,
    /// Bytes on the disk.
    waiting: u64,
    completed: u64,
    /// What is written besides, and may have to be kept or sent on.
    log: Option<u64>,
}

pub fn run(effort: Effort, _: &mut Report) {
    println!("\ncapacity: what a receiver and its store need for each event");
    if !CPU_TIME_IS_KNOWN {
        println!("skipped: processor time is read from /proc, which only Linux has");
        return;
    }
    // As many threads as a server has.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(effort));
}

async fn measure(effort: Effort) {
    let server = match PrivatePostgres::start().await {
        Ok(server) => Some(server),
        Err(error) if effort == Effort::Quick => {
            println!("PostgreSQL: skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    };
    let events = effort.turn(EVENTS);
    let provider = provider(Signature::Rs256);
    let tokens: Vec<Bytes> = (0..events).map(|_| provider.token(&sample()).into()).collect();
    let bytes = tokens.iter().map(Bytes::len).sum::<usize>() / events;
    println!("{events} events, tokens of {bytes} bytes, {AT_ONCE} deliveries at once, in process\n");
    println!(
        "{:25} | {:>10} | {:>8} | {:>10} | {:>8} | {:>13} | {:>15} | {:>7}",
        "one event", "delivered", "rate", "handled", "rate", "disk, waiting", "disk, completed", "log"
    );
    println!(
        "{:-<25}-|-{:->10}-|-{:->8}-|-{:->10}-|-{:->8}-|-{:->13}-|-{:->15}-|-{:->7}",
        "", "", "", "", "", "", "", ""
    );
    for (keep, sqlite_name, postgres_name) in
        [(false, "SQLite", "PostgreSQL"), (true, "SQLite, evidence", "PostgreSQL, evidence")]
    {
        line(&sqlite(sqlite_name, &provider, &tokens, keep).await);
        if let Some(server) = &server {
            line(&postgres(postgres_name, &provider, &tokens, keep, server).await);
        }
    }
}

fn line(row: &Row) {
    let log = row.log.map_or_else(|| "-".to_owned(), |bytes| format!("{bytes} B"));
    let Row { name, delivering, handling, waiting, completed, .. } = row;
    println!(
        "{name:25} | {} | {} | {waiting:11} B | {completed:13} B | {log:>7}",
        columns(delivering),
        columns(handling)
    );
}

fn columns(taking: &Taking) -> String {
    format!("{:7} µs | {:6.0}/s", taking.processor.as_micros(), 1.0 / taking.took.as_secs_f64())
}

/// The published example, under ids of its own.
fn sample() -> SampleEvent {
    let ids = SampleEvent::completed();
    SampleEvent::published().with_event_id(ids.event_id()).with_session_id(ids.session_id())
}

async fn sqlite(name: &'static str, provider: &Provider, tokens: &[Bytes], keep: bool) -> Row {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let store = Arc::new(SqliteStore::open(&path).await.unwrap());
    let delivering = deliver(provider, tokens, keep, Arc::clone(&store)).await;
    let waiting = file(&path).await / tokens.len() as u64;
    let handling = handle(tokens.len(), Arc::clone(&store)).await;
    let completed = file(&path).await / tokens.len() as u64;
    Row { name, delivering, handling, waiting, completed, log: None }
}

/// The size of the file, once everything of its log has been copied into it.
async fn file(path: &Path) -> u64 {
    let mut connection = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    fs::metadata(path).unwrap().len()
}

async fn postgres(
    name: &'static str,
    provider: &Provider,
    tokens: &[Bytes],
    keep: bool,
    server: &PrivatePostgres,
) -> Row {
    let url = server.create_database().await.unwrap();
    let store = Arc::new(PostgresStore::connect(&url).await.unwrap());
    let before = tables(&url).await;
    let delivering = deliver(provider, tokens, keep, Arc::clone(&store)).await;
    let waiting = tables(&url).await;
    let handling = handle(tokens.len(), store).await;
    let completed = tables(&url).await;
    let each = |bytes: i64| u64::try_from(bytes).unwrap() / tokens.len() as u64;
    let log = Some(each(completed.1 - before.1));
    Row { name, delivering, handling, waiting: each(waiting.0), completed: each(completed.0), log }
}

/// The size of the tables with their indexes, and how much of the write-ahead log has ever been written.
async fn tables(url: &str) -> (i64, i64) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let query = "SELECT sum(pg_total_relation_size(oid))::int8, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::int8 \
                 FROM pg_class WHERE relkind = 'r' AND relname LIKE 'idnow\\_webhooks\\_%'";
    let sizes = sqlx::query_as(query).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    sizes
}

async fn deliver(provider: &Provider, tokens: &[Bytes], keep: bool, store: Arc<impl EventStore>) -> Taking {
    let receiver = provider.receiver().keep_evidence(keep).queued(store).build().unwrap();
    let measured = Measured::begin();
    stream::iter(tokens.iter().cloned())
        .for_each_concurrent(AT_ONCE, |token| one(receiver.clone(), token))
        .await;
    measured.end(tokens.len())
}

async fn one(receiver: Receiver, token: Bytes) {
    let delivery = async move {
        let head = Head { method: &Method::POST, headers: &HeaderMap::new(), peer: None };
        receiver.receive(head, stream::iter([Ok::<_, Infallible>(token)])).await
    };
    // A task each, as a server has.
    let outcome = tokio::spawn(delivery).await.unwrap();
    assert_eq!(outcome.code(), "stored");
}

async fn handle(events: usize, store: Arc<impl EventStore>) -> Taking {
    let handled = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&handled);
    let handlers = EventRouter::new().on_any(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }
    });
    let measured = Measured::begin();
    let worker = Worker::builder(Arc::clone(&store), handlers).start().unwrap();
    // To ask the store all the time what is left would be work, too.
    while handled.load(Ordering::Relaxed) < events {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    loop {
        let backlog = store.backlog().await.unwrap();
        if backlog.waiting + backlog.running == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let taking = measured.end(events);
    worker.stop().await;
    assert_eq!(store.completed().await.unwrap(), events as u64);
    taking
}

struct Measured {
    began: Instant,
    processor: Duration,
}

impl Measured {
    fn begin() -> Self {
        Self { began: Instant::now(), processor: processor() }
    }

    fn end(self, events: usize) -> Taking {
        let events = u32::try_from(events).unwrap();
        Taking {
            processor: processor().saturating_sub(self.processor) / events,
            took: self.began.elapsed() / events,
        }
    }
}

/// What this process has used of the processor, threads that have ended included, in steps of 10 ms.
fn processor() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>();
    Duration::from_millis(ticks * 10)
}
