use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use idnow_webhooks_core::keys::{KeySet, KeysUnavailable};
use tokio::time::Instant;

use crate::error::FetchError;

const FROM_CACHE: &str = "a cache in front of the key server answered with keys from before this delivery, \
                          though it was asked not to: make it honour `Cache-Control: no-cache` of requests, or \
                          shorten `max-age`";

/// What the background task publishes, and everything that callers decide by.
///
/// Freshness is compared in the standard library's time, as the contract of `KeySource` is; waiting goes by
/// Tokio's.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) held: Option<Held>,
    /// The fetch that ended last.
    pub(crate) last: Option<Attempt>,
    pub(crate) in_flight: bool,
    /// Before this instant no fetch is made on demand.
    pub(crate) cool_until: Option<Instant>,
}

/// The last good keys.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) keys: Arc<KeySet>,
    /// The server published these keys then or later: when the fetch began, less the age of the answer. `None`
    /// is before any instant.
    pub(crate) as_of: Option<StdInstant>,
    /// When the fetch began.
    pub(crate) fetched_at: Instant,
    /// How old they were then at most.
    pub(crate) age: Duration,
    pub(crate) expires_at: Instant,
    /// From this instant on they must not be used any more.
    pub(crate) stale_at: Instant,
}

#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) began: StdInstant,
    pub(crate) error: Option<Arc<FetchError>>,
}

impl Held {
    /// How old the keys can be at most.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        self.age.saturating_add(now.saturating_duration_since(self.fetched_at))
    }
}

/// What a caller who needs keys from `arrived` or later can do.
#[derive(Debug)]
pub(crate) enum Answer {
    Done(Result<Arc<KeySet>, KeysUnavailable>),
    /// A fetch is under way: look again when it has ended.
    Wait,
    /// Ask for a fetch, then look again.
    Ask,
}

impl State {
    pub(crate) fn keys(&self, now: Instant) -> Option<&Held> {
        self.held.as_ref().filter(|held| now < held.stale_at)
    }

    /// The failure of the last fetch, if it did fail.
    pub(crate) fn last_error(&self) -> Option<&Arc<FetchError>> {
        self.last.as_ref().and_then(|attempt| attempt.error.as_ref())
    }

    pub(crate) fn answer(&self, arrived: StdInstant, now: Instant) -> Answer {
        if let Some(held) = self.keys(now).filter(|held| held.as_of >= Some(arrived)) {
            return Answer::Done(Ok(Arc::clone(&held.keys)));
        }
        let cooling = self.cooling(now);
        // A fetch that began late enough and still did not bring fresh keys is not repeated for this caller: the
        // next one would most likely bring the same.
        let reason = match &self.last {
            Some(Attempt { began, error: Some(error) }) if *began >= arrived => Some(error.to_string()),
            Some(Attempt { began, error: None }) if *began >= arrived => {
                self.keys(now).map(|_| FROM_CACHE.to_owned())
            }
            _ => None,
        };
        if let Some(reason) = reason {
            return Answer::Done(Err(unavailable(reason, cooling)));
        }
        if self.in_flight {
            // Also for a fetch that began too early to answer this caller: it decides about the cool-down, and
            // what it brings may well be what `current` lacked.
            return Answer::Wait;
        }
        if cooling.is_zero() {
            return Answer::Ask;
        }
        let mut reason = "the keys were fetched a moment ago and are not fetched again so soon".to_owned();
        if let Some(error) = self.last_error() {
            reason.push_str(" (the last fetch failed: ");
            reason.push_str(&error.to_string());
            reason.push(')');
        }
        Answer::Done(Err(unavailable(reason, cooling)))
    }

    /// What is left of the cool-down.
    pub(crate) fn cooling(&self, now: Instant) -> Duration {
        self.cool_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

/// `Retry-After` counts whole seconds: rounded up, or the sender would come back a moment too early.
fn unavailable(reason: String, wait: Duration) -> KeysUnavailable {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    KeysUnavailable::new(reason, Duration::from_secs(seconds.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn held(as_of: StdInstant, now: Instant) -> Held {
        let (as_of, expires_at) = (Some(as_of), now + SECOND);
        let (age, stale_at) = (Duration::ZERO, now + 2 * SECOND);
        Held { keys: Arc::default(), as_of, fetched_at: now, age, expires_at, stale_at }
    }

    fn failed(began: StdInstant) -> Attempt {
        Attempt { began, error: Some(Arc::new(FetchError::Panicked)) }
    }

    #[test]
    fn only_a_fetch_that_began_late_enough_answers() {
        let (then, now) = (StdInstant::now(), Instant::now());
        let state = State { held: Some(held(then, now)), ..State::default() };
        assert!(matches!(state.answer(then, now), Answer::Done(Ok(_))));
        assert!(matches!(state.answer(then + Duration::from_nanos(1), now), Answer::Ask));
        assert!(matches!(state.answer(then, now + 2 * SECOND), Answer::Ask), "too stale");

        let state = State { last: Some(failed(then)), ..State::default() };
        assert!(matches!(state.answer(then, now), Answer::Done(Err(_))));
        assert!(matches!(state.answer(then + Duration::from_nanos(1), now), Answer::Ask));
    }

    #[test]
    fn keys_from_before_the_arrival_answer_nobody_and_are_not_fetched_twice() {
        let (arrived, now) = (StdInstant::now(), Instant::now());
        let last = Some(Attempt { began: arrived, error: None });
        for as_of in [None, arrived.checked_sub(SECOND)] {
            let held = Some(Held { as_of, ..held(arrived, now) });
            let state = State { held, last: last.clone(), ..State::default() };
            let Answer::Done(Err(error)) = state.answer(arrived, now) else { panic!("{as_of:?}") };
            assert!(error.reason.contains("a cache"), "{error}");
            assert!(matches!(state.answer(arrived + SECOND, now), Answer::Ask));
        }
    }

    #[test]
    fn good_keys_win_over_a_later_failure() {
        let (then, now) = (StdInstant::now(), Instant::now());
        let state =
            State { held: Some(held(then, now)), last: Some(failed(then + SECOND)), ..State::default() };
        assert!(matches!(state.answer(then, now), Answer::Done(Ok(_))));
    }

    #[test]
    fn a_fetch_under_way_is_waited_for() {
        let (then, now) = (StdInstant::now(), Instant::now());
        let cool_until = Some(now + SECOND);
        let state = State { in_flight: true, cool_until, ..State::default() };
        assert!(matches!(state.answer(then, now), Answer::Wait));
    }

    #[test]
    fn the_cool_down_is_rounded_up_to_whole_seconds() {
        let (then, now) = (StdInstant::now(), Instant::now());
        for (millis, seconds) in [(1, 1), (999, 1), (1000, 1), (1001, 2), (9500, 10)] {
            let cool_until = Some(now + Duration::from_millis(millis));
            let state = State { cool_until, last: Some(failed(then)), ..State::default() };
            for arrived in [then, then + SECOND] {
                let Answer::Done(Err(error)) = state.answer(arrived, now) else { panic!("{millis}") };
                assert_eq!(error.retry_after, Duration::from_secs(seconds));
                assert!(error.reason.contains("panicked"), "{error}");
            }
        }
    }
}
