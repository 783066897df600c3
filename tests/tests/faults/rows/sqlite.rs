use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt as _;
use idnow_webhooks_conformance::Gate;
use idnow_webhooks_sqlite::sqlx::sqlite::SqliteConnectOptions;
use idnow_webhooks_sqlite::sqlx::{self, ConnectOptions as _, SqliteConnection};
use idnow_webhooks_testkit::SampleEvent;

use super::{REFUSED, recovered};
use crate::disk;
use crate::handler::Plan;
use crate::row::{Group, Observed, Row};
use crate::words::stored_or_not;
use crate::world::{Mode, SHORT_INLINE_LIMIT, Setup, World};

/// Where it passes.
const SHORT_BUSY: Duration = Duration::from_millis(300);
/// Where something else is to come first.
const LONG_BUSY: Duration = Duration::from_secs(6);

pub(crate) fn group() -> Group {
    let rows = vec![
        Row::new("its file is gone, and comes back (a file system not mounted)", REFUSED, gone()),
        Row { fault: "the disk is full", expected: REFUSED, case: disk::sqlite().boxed() },
        Row::new("locked by another connection, for longer than the busy time-out", REFUSED, locked()),
        Row::new(
            "locked, for less than the busy time-out (6 s here)",
            ["200", "completed; ran once", "200", "completed; ran once"],
            slow(),
        ),
        Row::new(
            "locked, for longer than the answer deadline, with a longer busy time-out (6 s here)",
            ["503 `deadline_exceeded`, Retry-After 1", "stored, or not", "200", "completed; ran once"],
            too_slow(),
        ),
        Row::new(
            "locked when the handler ends",
            ["200", "running; ran once", "200", "completed; ran once"],
            locked_at_the_end(),
        ),
        Row::new("inline: locked before the handler begins", REFUSED, inline_locked()),
        Row::new(
            "inline: locked when the handler has succeeded; it runs again once its lease is over",
            ["503 `store_unavailable`, Retry-After 1", "running; ran once", "200", "completed; ran twice"],
            inline_locked_at_the_end(),
        ),
    ];
    Group { title: "Store: SQLite", rows }
}

async fn gone() -> Observed {
    let world = World::new().await;
    let file = world.path();
    let folder = file.parent().unwrap();
    let away = folder.join("away");
    std::fs::create_dir(&away).unwrap();
    let names = ["events.db", "events.db-wal", "events.db-shm"];
    for name in names {
        let moved = std::fs::rename(folder.join(name), away.join(name));
        // The last two end with the last connection.
        assert!(moved.is_ok() || name != "events.db", "{moved:?}");
    }
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    for name in names {
        let _ = std::fs::rename(away.join(name), folder.join(name));
    }
    rest(&world, &event, answered).await
}

async fn locked() -> Observed {
    refused_while_locked(Mode::Queued).await
}

async fn inline_locked() -> Observed {
    refused_while_locked(Mode::Inline).await
}

async fn refused_while_locked(mode: Mode) -> Observed {
    let world = World::start(Setup { mode, busy_timeout: SHORT_BUSY, ..Setup::default() }).await;
    let lock = Lock::take(&world.path()).await;
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    lock.release().await;
    rest(&world, &event, answered).await
}

async fn slow() -> Observed {
    let world = World::start(Setup { busy_timeout: LONG_BUSY, ..Setup::default() }).await;
    let lock = Lock::take(&world.path()).await;
    let event = SampleEvent::completed();
    let delivering = world.delivering(&event);
    tokio::time::sleep(Duration::from_millis(500)).await;
    lock.release().await;
    rest(&world, &event, delivering.await.unwrap()).await
}

async fn too_slow() -> Observed {
    let setup =
        Setup { busy_timeout: LONG_BUSY, answer_deadline: Duration::from_millis(500), ..Setup::default() };
    let world = World::start(setup).await;
    let lock = Lock::take(&world.path()).await;
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    lock.release().await;
    let observed = rest(&world, &event, answered).await;
    Observed { left: stored_or_not(observed.left), ..observed }
}

async fn locked_at_the_end() -> Observed {
    let gate = Gate::closed();
    let handler = Plan::Wait(gate.clone());
    let world = World::start(Setup { handler, busy_timeout: SHORT_BUSY, ..Setup::default() }).await;
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    gate.reached_by(1).await;
    let lock = Lock::take(&world.path()).await;
    gate.open();
    // Long enough for a first try to note the end.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let left = world.now(&event).await;
    lock.release().await;
    let again = world.deliver_again(&event).await;
    Observed { answered, left, again, ends: world.finished(&event).await }
}

async fn inline_locked_at_the_end() -> Observed {
    let gate = Gate::closed();
    let setup = Setup {
        mode: Mode::Inline,
        handler: Plan::Wait(gate.clone()),
        handler_limit: SHORT_INLINE_LIMIT,
        busy_timeout: SHORT_BUSY,
        ..Setup::default()
    };
    let world = World::start(setup).await;
    let event = SampleEvent::completed();
    let delivering = world.delivering(&event);
    gate.reached_by(1).await;
    let lock = Lock::take(&world.path()).await;
    gate.open();
    let answered = delivering.await.unwrap();
    lock.release().await;
    let left = world.now(&event).await;
    let again = world.deliver_again(&event).await;
    Observed { answered, left, again, ends: world.finished(&event).await }
}

async fn rest(world: &World, event: &SampleEvent, answered: String) -> Observed {
    let left = world.finished(event).await;
    recovered(world, event, answered, left).await
}

/// Another connection that has the file for itself.
struct Lock(SqliteConnection);

impl Lock {
    async fn take(path: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(10));
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
        Self(connection)
    }

    async fn release(mut self) {
        sqlx::raw_sql("ROLLBACK").execute(&mut self.0).await.unwrap();
    }
}
