use futures_util::future::join_all;
use idnow_webhooks_conformance::Gate;
use idnow_webhooks_testkit::SampleEvent;

use super::postgres::database;
use crate::handler::Plan;
use crate::row::{Group, Observed, Row};
use crate::words::counted;
use crate::world::{Mode, Setup, World};

const AT_ONCE: usize = 8;

pub(crate) fn group() -> Group {
    let queued = ["8 × 200", "completed; ran once", "200", "completed; ran once"];
    let inline = [
        "1 × 200; 7 × 503 `in_progress`, Retry-After 1",
        "completed; ran once",
        "200",
        "completed; ran once",
    ];
    let rows = vec![
        Row::new("queued, SQLite", queued, parallel(Mode::Queued, false)),
        Row::new("queued, two replicas on PostgreSQL", queued, parallel(Mode::Queued, true)),
        Row::new("inline, SQLite", inline, parallel(Mode::Inline, false)),
        Row::new("inline, two replicas on PostgreSQL", inline, parallel(Mode::Inline, true)),
    ];
    Group { title: "Eight attempts for one event at the same time", rows }
}

async fn parallel(mode: Mode, replicas: bool) -> Observed {
    let gate = Gate::closed();
    let postgres = if replicas { Some(database().await) } else { None };
    let setup =
        || Setup { mode, postgres: postgres.clone(), handler: Plan::Wait(gate.clone()), ..Setup::default() };
    let mut worlds = vec![World::start(setup()).await];
    if replicas {
        worlds.push(World::start(setup()).await);
    }
    let event = SampleEvent::completed();
    let deliveries: Vec<_> =
        (0..AT_ONCE).map(|number| worlds[number % worlds.len()].delivering(&event)).collect();
    gate.reached_by(1).await;
    // The handler does not end before the others are answered, those that do not wait for it.
    let others = if mode == Mode::Inline { AT_ONCE - 1 } else { AT_ONCE };
    while deliveries.iter().filter(|delivery| delivery.is_finished()).count() < others {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    gate.open();
    let answers = join_all(deliveries).await.into_iter().map(Result::unwrap);
    let answered = counted(answers.collect());
    let id = event.event_id();
    let finished = || {
        crate::words::finished(&*worlds[0].store, id, || {
            worlds.iter().map(|world| world.handler.runs(id)).sum()
        })
    };
    let left = finished().await;
    let again = worlds[worlds.len() - 1].deliver_again(&event).await;
    Observed { answered, left, again, ends: finished().await }
}
