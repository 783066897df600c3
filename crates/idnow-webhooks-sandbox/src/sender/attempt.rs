//! One attempt: signed, sent, noted.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::plain::Sent;
use super::{hard, plain};
use crate::chaos::dice::Plan;
use crate::error::Error;
use crate::keys::SigningKey;
use crate::model::{Answer, Endpoint};
use crate::rules::retry::{Verdict, judge};
use crate::state::{Due, Made, State};

/// Before an answer is noted once more, after the database has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// What an attempt leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Final,
    /// The delivery is due again some time.
    WaitsAgain,
}

/// An attempt that was taken, and is to be made.
#[derive(Debug)]
pub(super) struct Attempt {
    /// As it was when the attempt was taken, or may begin after it was held.
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) key: Arc<SigningKey>,
    pub(super) due: Due,
    /// What chaos does to it.
    pub(super) plan: Option<Plan>,
}

impl Attempt {
    pub(super) async fn make(self, state: &State) -> End {
        let Self { endpoint, key, due, plan } = self;
        let sent = caught(async {
            match &plan {
                None => plain::send(state, &endpoint, &due, &key).await,
                Some(plan) => hard::send(state, &endpoint, &due, &key, plan).await,
            }
        });
        let Sent { answer, took, faults, key: signed_by, signed_at } = sent.await;
        let verdict = judge(&answer);
        if verdict == Verdict::Delivered {
            state.chaos().arrived(endpoint.id, &due);
        }
        let key = signed_by.filter(|other| *other != key.row);
        note(state, &due, Made { took, answer, verdict, faults, key, signed_at }).await;
        if verdict == Verdict::Retry { End::WaitsAgain } else { End::Final }
    }
}

/// A panic counts as a connection that broke: it uses up a retry, and the next one waits as long as it would otherwise.
async fn caught(attempt: impl Future<Output = Sent>) -> Sent {
    let begun = Instant::now();
    AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or_else(|_| {
        let reason =
            "the sandbox has broken down in the middle of the attempt: its error output says why".to_owned();
        let answer = Answer::ConnectionFailed { reason };
        Sent { answer, took: begun.elapsed(), faults: Vec::new(), key: None, signed_at: None }
    })
}

/// The endpoint has answered, and must not be asked again only because the disk is full for a moment.
async fn note(state: &State, due: &Due, made: Made) {
    loop {
        match state.record(due, &made).await {
            Ok(()) => return,
            Err(error @ Error::Unavailable(_)) => {
                tracing::error!(delivery = due.delivery, %error, "an answer cannot be noted; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                tracing::error!(delivery = due.delivery, %error, "an answer cannot be noted");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_attempt_that_panics_is_tried_again_like_any_other() {
        let answer = caught(async { panic!("on purpose") }).await.answer;
        assert_eq!(judge(&answer), Verdict::Retry);
        assert!(
            matches!(&answer, Answer::ConnectionFailed { reason } if reason.contains("error output")),
            "{answer:?}"
        );
        let took = Duration::ZERO;
        let sent = Sent { answer: Answer::TimedOut, took, faults: Vec::new(), key: None, signed_at: None };
        assert_eq!(caught(async { sent }).await.answer, Answer::TimedOut);
    }
}
