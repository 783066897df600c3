use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Growing waits between attempts: doubled each time up to a limit, and spread at random, so that many who failed
/// together do not come back together.
///
/// ```
/// use std::time::Duration;
/// use idnow_webhooks_core::Backoff;
///
/// let backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(60), jitter: 0.0 };
/// assert_eq!(backoff.wait(1), Duration::from_secs(1));
/// assert_eq!(backoff.wait(4), Duration::from_secs(8));
/// assert_eq!(backoff.wait(40), Duration::from_secs(60));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
    /// The part of a wait that is left to chance, from 0 (none) to 1 (all of it).
    pub jitter: f64,
}

impl Backoff {
    /// The wait after this many failures in a row, counted from 1.
    pub fn wait(&self, failures: u32) -> Duration {
        let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
        let full = self.first.saturating_mul(factor).min(self.most);
        let part = self.jitter.clamp(0.0, 1.0) * random();
        full.saturating_sub(Duration::try_from_secs_f64(full.as_secs_f64() * part).unwrap_or(full))
    }
}

/// From 0 to 1. Spreads load, protects nothing, so the standard library's random hash keys will do.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(0_u8);
    // 32 bits always fit an `f64`.
    f64::from(u32::try_from(bits >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_their_limit_and_are_spread() {
        let backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(60), jitter: 0.5 };
        for (failures, full) in [(0, 1), (1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (u32::MAX, 60)] {
            let full = Duration::from_secs(full);
            let waits: Vec<_> = (0..50).map(|_| backoff.wait(failures)).collect();
            assert!(waits.iter().all(|wait| (full / 2..=full).contains(wait)), "{failures}: {waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]), "no jitter");
        }
    }

    #[test]
    fn no_setting_panics() {
        for jitter in [f64::NAN, f64::INFINITY, -1.0, 2.0] {
            let backoff = Backoff { first: Duration::MAX, most: Duration::MAX, jitter };
            backoff.wait(u32::MAX);
        }
    }
}
