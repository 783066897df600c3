use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use idnow_webhooks_core::Clock;

/// A [`Clock`] that stands still until it is told to move.
///
/// Clones share the time, so a test can keep one and give the other away.
///
/// ```
/// use std::time::Duration;
///
/// use idnow_webhooks_core::Clock;
/// use idnow_webhooks_testkit::FixedClock;
///
/// let clock = FixedClock::at("2026-01-08T08:35:39Z".parse()?);
/// let given_away = clock.clone();
/// clock.advance(Duration::from_secs(3600));
/// assert_eq!(given_away.now().to_rfc3339(), "2026-01-08T09:35:39+00:00");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct FixedClock(Arc<Mutex<DateTime<Utc>>>);

impl FixedClock {
    /// Stops the time at `time`.
    pub fn at(time: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(time)))
    }

    /// Moves to `time`, forwards or backwards, and stands still there.
    pub fn set(&self, time: DateTime<Utc>) {
        *self.time() = time;
    }

    /// Moves forwards. A step beyond the end of the calendar ends there.
    pub fn advance(&self, by: Duration) {
        let mut time = self.time();
        let later = TimeDelta::from_std(by).ok().and_then(|by| time.checked_add_signed(by));
        *time = later.unwrap_or(DateTime::<Utc>::MAX_UTC);
    }

    fn time(&self) -> MutexGuard<'_, DateTime<Utc>> {
        // A time is whole whenever the lock is free, also after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        *self.time()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_still_and_moves_in_every_clone() {
        let start = "2026-01-08T08:35:39Z".parse().unwrap();
        let clock = FixedClock::at(start);
        let clone = clock.clone();
        assert_eq!(clock.now(), start);
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_millis(1500));
        assert_eq!(clone.now() - start, TimeDelta::milliseconds(1500));
        clone.set(start);
        assert_eq!(clock.now(), start);
    }

    #[test]
    fn a_step_beyond_the_calendar_ends_at_its_end() {
        let clock = FixedClock::at(DateTime::UNIX_EPOCH);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), DateTime::<Utc>::MAX_UTC);
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), DateTime::<Utc>::MAX_UTC);
    }
}
