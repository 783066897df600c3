use std::time::Duration;

use idnow_webhooks_core::Backoff;

use crate::error::ConfigError;

/// Keeps all arithmetic on instants far from overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// When to fetch, and how long to trust what was fetched.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) default_lifetime: Duration,
    pub(crate) min_lifetime: Duration,
    pub(crate) max_lifetime: Duration,
    pub(crate) max_stale: Duration,
    pub(crate) min_refresh_interval: Duration,
    pub(crate) backoff: Backoff,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            default_lifetime: Duration::from_secs(60 * 60),
            min_lifetime: Duration::from_secs(60),
            max_lifetime: Duration::from_secs(24 * 60 * 60),
            max_stale: Duration::from_secs(24 * 60 * 60),
            min_refresh_interval: Duration::from_secs(10),
            backoff: Backoff { first: Duration::from_secs(1), most: Duration::from_secs(60), jitter: 0.5 },
        }
    }
}

impl Policy {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let least = Duration::from_nanos(1);
        in_range(self.default_lifetime, "default_lifetime", least)?;
        in_range(self.min_lifetime, "min_lifetime", least)?;
        in_range(self.max_lifetime, "max_lifetime", self.min_lifetime)?;
        in_range(self.max_stale, "max_stale", Duration::ZERO)?;
        in_range(self.min_refresh_interval, "min_refresh_interval", Duration::ZERO)?;
        in_range(self.backoff.first, "backoff.first", least)?;
        in_range(self.backoff.most, "backoff.most", self.backoff.first)
    }

    /// The lifetime of keys for which the server stated this one.
    pub(crate) fn lifetime(&self, stated: Option<Duration>) -> Duration {
        stated.unwrap_or(self.default_lifetime).clamp(self.min_lifetime, self.max_lifetime)
    }

    /// When to fetch anew: at 72% to 80% of the lifetime, so that replicas do not ask all at once.
    pub(crate) fn refresh_after(lifetime: Duration) -> Duration {
        let latest = lifetime.mul_f64(0.8);
        Backoff { first: latest, most: latest, jitter: 0.1 }.wait(1)
    }
}

pub(crate) fn in_range(value: Duration, setting: &'static str, least: Duration) -> Result<(), ConfigError> {
    if (least..=LONGEST).contains(&value) {
        return Ok(());
    }
    let problem = if value > LONGEST {
        "is longer than 366 days: give a shorter time".to_owned()
    } else if value.is_zero() {
        "is zero: give a positive time".to_owned()
    } else {
        format!("is {value:?}: at least {least:?} is required by its lower bound")
    };
    Err(ConfigError::InvalidSetting { setting, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetime_stays_within_bounds() {
        let policy = Policy::default();
        assert_eq!(policy.lifetime(None), policy.default_lifetime);
        assert_eq!(policy.lifetime(Some(Duration::ZERO)), policy.min_lifetime);
        assert_eq!(policy.lifetime(Some(Duration::from_secs(300))), Duration::from_secs(300));
        assert_eq!(policy.lifetime(Some(Duration::from_secs(u64::MAX))), policy.max_lifetime);
    }

    #[test]
    fn backoff_doubles_to_its_cap() {
        let policy = Policy::default();
        for (failures, full) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (40, 60), (u32::MAX, 60)] {
            let full = Duration::from_secs(full);
            for _ in 0..50 {
                let wait = policy.backoff.wait(failures);
                assert!(wait >= full / 2 && wait <= full, "{failures}: {wait:?}");
            }
        }
    }

    #[test]
    fn refresh_comes_well_before_expiry() {
        let lifetime = Duration::from_secs(1000);
        let waits: Vec<_> = (0..50).map(|_| Policy::refresh_after(lifetime)).collect();
        assert!(waits.iter().all(|wait| (719..=801).contains(&wait.as_secs())), "{waits:?}");
        assert!(waits.iter().any(|wait| *wait != waits[0]), "no jitter");
    }

    #[test]
    fn impossible_settings_are_named() {
        let second = Duration::from_secs(1);
        let backoff =
            |first, most| Policy { backoff: Backoff { first, most, jitter: 0.0 }, ..Policy::default() };
        let cases: [(Policy, &str); 5] = [
            (Policy { min_lifetime: Duration::ZERO, ..Policy::default() }, "min_lifetime is zero"),
            (Policy { max_lifetime: second, ..Policy::default() }, "max_lifetime is 1s: at least 60s"),
            (Policy { max_stale: Duration::MAX, ..Policy::default() }, "max_stale is longer"),
            (backoff(Duration::ZERO, second), "backoff.first is zero"),
            (backoff(second, second / 2), "backoff.most is 500ms"),
        ];
        for (policy, expected) in cases {
            let message = policy.check().unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
        assert!(Policy::default().check().is_ok());
    }
}
