use std::time::Duration;

use idnow_webhooks_conformance::Gate;
use idnow_webhooks_core::store::{EventState, Replay};
use idnow_webhooks_testkit::SampleEvent;

use crate::handler::Plan;
use crate::row::{Group, Observed, Row};
use crate::world::{Mode, Setup, World};

/// Where it passes, it must not do so before the handler has begun.
const SHORT_DEADLINE: Duration = Duration::from_secs(4);
const SHORT_LIMIT: Duration = Duration::from_secs(1);

pub(crate) fn queued() -> Group {
    let rows = vec![
        Row::new(
            "slower than the provider waits",
            ["200", "running; ran once", "200", "completed; ran once"],
            slow(Mode::Queued),
        ),
        Row::new(
            "slower than its limit: it is stopped, and runs again after a wait",
            ["200", "waiting; ran once", "200", "completed; ran twice"],
            stopped(),
        ),
        Row::new(
            "fails: it runs again after a wait",
            ["200", "waiting; ran once", "200", "completed; ran twice"],
            failing(Plan::Fail),
        ),
        Row::new(
            "panics: it runs again after a wait",
            ["200", "waiting; ran once", "200", "completed; ran twice"],
            failing(Plan::Panic),
        ),
        Row::new(
            "fails as often as it may (3 times here): an operator replays it",
            ["200", "dead letter; ran 3 times", "200", "completed; ran 4 times"],
            dead(Plan::Fail),
        ),
        Row::new(
            "fails for good: an operator replays it",
            ["200", "dead letter; ran once", "200", "completed; ran twice"],
            dead(Plan::FailForGood),
        ),
    ];
    Group { title: "Handler, queued", rows }
}

pub(crate) fn inline() -> Group {
    let rows = vec![
        Row::new(
            "slower than the answer deadline: it runs on",
            ["503 `deadline_exceeded`, Retry-After 1", "running; ran once", "200", "completed; ran once"],
            slow(Mode::Inline),
        ),
        Row::new(
            "fails",
            ["503 `handler_failed`, Retry-After 1", "waiting; ran once", "200", "completed; ran twice"],
            failing_inline(Plan::Fail),
        ),
        Row::new(
            "panics",
            ["503 `handler_failed`, Retry-After 1", "waiting; ran once", "200", "completed; ran twice"],
            failing_inline(Plan::Panic),
        ),
        Row::new(
            "fails for good: it is not run again",
            [
                "422 `handler_refused`",
                "dead letter; ran once",
                "422 `handler_refused`",
                "dead letter; ran once",
            ],
            failing_inline(Plan::FailForGood),
        ),
    ];
    Group { title: "Handler, inline", rows }
}

async fn slow(mode: Mode) -> Observed {
    let gate = Gate::closed();
    let setup = Setup { mode, handler: Plan::Wait(gate.clone()), ..Setup::default() };
    let world = World::start(match mode {
        Mode::Queued => setup,
        Mode::Inline => Setup { answer_deadline: SHORT_DEADLINE, ..setup },
    });
    let world = world.await;
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    gate.reached_by(1).await;
    let left = world.now(&event).await;
    gate.open();
    let again = world.deliver_again(&event).await;
    Observed { answered, left, again, ends: world.finished(&event).await }
}

async fn stopped() -> Observed {
    let handler = Plan::Wait(Gate::closed());
    let setup = Setup { handler, handler_limit: SHORT_LIMIT, ..Setup::default() };
    mended_while_waiting(World::start(setup).await).await
}

async fn failing(handler: Plan) -> Observed {
    mended_while_waiting(World::start(Setup { handler, ..Setup::default() }).await).await
}

async fn mended_while_waiting(world: World) -> Observed {
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    let left = world.reached(&event, EventState::Waiting, 1).await;
    world.handler.plan(Plan::Succeed);
    let again = world.deliver_again(&event).await;
    Observed { answered, left, again, ends: world.finished(&event).await }
}

async fn dead(handler: Plan) -> Observed {
    let world = World::start(Setup { handler, max_runs: 3, ..Setup::default() }).await;
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    let left = world.finished(&event).await;
    world.handler.plan(Plan::Succeed);
    let again = world.deliver_again(&event).await;
    assert_eq!(world.finished(&event).await, left, "an attempt of the provider does not revive it");
    assert_eq!(world.store.replay(event.event_id()).await.unwrap(), Replay::Queued);
    Observed { answered, left, again, ends: world.finished(&event).await }
}

async fn failing_inline(handler: Plan) -> Observed {
    let world = World::start(Setup { mode: Mode::Inline, handler, ..Setup::default() }).await;
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    let left = world.now(&event).await;
    world.handler.plan(Plan::Succeed);
    let again = world.deliver_again(&event).await;
    // What was given back stays so until the provider's next attempt: there is no worker.
    Observed { answered, left, again, ends: world.now(&event).await }
}
