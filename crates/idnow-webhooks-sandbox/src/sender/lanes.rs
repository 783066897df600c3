//! A lane for each endpoint, for as long as there is the endpoint.

use std::collections::{HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::attempt::{Attempt, End};
use super::hold::hold;
use crate::chaos::dice::Plan;
use crate::chaos::engine::plan;
use crate::clock;
use crate::model::Endpoint;
use crate::state::State;

/// How long attempts may go on when the sandbox stops.
const GRACE: Duration = Duration::from_secs(2);
/// After the database has failed.
const PAUSE: Duration = Duration::from_secs(1);
/// How many attempts of an endpoint chaos holds at the same time. More are not held, so that they do not stall what could
/// overtake them.
const MOST_HELD: usize = 1000;
/// How long a lane sleeps before it looks at the clock again, which may have been set.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// Keeps one lane for each endpoint, until the sandbox stops.
pub(super) async fn run(state: State) {
    let mut known = state.known();
    let mut lanes = JoinSet::new();
    let mut running = HashSet::new();
    loop {
        let endpoints = Arc::clone(&known.borrow_and_update());
        for endpoint in endpoints.endpoints.values() {
            if running.insert(endpoint.id) {
                let lane = Lane::new(state.clone(), endpoint.id).run();
                lanes.spawn(watched(endpoint.id, state.stopping().clone(), lane));
            }
        }
        drop(endpoints);
        tokio::select! {
            () = state.stopping().cancelled() => break,
            changed = known.changed() => if changed.is_err() { break },
            Some(ended) = lanes.join_next() => match ended {
                Ok(endpoint) => { running.remove(&endpoint); }
                Err(error) => tracing::error!(%error, "a lane has broken down for good"),
            },
        }
    }
    while lanes.join_next().await.is_some() {}
}

/// What is known of the deliveries that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// Some may be due.
    Perhaps,
    /// None before this time.
    Until(DateTime<Utc>),
    /// The database has failed: it is asked again then, wherever the clock is set.
    Failed(Instant),
    /// None at all.
    None,
}

struct Lane {
    state: State,
    endpoint: Uuid,
    waiting: Waiting,
    under_way: JoinSet<End>,
    /// By chaos: these have been taken, and are kept from beginning.
    held: JoinSet<Attempt>,
    /// Held no longer; they wait for places.
    ready: VecDeque<Attempt>,
}

impl Lane {
    fn new(state: State, endpoint: Uuid) -> Self {
        let (under_way, held) = (JoinSet::new(), JoinSet::new());
        Self { state, endpoint, waiting: Waiting::Perhaps, under_way, held, ready: VecDeque::new() }
    }

    /// Ends when the endpoint is deleted or the sandbox stops. Gives the endpoint back.
    async fn run(mut self) -> Uuid {
        let signal = self.state.signal(self.endpoint);
        let stopping = self.state.stopping().clone();
        while let Some(endpoint) = self.state.endpoint_with_secrets(self.endpoint)
            && !stopping.is_cancelled()
        {
            let places = usize::from(endpoint.concurrency);
            if endpoint.enabled {
                self.fill(places).await;
            } else {
                // They are due again when they are dropped, and wait until it is enabled.
                self.ready.clear();
            }
            let open = endpoint.enabled && self.free(places) > 0;
            tokio::select! {
                () = stopping.cancelled() => {}
                () = signal.notified() => self.waiting = Waiting::Perhaps,
                Some(end) = self.under_way.join_next() => self.note_all(end),
                Some(ended) = self.held.join_next() => match ended {
                    Ok(attempt) => self.ready.push_back(attempt),
                    Err(error) => tracing::error!(%error, "a held attempt has broken down; it is due again"),
                },
                () = sleep_until(self.waiting), if open => {}
            }
        }
        self.end().await
    }

    fn free(&self, places: usize) -> usize {
        places.saturating_sub(self.under_way.len())
    }

    /// Begins attempts until all places are taken, or nothing is due any more.
    async fn fill(&mut self, places: usize) {
        while self.free(places) > 0 && !self.state.stopping().is_cancelled() {
            if let Some(attempt) = self.ready.pop_front() {
                self.resume(attempt);
            } else if self.is_something_due() {
                self.take(self.free(places)).await;
            } else {
                return;
            }
        }
    }

    /// Begins one that was held. Meanwhile its endpoint may have changed: where it goes was noted when it was taken, so that
    /// it is dropped if that is another place now, and its delivery is due again.
    fn resume(&mut self, mut attempt: Attempt) {
        let endpoint = self.state.endpoint_with_secrets(self.endpoint);
        let is_same = |now: &Arc<Endpoint>| now.enabled && now.url == attempt.endpoint.url;
        if let Some(endpoint) = endpoint.filter(is_same) {
            attempt.endpoint = endpoint;
            self.begin(attempt);
        }
    }

