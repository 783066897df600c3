//! Receivers killed under load, at random moments, and started again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, missing_docs, reason = "tests")]

use idnow_webhooks_crash::{Chance, Database, Handling, Load, Program, Supply, Verdict, eventually};
use idnow_webhooks_private_postgres::PrivatePostgres;

const RECEIVER: &str = env!("CARGO_BIN_EXE_receiver");
const KILLS: u64 = 50;
const CONNECTIONS: usize = 24;
const SUPPLY: Supply = Supply { events: None, sessions: 200, per_session: 5, long_in: 0 };

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_loses_nothing() {
    let program = Program::new(RECEIVER, "sqlite:events.db", Handling::Append);
    let database = Database::Sqlite(program.folder().join("events.db"));
    survive("sqlite, append", &program, &database).await;
    assert_eq!(database.integrity().await, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_counts_exactly_once() {
    let program = Program::new(RECEIVER, "sqlite:events.db", Handling::Count);
    let database = Database::Sqlite(program.folder().join("events.db"));
    survive("sqlite, count", &program, &database).await;
    assert_eq!(database.integrity().await, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_loses_nothing() {
    let url = PrivatePostgres::shared().await.unwrap().create_database().await.unwrap();
    let program = Program::new(RECEIVER, &url, Handling::Append);
    survive("postgres, append", &program, &Database::Postgres(url)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_counts_exactly_once() {
    let url = PrivatePostgres::shared().await.unwrap().create_database().await.unwrap();
    let program = Program::new(RECEIVER, &url, Handling::Count);
    survive("postgres, count", &program, &Database::Postgres(url)).await;
}

async fn survive(name: &str, program: &Program, database: &Database) {
    let mut chance = Chance::announced(name);
    database.prepare().await;
    let mut load = Load::start(program.provider(), SUPPLY, CONNECTIONS, &mut chance);
    for _ in 0..KILLS {
        let replica = program.start().await;
        load.send_to(&[replica.address]);
        load.accepts(1).await;
        tokio::time::sleep(chance.millis(5, 150)).await;
        program.kill(replica).await;
        load.send_to(&[]);
    }
    load.stop().await;

    let last = program.start().await;
    eventually("everything is handled", async || database.unfinished().await == 0).await;
    assert!(program.terminate(last).await.success());
    let answers = load.answers();
    let ledger = load.ledger().clone();
    let verdict = Verdict::reach(&ledger, answers, database, program).await;
    println!("{name}: {KILLS} kills, {verdict:?}");
}
