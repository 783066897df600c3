use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::FetchError;
use crate::state::State;

/// How the keys of a [`JwksSource`](crate::JwksSource) are doing at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Status {
    /// Whether there are keys to verify with.
    pub ready: bool,
    /// The ids of the usable keys, sorted.
    pub key_ids: Vec<String>,
    /// The greatest age that the keys can have: how long ago their fetch began, and how long a cache in between had
    /// held them before, as it said. `None` without keys.
    pub age: Option<Duration>,
    /// How long their lifetime still lasts; zero after its end. `None` without keys.
    pub expires_in: Option<Duration>,
    /// How long they may still be used if no fetch replaces them. `None` without keys.
    pub unusable_in: Option<Duration>,
    /// Why the last fetch failed. `None` if it succeeded, or none has ended yet.
    pub last_error: Option<Arc<FetchError>>,
    /// Whether the background task runs. If not, its Tokio runtime was shut down, and the keys will not be
    /// fetched again.
    pub running: bool,
}

impl Status {
    pub(crate) fn of(state: &State, now: Instant, running: bool) -> Self {
        let held = state.keys(now);
        Self {
            ready: held.is_some(),
            key_ids: held
                .map_or_else(Vec::new, |held| held.keys.key_ids().into_iter().map(str::to_owned).collect()),
            age: held.map(|held| held.age(now)),
            expires_in: held.map(|held| held.expires_at.saturating_duration_since(now)),
            unusable_in: held.map(|held| held.stale_at.saturating_duration_since(now)),
            last_error: state.last_error().cloned(),
            running,
        }
    }
}