    fn begin(&mut self, attempt: Attempt) {
        let state = self.state.clone();
        self.under_way.spawn(async move { attempt.make(&state).await });
    }

    fn is_something_due(&self) -> bool {
        match self.waiting {
            Waiting::Perhaps => true,
            Waiting::Until(time) => self.state.is_due(time),
            Waiting::Failed(again) => again <= Instant::now(),
            Waiting::None => false,
        }
    }

    /// Begins attempts in all of the free places, or of all that is due.
    async fn take(&mut self, free: usize) {
        let limit = u32::try_from(free).unwrap_or(u32::MAX);
        let taken = match self.state.take_due(self.endpoint, limit).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::error!(endpoint = %self.endpoint, %error, "deliveries that are due cannot be read");
                self.waiting = Waiting::Failed(Instant::now() + PAUSE);
                return;
            }
        };
        self.waiting = match taken.next {
            _ if taken.due.len() >= free => Waiting::Perhaps,
            Some(time) => Waiting::Until(time),
            None => Waiting::None,
        };
        let chaos = self.state.chaos().settings();
        for due in taken.due {
            let max_retries = self.state.settings().max_retries;
            let mut plan = chaos.as_ref().and_then(|chaos| plan(chaos, &due, max_retries));
            if self.held.len() >= MOST_HELD {
                plan = plan.and_then(Plan::without_holding);
            }
            let (endpoint, key) = (Arc::clone(&taken.endpoint), Arc::clone(&taken.key));
            let attempt = Attempt { endpoint, key, due, plan };
            match &attempt.plan {
                Some(plan) if plan.holds() => {
                    // At once, so that whatever overtakes it finds it held.
                    let held = plan.reorder.then(|| self.state.chaos().hold(self.endpoint, &attempt.due));
                    self.held.spawn(hold(self.state.clone(), attempt, held));
                }
                _ => self.begin(attempt),
            }
        }
    }

    /// Those that have ended at the same moment are noted together, so that their places are filled by one call.
    fn note_all(&mut self, end: Result<End, tokio::task::JoinError>) {
        let mut next = Some(end);
        while let Some(end) = next {
            match end {
                Ok(End::Final) => {}
                Ok(End::WaitsAgain) => self.waiting = Waiting::Perhaps,
                Err(error) => tracing::error!(%error, "an attempt has broken down; it is due again"),
            }
            next = self.under_way.try_join_next();
        }
    }

    /// Ends what waits for an endpoint that was deleted. Whoever deleted it does so, too, but may have gone away.
    async fn sweep(&self) {
        let stopping = self.state.stopping();
        while self.state.endpoint_with_secrets(self.endpoint).is_none() && !stopping.is_cancelled() {
            let Err(error) = self.state.database().sweep().await else { return };
            tracing::error!(endpoint = %self.endpoint, %error, "what waits for a deleted endpoint cannot be ended");
            stopping.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
        }
    }

    /// The endpoint was deleted, or the sandbox stops. What is cut off by this is attempted again after a restart.
    async fn end(mut self) -> Uuid {
        let stopping = self.state.stopping().clone();
        self.held.shutdown().await;
        self.ready.clear();
        self.sweep().await;
        let all_ended = async { while self.under_way.join_next().await.is_some() {} };
        let too_long = async {
            stopping.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            () = all_ended => {}
            () = too_long => {}
        }
        self.under_way.shutdown().await;
        self.endpoint
    }
}

/// Runs a lane, and gives its endpoint back. One that has panicked is over only after a pause: it is started again at once,
/// and may panic again.
async fn watched(
    endpoint: Uuid,
    stopping: CancellationToken,
    lane: impl Future<Output = Uuid> + Send,
) -> Uuid {
    if AssertUnwindSafe(lane).catch_unwind().await.is_err() {
        tracing::error!(%endpoint, "a lane has broken down; it is started again");
        stopping.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
    }
    endpoint
}

async fn sleep_until(waiting: Waiting) {
    match waiting {
        Waiting::Until(time) => {
            let wait = (time - clock::now()).to_std().unwrap_or_default();
            tokio::time::sleep(wait.min(LONGEST_SLEEP)).await;
        }
        Waiting::Failed(again) => tokio::time::sleep_until(again).await,
        Waiting::Perhaps | Waiting::None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_panics_is_over_after_a_pause_and_at_once_when_the_sandbox_stops() {
        let (endpoint, stopping) = (Uuid::new_v4(), CancellationToken::new());
        let lane = || async { panic!("on purpose") };
        let begun = Instant::now();
        assert_eq!(watched(endpoint, stopping.clone(), lane()).await, endpoint);
        assert_eq!(begun.elapsed().as_secs(), PAUSE.as_secs());
        stopping.cancel();
        let begun = Instant::now();
        assert_eq!(watched(endpoint, stopping, lane()).await, endpoint);
        assert!(begun.elapsed() < PAUSE);
    }
}
