//! The same seed, the same faults.

use std::collections::BTreeMap;

use idnow_webhooks_sandbox::chaos::Fault;
use idnow_webhooks_sandbox::{Chaos, Sandbox};

use crate::support::{Sink, World, everything};

/// The faults of each attempt, whose number stands behind that of its delivery.
type Run = BTreeMap<(i64, u32), Vec<(Fault, Option<i64>)>>;

async fn run(chaos: Chaos, concurrency: u16) -> Run {
    // Forgeries are told from genuine tokens by their answers only.
    let sink = Sink::ok().await;
    let builder = Sandbox::builder().time_scale(1000.0).max_retries(4).chaos(chaos);
    let world = World::start(builder, &sink, |new| new.concurrency = concurrency).await;
    for _ in 0..100 {
        world.event().await;
    }
    let mut run = Run::new();
    for delivery in world.ended(100).await {
        for attempt in world.attempts(delivery.id).await {
            let faults = attempt.faults.iter().map(|inflicted| (inflicted.fault, inflicted.seconds));
            run.insert((delivery.id, attempt.number), faults.collect());
        }
    }
    run
}

/// What depends on the time, too, is left out: keys are rotated so often only, and retired so late only.
fn chaos(seed: u64) -> Chaos {
    everything(seed, 0.25).with(Fault::Rotate, 0.0).with(Fault::Retired, 0.0)
}

#[tokio::test]
async fn the_same_seed_has_the_same_faults_whatever_the_concurrency() {
    let (alone, together) = tokio::join!(run(chaos(7), 1), run(chaos(7), 64));
    assert_eq!(alone, together);
    let count = |fault| alone.values().flatten().filter(|(other, _)| *other == fault).count();
    for fault in Fault::ALL {
        // No event has overtaken another one here, so that those which were held for it were late.
        let never = matches!(fault, Fault::Rotate | Fault::Retired | Fault::Reorder);
        assert_eq!(count(fault) == 0, never, "{fault}: {}", count(fault));
    }
    let other = run(chaos(8), 64).await;
    assert_ne!(alone, other);
}
