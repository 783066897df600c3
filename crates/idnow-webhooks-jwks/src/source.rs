use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use async_trait::async_trait;
use idnow_webhooks_core::keys::{KeySet, KeySource, KeysUnavailable};
use tokio::time::Instant;

use crate::error::JwksError;
use crate::state::Answer;
use crate::status::Status;
use crate::task::TaskHandle;

/// What a sender is told when no fetch will ever happen again in this process.
const WITHOUT_TASK_RETRY: Duration = Duration::from_secs(60);

/// Follows the provider's keys: a [`KeySource`] for the receiver.
///
/// Cheap to clone; all clones share the keys and the one background task, which ends when the last clone is
/// dropped. See the [crate's documentation](crate) for what it does when, and for an example.
#[derive(Clone)]
pub struct JwksSource {
    task: TaskHandle,
    location: Arc<str>,
    empty: Arc<KeySet>,
}

impl JwksSource {
    pub(crate) fn new(task: TaskHandle, location: Arc<str>) -> Self {
        Self { task, location, empty: Arc::default() }
    }

    /// How the keys are doing, for a readiness check or a status page. Never waits.
    pub fn status(&self) -> Status {
        Status::of(&self.task.state.borrow(), Instant::now(), !self.task.state.is_closed())
    }

    #[cfg(test)]
    pub(crate) fn task_state(&self) -> crate::state::State {
        self.task.state.borrow().clone()
    }

    pub(crate) async fn first_fetch(&self) -> Result<(), JwksError> {
        let mut state = self.task.state.clone();
        let state = state.wait_for(|state| state.last.is_some()).await.map_err(|_| JwksError::TaskEnded)?;
        match state.last_error() {
            Some(error) => Err(JwksError::FirstFetch(Arc::clone(error))),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl KeySource for JwksSource {
    fn current(&self) -> Arc<KeySet> {
        let state = self.task.state.borrow();
        Arc::clone(state.keys(Instant::now()).map_or(&self.empty, |held| &held.keys))
    }

    /// Waits for at most about one fetch that is under way and one more.
    ///
    /// A caller that arrives while a fetch is under way is not answered from that one; yet when it gets
    /// `Err`, [`current`](KeySource::current) may hold the key by then and is worth another look.
    async fn refresh(&self, arrived: StdInstant) -> Result<Arc<KeySet>, KeysUnavailable> {
        // No fetch can begin in the future, and waiting for one to do so would mean fetching in a circle.
        let arrived = arrived.min(StdInstant::now());
        let mut state = self.task.state.clone();
        loop {
            let answer = state.borrow_and_update().answer(arrived, Instant::now());
            match answer {
                Answer::Done(result) => return result,
                Answer::Wait => {}
                // Sent even if it changes nothing, for the task must look again.
                Answer::Ask => self.task.wanted.send_modify(|wanted| *wanted = (*wanted).max(Some(arrived))),
            }
            if state.changed().await.is_err() {
                return Err(KeysUnavailable::new(
                    "the task that fetches keys has ended: the Tokio runtime in which the key source was \
                     created must be kept running, with time and I/O enabled",
                    WITHOUT_TASK_RETRY,
                ));
            }
        }
    }

    fn age(&self) -> Option<Duration> {
        let (state, now) = (self.task.state.borrow(), Instant::now());
        state.keys(now).map(|held| held.age(now))
    }
}

impl fmt::Debug for JwksSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwksSource")
            .field("location", &self.location)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
