use std::time::Duration;

use futures_util::FutureExt as _;
use idnow_webhooks_conformance::Gate;
use idnow_webhooks_private_postgres::PrivatePostgres;
use idnow_webhooks_testkit::SampleEvent;
use sqlx::{Connection as _, PgConnection};

use super::{REFUSED, recovered};
use crate::disk;
use crate::handler::Plan;
use crate::relay::Relay;
use crate::row::{Group, Observed, Row};
use crate::words::stored_or_not;
use crate::world::{Setup, World};

pub(crate) fn group() -> Group {
    let rows = vec![
        Row { fault: "the disk is full", expected: REFUSED, case: disk::postgres().boxed() },
        Row::new("stopped, and started again", REFUSED, stopped()),
        Row::new(
            "killed while the handler runs, and started again",
            ["200", "running; ran once", "200", "completed; ran once"],
            killed(),
        ),
        Row::new(
            "answers only after the answer deadline",
            ["503 `deadline_exceeded`, Retry-After 1", "stored, or not", "200", "completed; ran once"],
            slow(),
        ),
        Row::new("its tables are locked (by a migration, say)", REFUSED, locked()),
    ];
    Group { title: "Store: PostgreSQL", rows }
}

fn on(url: String) -> Setup {
    Setup { postgres: Some(url), ..Setup::default() }
}

/// A database of its own, on a server that the rows share.
pub(super) async fn database() -> String {
    PrivatePostgres::shared().await.unwrap().create_database().await.unwrap()
}

async fn stopped() -> Observed {
    let server = PrivatePostgres::start().await.unwrap();
    let world = World::start(on(server.create_database().await.unwrap())).await;
    server.stop().await.unwrap();
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    server.restart().await.unwrap();
    let left = world.finished(&event).await;
    recovered(&world, &event, answered, left).await
}

async fn killed() -> Observed {
    let server = PrivatePostgres::start().await.unwrap();
    let gate = Gate::closed();
    let setup = on(server.create_database().await.unwrap());
    let world = World::start(Setup { handler: Plan::Wait(gate.clone()), ..setup }).await;
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    gate.reached_by(1).await;
    let left = world.now(&event).await;
    server.kill().await.unwrap();
    gate.open();
    // Long enough for a first try to note the end.
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.restart().await.unwrap();
    recovered(&world, &event, answered, left).await
}

async fn slow() -> Observed {
    let (relay, setup) = behind_a_relay().await;
    let world = World::start(Setup { answer_deadline: Duration::from_millis(500), ..setup }).await;
    relay.hold(true);
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    relay.hold(false);
    let left = stored_or_not(world.finished(&event).await);
    recovered(&world, &event, answered, left).await
}

async fn locked() -> Observed {
    let url = database().await;
    let world = World::start(on(url.clone())).await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    let tables = "SELECT tablename FROM pg_tables WHERE tablename LIKE 'idnow_webhooks_%'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut other).await.unwrap();
    let lock = format!("BEGIN; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", tables.join(", "));
    // The store takes its locks in another order, so this may be the one that a deadlock ends.
    while let Err(error) = sqlx::raw_sql(sqlx::AssertSqlSafe(lock.clone())).execute(&mut other).await {
        assert_eq!(
            error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref(),
            Some("40P01"),
            "{error}"
        );
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    }
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    other.close().await.unwrap();
    let left = world.finished(&event).await;
    recovered(&world, &event, answered, left).await
}

/// A database of its own, and what stands in front of it.
async fn behind_a_relay() -> (Relay, Setup) {
    let url = database().await;
    let (before, name) = url.rsplit_once('/').unwrap();
    let (user, server) = before.rsplit_once('@').unwrap();
    let relay = Relay::start(server.parse().unwrap());
    let url = format!("{user}@{}/{name}", relay.address);
    (relay, on(url))
}
