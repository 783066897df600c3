//! PostgreSQL killed under load, with all its processes, while the receiver lives.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, missing_docs, reason = "tests")]

use idnow_webhooks_crash::{Chance, Database, Handling, Load, Program, Supply, Verdict, eventually};
use idnow_webhooks_private_postgres::PrivatePostgres;

const RECEIVER: &str = env!("CARGO_BIN_EXE_receiver");
const OUTAGES: u64 = 50;
/// In one of so many outages the database stays away until deliveries were refused, which takes seconds: the store waits
/// for a connection as long as it is set to. The others are as short as can be.
const ANSWERED_EVERY: u64 = 10;
const CONNECTIONS: usize = 16;
const SUPPLY: Supply = Supply { events: None, sessions: 200, per_session: 5, long_in: 0 };

/// Counting shows all there is to show: that every event was handled, and that none was twice.
#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_says_503_and_recovers_by_itself() {
    let mut chance = Chance::announced("server killed");
    let server = PrivatePostgres::start().await.unwrap();
    let url = server.create_database().await.unwrap();
    let program = Program::new(RECEIVER, &url, Handling::Count);
    let database = Database::Postgres(url);
    database.prepare().await;
    let mut replica = program.start().await;
    let mut load = Load::start(program.provider(), SUPPLY, CONNECTIONS, &mut chance);
    load.send_to(&[replica.address]);
    for outage in 1..=OUTAGES {
        load.accepts(8).await;
        tokio::time::sleep(chance.millis(0, 100)).await;
        server.kill().await.unwrap();
        load.outage_begins();
        if outage % ANSWERED_EVERY == 0 {
            load.refuses(8).await;
        }
        load.outage_ends();
        server.restart().await.unwrap();
    }
    load.accepts(8).await;
    load.stop().await;
    eventually("everything is handled", async || database.unfinished().await == 0).await;
    assert!(replica.runs(), "the receiver ended: {}", program.log());
    assert!(program.terminate(replica).await.success());
    let answers = load.answers();
    assert_eq!(answers.broken, 0, "every attempt is answered, in time");
    let ledger = load.ledger().clone();
    let verdict = Verdict::reach(&ledger, answers, &database, &program).await;
    println!("server killed: {OUTAGES} kills, {verdict:?}");
}
