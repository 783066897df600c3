//! Sends on what was verified.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    RETRY_AFTER, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::Client;
use url::Url;

use crate::{Failure, client};

/// How much of the target's answer is passed on. A receiver's own answers have less than 1 KiB.
const LONGEST_ANSWER: usize = 64 * 1024;
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// They belong to one connection, or are made anew for the next (RFC 9110, 7.6.1).
const OF_THE_CONNECTION: [HeaderName; 12] = [
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Where verified deliveries go.
pub(crate) struct Forward {
    client: Client,
    url: Url,
    /// For the whole of a delivery, from its arrival on.
    deadline: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Forwarded {
    pub(crate) result: Result<StatusCode, String>,
    pub(crate) took: Duration,
}

impl Forward {
    pub(crate) fn new(url: Url, deadline: Duration) -> Result<Self, Failure> {
        let client = client::builder(&url).build().map_err(|error| {
            format!("requests to {} cannot be made: {}", client::shown(&url), client::explain(error))
        })?;
        Ok(Self { client, url, deadline })
    }

    /// Where to, without secrets.
    pub(crate) fn target(&self) -> String {
        client::shown(&self.url)
    }

    /// Sends a delivery on. Gives what to answer, and what to tell.
    pub(crate) async fn send(
        &self,
        arrived: Instant,
        headers: &HeaderMap,
        body: Vec<Bytes>,
    ) -> (Response, Forwarded) {
        let begun = Instant::now();
        let left = self.deadline.saturating_sub(arrived.elapsed());
        let result = self.answer(left, headers, body).await;
        let took = begun.elapsed();
        match result {
            Ok(response) => {
                let status = response.status();
                (response, Forwarded { result: Ok(status), took })
            }
            Err(reason) => (unavailable(), Forwarded { result: Err(reason), took }),
        }
    }

    async fn answer(
        &self,
        left: Duration,
        headers: &HeaderMap,
        body: Vec<Bytes>,
    ) -> Result<Response, String> {
        let request =
            self.client.post(self.url.clone()).timeout(left).headers(end_to_end(headers)).body(joined(body));
        let mut answer = request.send().await.map_err(client::explain)?;
        let body = client::read(&mut answer, LONGEST_ANSWER).await.map_err(client::explain)?;
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = answer.status();
        for name in [CONTENT_TYPE, RETRY_AFTER] {
            if let Some(value) = answer.headers().get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        Ok(response)
    }
}

/// A webhook nearly always arrives in one piece.
fn joined(pieces: Vec<Bytes>) -> Bytes {
    match <[Bytes; 1]>::try_from(pieces) {
        Ok([whole]) => whole,
        Err(pieces) => pieces.concat().into(),
    }
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&OF_THE_CONNECTION) {
        headers.remove(name);
    }
    headers
}

/// As a receiver answers what may pass: the event comes again.
pub(crate) fn unavailable() -> Response {
    const BODY: &str =
        r#"{"type":"about:blank","title":"Service Unavailable","status":503,"code":"target_unavailable"}"#;
    let mut response = Response::new(Body::from(BODY));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
