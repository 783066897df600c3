//! Attempts that chaos keeps from beginning. They take no place of their lane meanwhile.

use std::time::Duration;

use super::attempt::Attempt;
use crate::chaos::held::Held;
use crate::clock;
use crate::state::State;

/// All of these are of the provider's time.
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// A session may never have another event.
const LONGEST_HOLD: Duration = Duration::from_mins(1);
const BETWEEN_BURSTS: Duration = Duration::from_secs(10);

/// Gives the attempt back when it may begin.
pub(super) async fn hold(state: State, mut attempt: Attempt, held: Option<Held>) -> Attempt {
    let Some(plan) = &mut attempt.plan else { return attempt };
    let settings = state.settings();
    if let Some(part) = plan.delay {
        tokio::time::sleep(settings.scaled(LONGEST_DELAY).mul_f64(part)).await;
    }
    if let Some(held) = held {
        let longest = settings.scaled(LONGEST_HOLD);
        if tokio::time::timeout(longest, held.overtaken()).await.is_err() {
            // Nothing has overtaken it: it is late, and no more.
            plan.reorder = false;
            plan.delay.get_or_insert(1.0);
        }
    }
    if plan.burst {
        tokio::time::sleep(until_next(settings.scaled(BETWEEN_BURSTS))).await;
    }
    attempt
}

/// By the clock, so that those of all lanes leave at the same moment.
fn until_next(interval: Duration) -> Duration {
    let now = clock::now().timestamp_micros();
    let interval = clock::micros(interval).max(1);
    let wait = interval.saturating_sub(now.rem_euclid(interval));
    Duration::from_micros(u64::try_from(wait).unwrap_or_default())
}
