//! What sessions do by themselves: scenarios, and running out of time.

use std::time::Duration;

use crate::clock;
use crate::database::sessions::Expire;
use crate::model::{Outcome, ScenarioKind, Step};
use crate::state::State;

const COMPLETE: Step = Step::Complete { outcome: Outcome::Accepted };
const REJECT: Step = Step::Complete { outcome: Outcome::Rejected };

/// How many sessions one transaction ends.
const STEP: u32 = 250;
/// How long to sleep at most before looking at the clock again, which may have been set.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// After the database has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// What happens to a session of a scenario; `number` counts them from 0.
pub(crate) fn run(kind: ScenarioKind, number: u32) -> &'static [Step] {
    match kind {
        ScenarioKind::HappyPath => &[Step::Start, COMPLETE],
        ScenarioKind::Expired => &[Step::Expire],
        ScenarioKind::Aborted => &[Step::Start, Step::Abort],
        ScenarioKind::Error => &[Step::Start, Step::Error],
        ScenarioKind::Storm => match number % 10 {
            3 => &[Step::Start, REJECT],
            5 => &[Step::Expire],
            7 => &[Step::Start, Step::Abort],
            9 => &[Step::Start, Step::Error],
            _ => &[Step::Start, COMPLETE],
        },
    }
}

/// Lets sessions expire, until the sandbox stops.
pub(crate) async fn expire(state: State) {
    let shared = &state.database().shared;
    loop {
        // Before looking: whoever makes a session from now on tells.
        let sooner = shared.sooner.notified();
        let wait = match state.database().write(Expire { limit: STEP }).await {
            Ok(next) => next.map(|next| {
                let wait = next.saturating_sub(clock::now().timestamp_micros());
                Duration::from_micros(u64::try_from(wait).unwrap_or_default()).min(LONGEST_SLEEP)
            }),
            Err(error) => {
                if !state.stopping().is_cancelled() {
                    tracing::error!(%error, "sessions cannot expire; this is tried again in a second");
                }
                Some(PAUSE)
            }
        };
        tokio::select! {
            () = state.stopping().cancelled() => return,
            () = sooner => {}
            () = sleep(wait) => {}
        }
    }
}

/// Without a session that could expire there is nothing to wake up for.
async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SessionStatus;
    use crate::rules::lifecycle::advance;

    #[test]
    fn every_scenario_ends_its_sessions() {
        let ends = |kind, number| {
            let (mut status, mut outcome) = (SessionStatus::Created, None);
            for step in run(kind, number) {
                let next = advance(status, None, *step).unwrap();
                (status, outcome) = (next.status, next.outcome);
            }
            (status, outcome)
        };
        assert_eq!(ends(ScenarioKind::HappyPath, 0), (SessionStatus::Completed, Some(Outcome::Accepted)));
        assert_eq!(ends(ScenarioKind::Expired, 0), (SessionStatus::Expired, None));
        assert_eq!(ends(ScenarioKind::Aborted, 0), (SessionStatus::Aborted, None));
        assert_eq!(ends(ScenarioKind::Error, 0), (SessionStatus::Error, None));
        let storm: Vec<_> = (0..10).map(|number| ends(ScenarioKind::Storm, number)).collect();
        let count = |end| storm.iter().filter(|other| **other == end).count();
        assert_eq!(count((SessionStatus::Completed, Some(Outcome::Accepted))), 6);
        assert_eq!(count((SessionStatus::Completed, Some(Outcome::Rejected))), 1);
        for status in [SessionStatus::Expired, SessionStatus::Aborted, SessionStatus::Error] {
            assert_eq!(count((status, None)), 1);
        }
    }
}
