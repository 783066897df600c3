use std::time::Duration;

use idnow_webhooks_conformance::Gate;
use idnow_webhooks_core::AdmitOptions;
use idnow_webhooks_testkit::SampleEvent;

use crate::handler::Plan;
use crate::judge::ADMITTED;
use crate::row::{Group, Observed, Row};
use crate::words::{attempt, attempts, taken_over};
use crate::world::{SHORT_LEASE, Setup, World};

/// What the leeway of 60 s covers, and what it does not.
const LITTLE: i64 = 50;
const MUCH: i64 = 120;
/// Longer than a token is valid.
const TWO_HOURS: i64 = 7200;
const PARKED: &str = "parked; never ran";

pub(crate) fn group() -> Group {
    let accepted = ["200", "completed; ran once", "200", "completed; ran once"];
    let rows = vec![
        Row::new(
            "2 minutes behind",
            ["503 `not_yet_valid`, Retry-After 1", PARKED, "200", "completed; ran once"],
            off(-MUCH, HOUR),
        ),
        Row::new("2 minutes ahead", accepted, off(MUCH, HOUR)),
        Row::new(
            "2 minutes ahead, and the token is in its last minute",
            ["503 `expired`, Retry-After 1", PARKED, "200", "completed; ran once"],
            off(MUCH, MINUTE),
        ),
        Row::new(
            "2 hours ahead",
            ["503 `expired`, Retry-After 1", PARKED, "200", "completed; ran once"],
            off(TWO_HOURS, HOUR),
        ),
        Row::new(
            "2 hours ahead, and set right only when the provider has given up",
            ["503 `expired`, Retry-After 1", PARKED, ADMITTED, "completed; ran once"],
            set_right_too_late(TWO_HOURS),
        ),
        Row::new(
            "2 minutes behind, and set right only when the provider has given up",
            ["503 `not_yet_valid`, Retry-After 1", PARKED, ADMITTED, "completed; ran once"],
            set_right_too_late(-MUCH),
        ),
        Row::new("50 s behind (within the leeway)", accepted, off(-LITTLE, HOUR)),
        Row::new(
            "50 s ahead, and the token is in its last second (within the leeway)",
            accepted,
            off(LITTLE, SECOND),
        ),
        Row::new(
            "set back by 2 minutes while a new event waits",
            ["200", "waiting; never ran", "200", "completed; ran once"],
            set_back(),
        ),
        Row::new(
            "set ahead by 2 minutes while the handler runs: its lease is over, and it runs again",
            ["200", "running; ran once", "200", "completed; ran twice"],
            set_ahead(),
        ),
    ];
    Group { title: "The receiver's clock", rows }
}

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);
const SECOND: Duration = Duration::from_secs(1);

async fn off(by: i64, lifetime: Duration) -> Observed {
    let world = World::new().await;
    world.clock.by(by);
    let event = SampleEvent::completed();
    let provider = world.provider.clone().with_lifetime(lifetime);
    let answered = attempt(world.address(), provider.token(&event)).await;
    let left = world.finished(&event).await;
    world.clock.by(0);
    let again = attempts(world.address(), || provider.token(&event)).await;
    let ends = world.finished(&event).await;
    // What is still parked then does no harm.
    let admitted = world.admit(AdmitOptions::new().as_of_issue(true)).await;
    assert!(admitted.is_empty() == (answered == "200") && admitted.iter().all(|code| *code == "duplicate"));
    Observed { answered, left, again, ends }
}

async fn set_right_too_late(by: i64) -> Observed {
    let world = World::new().await;
    world.clock.by(by);
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    let left = world.finished(&event).await;
    world.clock.by(0);
    // The time of its receipt was wrong, too.
    let refused = world.admit(AdmitOptions::new()).await;
    assert!(matches!(refused[..], ["expired" | "not_yet_valid"]), "{refused:?}");
    assert_eq!(world.admit(AdmitOptions::new().as_of_issue(true)).await, ["stored"]);
    let ends = world.finished(&event).await;
    assert_eq!(world.deliver_again(&event).await, "200");
    assert_eq!(world.finished(&event).await, ends, "an attempt after all is a duplicate");
    Observed { answered, left, again: ADMITTED.into(), ends }
}

async fn set_back() -> Observed {
    let mut world = World::start(Setup { worker: false, ..Setup::default() }).await;
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    let left = world.now(&event).await;
    world.clock.by(-MUCH);
    world.start_worker();
    let ends = world.finished(&event).await;
    world.clock.by(0);
    let again = world.deliver_again(&event).await;
    Observed { answered, left, again, ends }
}

async fn set_ahead() -> Observed {
    let gate = Gate::closed();
    let handler = Plan::Wait(gate.clone());
    let world = World::start(Setup { handler, lease: SHORT_LEASE, ..Setup::default() }).await;
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    gate.reached_by(1).await;
    let mut ahead = MUCH;
    world.clock.by(ahead);
    // A heartbeat that comes before the worker's next claim extends the lease by the new time, and nobody takes it over:
    // then it is set ahead once more.
    while !taken_over(&*world.store, event.event_id(), &world.clock).await {
        ahead += MUCH;
        world.clock.by(ahead);
    }
    // Whether the handler ends before a heartbeat finds that its lease is lost, or is stopped by that: its end is not noted.
    let left = world.now(&event).await;
    gate.open();
    let again = world.deliver_again(&event).await;
    Observed { answered, left, again, ends: world.finished(&event).await }
}
