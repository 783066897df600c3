use std::time::Duration;

use idnow_webhooks_testkit::{SampleEvent, SigningKey};

use super::recovered;
use crate::row::{Group, Observed, Row};
use crate::world::{Setup, Trouble, World};

/// The key server is slower.
const SHORT_FETCH: Duration = Duration::from_millis(500);
const PAST_THE_COOL_DOWN: Duration = Duration::from_millis(1500);
const UNAVAILABLE: &str = "503 `keys_unavailable`, Retry-After 1";
const UNKNOWN: &str = "503 `unknown_key`, Retry-After 1";
const HARMLESS: [&str; 4] = ["200", "completed; ran once", "200", "completed; ran once"];
const WAITED_FOR: [&str; 4] = [UNAVAILABLE, "not stored; never ran", "200", "completed; ran once"];

pub(crate) fn group() -> Group {
    use Trouble::{Down, Garbage, Lags, NoKeys, Slow};
    let rows = vec![
        Row::new("down, the key is known", HARMLESS, known(Down)),
        Row::new("down, and the provider signs with a new key", WAITED_FOR, unknown(Down)),
        Row::new("down since before the receiver started", WAITED_FOR, from_the_start(Down)),
        Row::new("too slow, the key is known", HARMLESS, known(Slow)),
        Row::new("too slow, and the provider signs with a new key", WAITED_FOR, unknown(Slow)),
        Row::new("too slow since before the receiver started", WAITED_FOR, from_the_start(Slow)),
        Row::new("answers a web page, the key is known", HARMLESS, known(Garbage)),
        Row::new("answers a web page, and the provider signs with a new key", WAITED_FOR, unknown(Garbage)),
        Row::new("answers a web page since before the receiver started", WAITED_FOR, from_the_start(Garbage)),
        Row::new("publishes no key at all, the key is known", HARMLESS, known(NoKeys)),
        Row::new("publishes a new key, the first delivery with it", HARMLESS, rotated()),
        Row::new(
            "publishes a new key right after a fetch (cool-down of 10 s)",
            [
                "503 `keys_unavailable`, Retry-After up to 10",
                "not stored; never ran",
                "200",
                "completed; ran once",
            ],
            rotated_in_the_cool_down(),
        ),
        Row::new(
            "publishes a new key, and the node that answers does not have it yet",
            [UNKNOWN, "not stored; never ran", "200", "completed; ran once"],
            unknown(Lags),
        ),
        Row::new(
            "replaces a key under the same id; the keys at hand are older than 5 minutes (from a cache, here)",
            HARMLESS,
            replaced_and_old(),
        ),
        Row::new(
            "replaces a key under the same id, within 5 minutes of the last fetch; sent again after the next one",
            ["401 `false_signature`", "not stored; never ran", "200", "completed; ran once"],
            replaced_and_young(),
        ),
        Row::new(
            "retires the key that signs, before the next fetch (within the hour by default)",
            HARMLESS,
            retired(),
        ),
        Row::new(
            "retires the key that signs, after the next fetch; publishes it again",
            [UNKNOWN, "not stored; never ran", "200", "completed; ran once"],
            retired_and_fetched(),
        ),
    ];
    Group { title: "Key server", rows }
}

fn facing(trouble: Trouble) -> Setup {
    let setup = Setup::default();
    if trouble == Trouble::Slow { Setup { fetch_timeout: SHORT_FETCH, ..setup } } else { setup }
}

async fn known(trouble: Trouble) -> Observed {
    let mut world = World::start(facing(trouble)).await;
    world.begin(trouble).await;
    over(world, trouble).await
}

async fn unknown(trouble: Trouble) -> Observed {
    let mut world = World::start(facing(trouble)).await;
    world.rotate();
    world.begin(trouble).await;
    over(world, trouble).await
}

async fn from_the_start(trouble: Trouble) -> Observed {
    let world = World::start(Setup { trouble: Some(trouble), ..facing(trouble) }).await;
    over(world, trouble).await
}

/// A delivery while the key server is in trouble, and again after that.
async fn over(mut world: World, trouble: Trouble) -> Observed {
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    let left = world.finished(&event).await;
    world.end(trouble);
    recovered(&world, &event, answered, left).await
}

async fn rotated() -> Observed {
    let mut world = World::new().await;
    world.rotate();
    delivered(&world).await
}

async fn rotated_in_the_cool_down() -> Observed {
    let mut world = World::start(Setup { cool_down: Duration::from_secs(10), ..Setup::default() }).await;
    fetch(&world).await;
    world.rotate();
    delivered(&world).await
}

async fn retired() -> Observed {
    let world = World::new().await;
    world.retire();
    delivered(&world).await
}

async fn retired_and_fetched() -> Observed {
    let world = World::new().await;
    world.retire();
    fetch(&world).await;
    tokio::time::sleep(PAST_THE_COOL_DOWN).await;
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    let left = world.finished(&event).await;
    world.publish_again();
    recovered(&world, &event, answered, left).await
}

async fn replaced_and_old() -> Observed {
    let mut world = World::start(Setup { keys_age: Some(400), ..Setup::default() }).await;
    world.replace_key();
    world.past_the_cache();
    delivered(&world).await
}

async fn replaced_and_young() -> Observed {
    let mut world = World::new().await;
    world.replace_key();
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    let left = world.finished(&event).await;
    assert_eq!(world.deliver_again(&event).await, answered, "a false signature causes no fetch so soon");
    fetch(&world).await;
    recovered(&world, &event, answered, left).await
}

/// Somebody sends a token with a made-up key, and the keys are fetched.
async fn fetch(world: &World) {
    let forged = world.provider.clone().with_key(SigningKey::shared_other().with_key_id("made up"));
    let answer = crate::words::attempt(world.address(), forged.token(&SampleEvent::completed())).await;
    assert_eq!(answer, UNKNOWN);
}

async fn delivered(world: &World) -> Observed {
    let event = SampleEvent::completed();
    let answered = world.deliver(&event).await;
    let left = world.finished(&event).await;
    recovered(world, &event, answered, left).await
}
