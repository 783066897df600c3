use idnow_webhooks_core::AdmitOptions;
use idnow_webhooks_testkit::{Provider, SampleEvent};

use super::recovered;
use crate::judge::ADMITTED;
use crate::row::{Group, Observed, Row};
use crate::world::{Mode, Setup, World};

/// Not the one that the provider puts into its tokens.
const MISTYPED: &str = "https://bank.example/webhook/idnow";
const REFUSED: &str = "503 `wrong_audience`, Retry-After 1";

pub(crate) fn group() -> Group {
    let rows = vec![
        Row::new(
            "the audience is wrong, and corrected by a restart",
            [REFUSED, "parked; never ran", "200", "completed; ran once"],
            corrected(Mode::Queued),
        ),
        Row::new(
            "the audience is wrong, and corrected only when the provider has given up",
            [REFUSED, "parked; never ran", ADMITTED, "completed; ran once"],
            corrected_too_late(),
        ),
        Row::new(
            "inline: the audience is wrong, and corrected by a restart",
            [REFUSED, "not stored; never ran", "200", "completed; ran once"],
            corrected(Mode::Inline),
        ),
    ];
    Group { title: "A setting that does not fit", rows }
}

async fn corrected(mode: Mode) -> Observed {
    let mut world = World::start(Setup { mode, audience: MISTYPED, ..Setup::default() }).await;
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    let left = world.finished(&event).await;
    world.restart(Provider::AUDIENCE).await;
    let observed = recovered(&world, &event, answered, left).await;
    // What is still parked then does no harm.
    let parked = if mode == Mode::Queued { vec!["duplicate"] } else { vec![] };
    assert_eq!(world.admit(AdmitOptions::new()).await, parked);
    assert_eq!(world.finished(&event).await, observed.ends);
    observed
}

async fn corrected_too_late() -> Observed {
    let mut world = World::start(Setup { audience: MISTYPED, ..Setup::default() }).await;
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    assert_eq!(world.deliver(&event.clone().with_attempt(2)).await, answered);
    let left = world.finished(&event).await;
    assert_eq!(world.admit(AdmitOptions::new()).await, ["wrong_audience"], "before it is corrected");
    world.restart(Provider::AUDIENCE).await;
    assert_eq!(world.admit(AdmitOptions::new()).await, ["stored"], "all attempts are one");
    let ends = world.finished(&event).await;
    assert_eq!(world.deliver_again(&event).await, "200");
    assert_eq!(world.finished(&event).await, ends, "an attempt after all is a duplicate");
    Observed { answered, left, again: ADMITTED.into(), ends }
}
