//! That stores wait for the disk. A kill cannot show it: see the crate's documentation.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, missing_docs, reason = "tests")]

use std::path::Path;

use idnow_webhooks_crash::{Chance, Database, Handling, Load, Program, Supply, Verdict, eventually};
use idnow_webhooks_private_postgres::PrivatePostgres;

const RECEIVER: &str = env!("CARGO_BIN_EXE_receiver");
const EVENTS: usize = 40;

/// Sends events one after the other, so that no two can share a commit, to a receiver of its own.
async fn one_after_the_other(name: &str, program: &Program) -> Load {
    let mut chance = Chance::announced(name);
    let supply = Supply { events: Some(EVENTS), sessions: 5, per_session: 5, long_in: 0 };
    let replica = program.start().await;
    let mut load = Load::start(program.provider(), supply, 1, &mut chance);
    load.send_to(&[replica.address]);
    load.is_done().await;
    load.stop().await;
    assert!(program.terminate(replica).await.success());
    load
}

/// What handlers wrote says how their connection was set.
async fn handlers_connection(name: &str, program: &Program, database: &Database) -> String {
    let load = one_after_the_other(name, program).await;
    let replica = program.start().await;
    eventually("everything is handled", async || database.unfinished().await == 0).await;
    assert!(program.terminate(replica).await.success());
    let ledger = load.ledger().clone();
    Verdict::reach(&ledger, load.answers(), database, program).await;
    let handled = database.handled().await;
    assert_eq!(handled.len(), EVENTS);
    assert!(handled.iter().all(|(_, durability)| *durability == handled[0].1), "{handled:?}");
    handled[0].1.clone()
}

/// The database is set to answer before its log is on the disk, as an administrator may do for other tables.
async fn careless_postgres() -> (PrivatePostgres, String) {
    const CARELESS: &str = "DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database());
    END $$";
    let server = PrivatePostgres::start().await.unwrap();
    let url = server.create_database().await.unwrap();
    Database::Postgres(url.clone()).execute(CARELESS).await;
    (server, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_syncs_its_log_for_every_insertion() {
    let (_server, url) = careless_postgres().await;
    let program = Program::new(RECEIVER, &url, Handling::None);
    let database = Database::Postgres(url);
    let since_18 = database.number("SELECT current_setting('server_version_num')").await >= 180_000;
    let statement = if since_18 {
        "SELECT CAST(CAST(sum(fsyncs) AS bigint) AS text) FROM pg_stat_io WHERE object = 'wal'"
    } else {
        "SELECT CAST(wal_sync AS text) FROM pg_stat_wal"
    };
    let before = database.number(statement).await;
    one_after_the_other("postgres, syncs", &program).await;
    // Processes of the server report what they did a second later, or when they end.
    let syncs = async || database.number(statement).await - before;
    eventually("as many syncs as events", async || usize::try_from(syncs().await).unwrap() >= EVENTS).await;
    println!("postgres: {} syncs of the log for {EVENTS} events", syncs().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_syncs_what_handlers_write() {
    let (_server, url) = careless_postgres().await;
    let program = Program::new(RECEIVER, &url, Handling::Count);
    let database = Database::Postgres(url);
    database.prepare().await;
    assert_eq!(handlers_connection("postgres, handlers", &program, &database).await, "on");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_syncs_what_handlers_write() {
    const FULL: &str = "2";
    let program = Program::new(RECEIVER, "sqlite:events.db", Handling::Count);
    let database = Database::Sqlite(program.folder().join("events.db"));
    database.prepare().await;
    assert_eq!(handlers_connection("sqlite, handlers", &program, &database).await, FULL);
}

/// Each answer of 200 must come after a sync of the log that came after the answer before.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace, and the right to use it: run with `--ignored`"]
async fn sqlite_syncs_its_log_before_every_answer() {
    let mut program = Program::new(RECEIVER, "sqlite:events.db", Handling::None);
    let calls = "trace=fsync,fdatasync,write,writev,sendto,sendmsg";
    program.wrapper =
        ["strace", "-f", "-y", "-o", "calls", "-e", calls].iter().map(|&word| word.to_owned()).collect();
    let load = one_after_the_other("sqlite, system calls", &program).await;
    let calls = calls_of(&program.folder().join("calls"));
    let answers = usize::try_from(load.answers().accepted).unwrap();
    let (mut syncs, mut answered, mut synced) = (0, 0, false);
    let mut unsynced = 0;
    for call in &calls {
        if is_sync(call) {
            (syncs, synced) = (syncs + 1, true);
        } else if call.contains("HTTP/1.1 200") {
            answered += 1;
            unsynced += usize::from(!synced);
            synced = false;
        }
    }
    println!(
        "sqlite: {answers} answers of 200 for {EVENTS} events, {syncs} syncs of the log, {unsynced} answers without one"
    );
    assert_eq!(answered, answers, "strace saw every answer");
    // A duplicate is answered without a commit.
    let duplicates = answers - EVENTS;
    assert!(
        unsynced <= duplicates,
        "{unsynced} answers came before the disk had the event, {duplicates} were duplicates"
    );
}

/// The end of one. Another thread's call may come in between; the second line does not name the file then, but so few events
/// never get as far as into another file than the log.
fn is_sync(call: &str) -> bool {
    let whole = call.contains("sync(") && call.contains("events.db-wal") && !call.contains("unfinished");
    whole || call.contains("sync resumed>")
}

fn calls_of(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}
