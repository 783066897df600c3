//! What an answer means for a delivery, and when it is tried again.

use std::time::Duration;

use crate::clock::Micros;
use crate::model::{Answer, DeadReason};

/// No wait before a retry is longer.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What one answer means, whatever came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Delivered,
    /// It may be better later.
    Retry,
    /// It would be the same again.
    Dead(DeadReason),
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Delivered,
    /// After this time, by the clock of the provider: the sandbox shortens it by its time scale.
    RetryAfter(Duration),
    Dead(DeadReason),
}

pub(crate) fn judge(answer: &Answer) -> Verdict {
    match answer {
        Answer::Status { code, .. } => match code {
            200..300 => Verdict::Delivered,
            401 | 403 => Verdict::Dead(DeadReason::AuthenticationFailed),
            400..500 => Verdict::Dead(DeadReason::ClientError),
            // Redirects are not followed. The only final 1xx, 101, comes from something that is no webhook endpoint.
            100..400 => Verdict::Dead(DeadReason::InvalidUrl),
            // Codes from 600 on do not exist; who gets one takes it for a 5xx (RFC 9110, 15).
            _ => Verdict::Retry,
        },
        Answer::TimedOut | Answer::ConnectionFailed { .. } => Verdict::Retry,
        Answer::NotSent { .. } => Verdict::Dead(DeadReason::InvalidUrl),
    }
}

/// The wait before a retry: 1 s before the first, then twice as long each time, up to [`LONGEST_WAIT`].
pub(crate) fn wait(retry: u32) -> Duration {
    let seconds = 1_u64.checked_shl(retry.saturating_sub(1)).unwrap_or(u64::MAX);
    Duration::from_secs(seconds).min(LONGEST_WAIT)
}

/// The waits that are left after so many retries, all together.
pub(crate) fn left(retries: u32, max_retries: u32) -> Duration {
    (retries.saturating_add(1)..=max_retries).map(wait).fold(Duration::ZERO, Duration::saturating_add)
}

/// Clocks are set by less than this all the time.
const SLACK: Micros = 1_000_000;

/// Whether what is to be tried at a time is tried now. No wait is longer than `longest`: if it seems to be, the clock was set
/// back since, and nobody knows how long it has waited.
pub(crate) fn is_due(at: Micros, now: Micros, longest: Micros) -> bool {
    at <= now || at > furthest(now, longest)
}

/// The end of the longest wait. What is to be tried after it [is due](is_due).
pub(crate) fn furthest(now: Micros, longest: Micros) -> Micros {
    now.saturating_add(longest).saturating_add(SLACK)
}

/// `retries` is how many there were already, since the delivery was made or retriggered.
pub(crate) fn next(verdict: Verdict, retries: u32, max_retries: u32) -> Next {
    match verdict {
        Verdict::Delivered => Next::Delivered,
        Verdict::Dead(reason) => Next::Dead(reason),
        Verdict::Retry if retries >= max_retries => Next::Dead(DeadReason::RetriesExhausted),
        Verdict::Retry => Next::RetryAfter(wait(retries.saturating_add(1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> Verdict {
        judge(&Answer::Status { code, body: String::new() })
    }

    #[test]
    fn every_status_has_its_verdict() {
        for code in 100..=999 {
            let expected = match code {
                200..=299 => Verdict::Delivered,
                401 | 403 => Verdict::Dead(DeadReason::AuthenticationFailed),
                400 | 402 | 404..=499 => Verdict::Dead(DeadReason::ClientError),
                100..=199 | 300..=399 => Verdict::Dead(DeadReason::InvalidUrl),
                _ => Verdict::Retry,
            };
            assert_eq!(status(code), expected, "{code}");
        }
    }

    #[test]
    fn without_a_status_only_what_was_not_sent_is_final() {
        let reason = String::from("why");
        assert_eq!(judge(&Answer::TimedOut), Verdict::Retry);
        assert_eq!(judge(&Answer::ConnectionFailed { reason: reason.clone() }), Verdict::Retry);
        assert_eq!(judge(&Answer::NotSent { reason }), Verdict::Dead(DeadReason::InvalidUrl));
    }

    #[test]
    fn ten_retries_take_1023_seconds() {
        let mut waits = Vec::new();
        let last = loop {
            let retries = u32::try_from(waits.len()).unwrap();
            match next(Verdict::Retry, retries, 10) {
                Next::RetryAfter(wait) => waits.push(wait.as_secs()),
                other => break other,
            }
        };
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
        assert_eq!(last, Next::Dead(DeadReason::RetriesExhausted));
    }

    #[test]
    fn what_is_left_is_what_comes_after_the_retries_there_were() {
        for (retries, seconds) in [(0, 1023), (1, 1022), (9, 512), (10, 0), (11, 0), (u32::MAX, 0)] {
            assert_eq!(left(retries, 10).as_secs(), seconds, "{retries}");
        }
    }

    #[test]
    fn no_wait_is_longer_than_an_hour() {
        let seconds: Vec<u64> = (11..=14).map(|retry| wait(retry).as_secs()).collect();
        assert_eq!(seconds, [1024, 2048, 3600, 3600]);
        for retry in [63, 64, 65, 66, 1000, u32::MAX] {
            assert_eq!(wait(retry), LONGEST_WAIT, "retry {retry}");
        }
    }

    #[test]
    fn what_waits_longer_than_it_can_is_due() {
        let longest = 5_000_000;
        for (at, due) in [(99, true), (100, true), (101, false), (6_000_100, false), (6_000_101, true)] {
            assert_eq!(is_due(at, 100, longest), due, "{at}");
        }
        assert!(!is_due(Micros::MAX, 100, Micros::MAX));
    }

    #[test]
    fn no_retries_at_all_can_be_chosen() {
        assert_eq!(next(Verdict::Retry, 0, 0), Next::Dead(DeadReason::RetriesExhausted));
        assert_eq!(next(Verdict::Delivered, 7, 0), Next::Delivered);
    }
}
