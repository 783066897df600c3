//! One attempt: signed, sent, noted.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::echo;
use super::token::Claims;
use crate::error::Error;
use crate::keys::SigningKey;
use crate::model::{Answer, Endpoint, TokenPlace};
use crate::rules::retry::{Verdict, judge};
use crate::state::{Due, State};

const SIGNATURE: HeaderName = HeaderName::from_static("x-idnow-signature");
/// Before an answer is noted once more, after the database has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// What an attempt leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Final,
    /// The delivery is due again some time.
    WaitsAgain,
}

pub(super) async fn make(state: &State, endpoint: &Endpoint, key: &SigningKey, due: Due) -> End {
    let started = Instant::now();
    let answer = caught(async {
        match message(state, endpoint, key, &due) {
            Ok((headers, body)) => {
                let answer = state.client().post(&endpoint.url, headers, body).await;
                echo::masked(answer, &endpoint.headers)
            }
            Err(Unsendable::Header(reason)) => Answer::NotSent { reason },
            Err(Unsendable::Token(error)) => Answer::ConnectionFailed { reason: error.to_string() },
        }
    })
    .await;
    let verdict = judge(&answer);
    note(state, &due, started.elapsed(), answer, verdict).await;
    if verdict == Verdict::Retry { End::WaitsAgain } else { End::Final }
}

/// A panic counts as a connection that broke: it uses up a retry, and the next one waits as long as it would otherwise.
async fn caught(attempt: impl Future<Output = Answer>) -> Answer {
    AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or_else(|_| {
        let reason =
            "the sandbox has broken down in the middle of the attempt: its error output says why".to_owned();
        Answer::ConnectionFailed { reason }
    })
}

enum Unsendable {
    Header(String),
    Token(Error),
}

fn message(
    state: &State,
    endpoint: &Endpoint,
    key: &SigningKey,
    due: &Due,
) -> Result<(HeaderMap, Vec<u8>), Unsendable> {
    let mut headers = own_headers(endpoint)?;
    let issuer = &state.settings().issuer;
    let claims = Claims::new(&due.event, due.number, due.started_at, issuer, &endpoint.url);
    let token = json(&claims).and_then(|claims| key.sign(&claims)).map_err(Unsendable::Token)?;
    // Last, so that nothing takes their place.
    match endpoint.token_place {
        TokenPlace::Body => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jwt"));
            Ok((headers, token.into_bytes()))
        }
        TokenPlace::Header => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let token = HeaderValue::try_from(token).map_err(|error| {
                Unsendable::Token(Error::unavailable_because("a token does not fit into a header", error))
            })?;
            headers.insert(SIGNATURE, token);
            Ok((headers, json(&claims.data).map_err(Unsendable::Token)?))
        }
    }
}

fn own_headers(endpoint: &Endpoint) -> Result<HeaderMap, Unsendable> {
    let mut headers = HeaderMap::with_capacity(endpoint.headers.len() + 2);
    for header in &endpoint.headers {
        // They were checked when they were saved. Whatever changed them since then, no line break gets through here.
        let (Ok(name), Ok(mut value)) =
            (HeaderName::try_from(&header.name), HeaderValue::try_from(&header.value))
        else {
            return Err(Unsendable::Header(format!(
                "the header {:?} cannot be sent: save it again",
                header.name
            )));
        };
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value)
        .map_err(|error| Error::unavailable_because("the claims cannot be written", error))
}

/// The endpoint has answered, and must not be asked again only because the disk is full for a moment.
async fn note(state: &State, due: &Due, took: Duration, answer: Answer, verdict: Verdict) {
    loop {
        match state.record(due, took, answer.clone(), verdict).await {
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
        let answer = caught(async { panic!("on purpose") }).await;
        assert_eq!(judge(&answer), Verdict::Retry);
        assert!(
            matches!(&answer, Answer::ConnectionFailed { reason } if reason.contains("error output")),
            "{answer:?}"
        );
        assert_eq!(caught(async { Answer::TimedOut }).await, Answer::TimedOut);
    }
}
