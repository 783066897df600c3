use std::time::Duration;

/// How long completed events are kept, so that late duplicates are still recognised. Dead letters are kept until an
/// operator forgets them.
///
/// ```
/// use std::time::Duration;
///
/// use idnow_webhooks_core::store::Retention;
///
/// assert_eq!(Retention::default().get(), Duration::from_secs(30 * 24 * 3600));
/// assert!(Retention::new(Duration::from_secs(60)).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention(Duration);

impl Retention {
    /// The shortest: two hours. The provider's attempts at one event spread over 17 minutes, and a token that somebody
    /// has recorded is valid for an hour; the rest is a margin.
    pub const MIN: Duration = Duration::from_secs(2 * 3600);

    /// Nothing is forgotten by itself. For tools that open the store of another process, and for those who purge by
    /// hand.
    pub const FOREVER: Self = Self(Duration::MAX);

    /// Keeps completed events for this long.
    pub fn new(keep: Duration) -> Result<Self, RetentionTooShort> {
        if keep < Self::MIN { Err(RetentionTooShort(keep)) } else { Ok(Self(keep)) }
    }

    /// The time.
    pub fn get(self) -> Duration {
        self.0
    }
}

impl Default for Retention {
    /// 30 days.
    fn default() -> Self {
        Self(Duration::from_secs(30 * 24 * 3600))
    }
}

/// A retention under which a late attempt of the provider could be taken for a new event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("events must be kept for at least {min:?}, not {0:?}: the provider may send one again for that long", min = Retention::MIN)]
pub struct RetentionTooShort(
    /// The retention that was asked for.
    pub Duration,
);
