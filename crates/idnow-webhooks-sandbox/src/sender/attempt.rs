//! One attempt: signed, sent, noted.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::echo;
use super::hard::{self, Hard};
use super::message::Message;
use super::token::Data;
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
    /// As it was when the attempt was taken.
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) key: Arc<SigningKey>,
    pub(super) due: Due,
    /// What chaos does to it.
    pub(super) plan: Option<Plan>,
}

impl Attempt {
    pub(super) async fn make(self, state: &State) -> End {
        let Self { endpoint, key, due, plan } = self;
        let started = Instant::now();
        let sent = caught(async {
            match &plan {
                None => Hard {
                    answer: plainly(state, &endpoint, &key, &due).await,
                    faults: Vec::new(),
                    key: None,
                },
                Some(plan) => hard::send(state, &endpoint, &due, &key, plan).await,
            }
        });
        let Hard { answer, faults, key: signed_by } = sent.await;
        let verdict = judge(&answer);
        if verdict == Verdict::Delivered {
            state.chaos().arrived(endpoint.id, &due);
        }
        let key = signed_by.filter(|other| *other != key.row);
        note(state, &due, Made { took: started.elapsed(), answer, verdict, faults, key }).await;
        if verdict == Verdict::Retry { End::WaitsAgain } else { End::Final }
    }
}

async fn plainly(state: &State, endpoint: &Endpoint, key: &SigningKey, due: &Due) -> Answer {
    let issuer = &state.settings().issuer;
    let claims = Data::claims(&due.event, due.number, due.started_at, issuer, &endpoint.url);
    match Message::new(&endpoint.headers, endpoint.token_place, &claims, key) {
        Ok(Message { headers, body }) => {
            let answer = state.client().post(&endpoint.url, headers, body).await;
            echo::masked(answer, &endpoint.headers)
        }
        Err(unsendable) => unsendable.into(),
    }
}

/// A panic counts as a connection that broke: it uses up a retry, and the next one waits as long as it would otherwise.
async fn caught(attempt: impl Future<Output = Hard>) -> Hard {
    AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or_else(|_| {
        let reason =
            "the sandbox has broken down in the middle of the attempt: its error output says why".to_owned();
        Hard { answer: Answer::ConnectionFailed { reason }, faults: Vec::new(), key: None }
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
        let hard = || Hard { answer: Answer::TimedOut, faults: Vec::new(), key: None };
        assert_eq!(caught(async { hard() }).await.answer, Answer::TimedOut);
    }
}
