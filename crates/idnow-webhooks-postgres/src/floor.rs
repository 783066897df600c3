//! Where a claim begins to look.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// How long one that looked from the start spares the others from doing so.
const LASTS: Duration = Duration::from_secs(1);

/// Events leave their entries in the index of what is due when they are claimed and when they end, and these stay until
/// the server's next vacuum: to begin at the first would be to read, each time, all that was handled since then.
///
/// Below the floor there may still be what another process noted, what took long to commit, and what was locked. So a
/// claim goes by it only while there is enough to do above, and only for a second.
#[derive(Debug, Default)]
pub(crate) struct Floor(Mutex<State>);

#[derive(Debug, Clone, Copy, Default)]
struct State {
    floor: Option<Known>,
    lowered: u64,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    wake: DateTime<Utc>,
    since: Instant,
}

/// A look that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Nothing is to be expected before; if none, it looks from the start.
    pub(crate) from: Option<DateTime<Utc>>,
    since: Instant,
    lowered: u64,
}

impl Floor {
    pub(crate) fn look(&self) -> Look {
        let State { floor, lowered } = *self.state();
        let now = Instant::now();
        match floor.filter(|known| now.saturating_duration_since(known.since) < LASTS) {
            Some(Known { wake, since }) => Look { from: Some(wake), since, lowered },
            None => Look { from: None, since: now, lowered },
        }
    }

    /// What the look found first.
    pub(crate) fn found(&self, look: Look, wake: DateTime<Utc>) {
        let mut state = self.state();
        // Otherwise it may have missed what was noted meanwhile.
        if state.lowered == look.lowered {
            state.floor = Some(Known { wake, since: look.since });
        }
    }

    /// Something is due from a time that may be long past.
    pub(crate) fn lower(&self) {
        let mut state = self.state();
        *state = State { floor: None, lowered: state.lowered.wrapping_add(1) };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look {
    /// The same from the start.
    pub(crate) fn anew(self) -> Self {
        Self { from: None, since: Instant::now(), ..self }
    }
}
