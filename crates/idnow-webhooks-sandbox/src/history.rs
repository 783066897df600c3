//! History is kept for a while.

use std::time::Duration;

use crate::clock::{self, micros};
use crate::database::purge::{Purge, Tidy};
use crate::error::Error;
use crate::state::State;

/// How many sessions one transaction looks at. Others come in between.
const STEP: u32 = 100;
/// How often to look, at most and at least; a tenth of what is kept in between.
const OFTEN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_hours(1);

/// Removes what is older than it is to be kept, until the sandbox stops.
pub(crate) async fn purge(state: State) {
    let keep = state.settings().keep_history;
    let pause = (keep / 10).clamp(OFTEN, SELDOM);
    loop {
        if let Err(error) = pass(&state, keep).await
            && !state.stopping().is_cancelled()
        {
            tracing::error!(%error, "old history cannot be removed; this is tried again later");
        }
        tokio::select! {
            () = state.stopping().cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn pass(state: &State, keep: Duration) -> Result<(), Error> {
    let before = clock::now().timestamp_micros().saturating_sub(micros(keep));
    let mut after = 0;
    while !state.stopping().is_cancelled()
        && let Some(last) = state.database().write(Purge { before, after, limit: STEP }).await?
    {
        after = last;
    }
    state.database().write(Tidy { before }).await
}
