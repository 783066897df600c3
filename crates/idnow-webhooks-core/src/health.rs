use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::store::{Backlog, StoreError};

/// How a [`Receiver`](crate::Receiver) is doing, for a readiness route: see
/// [`Receiver::health`](crate::Receiver::health).
///
/// As JSON it has the same members in camel case, times in seconds, and no error texts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Health {
    /// Whether deliveries can be taken: the store takes events, and there are keys.
    pub ready: bool,
    /// What the store has to do. `None` if it cannot store events now, if it did not answer within two seconds, or if
    /// there is none.
    pub store: Option<Backlog>,
    /// The keys to verify with.
    pub keys: KeysHealth,
}

/// The keys at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct KeysHealth {
    /// How many there are that may still be used. Without any, every delivery is answered 503.
    pub usable: usize,
    /// How old they can be at most: how long ago their retrieval began, and how long a cache in between may have had
    /// them before. `None` without keys, and for those that never change.
    #[serde(serialize_with = "seconds")]
    pub age: Option<Duration>,
}

impl Health {
    /// Without a store there is nothing that could keep deliveries from being verified.
    pub(crate) fn new(store: Option<Result<Backlog, StoreError>>, keys: KeysHealth) -> Self {
        let works = !matches!(store, Some(Err(_)));
        Self { ready: works && keys.usable > 0, store: store.and_then(Result::ok), keys }
    }

    /// 200 when it is ready, or else 503.
    pub fn status(&self) -> StatusCode {
        if self.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    }

    /// The answer of a readiness route: the status, and the value as JSON.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use idnow_webhooks_testkit::Provider;
    ///
    /// let receiver = Provider::new().receiver().build().unwrap();
    /// let response = receiver.health().await.response();
    /// assert_eq!(response.status(), 200);
    /// assert_eq!(
    ///     response.body(),
    ///     r#"{"ready":true,"store":{"waiting":0,"running":0,"dead":0,"parked":0,"oldestWaiting":null},"keys":{"usable":1,"age":null}}"#
    /// );
    /// # }
    /// ```
    pub fn response(&self) -> Response<Bytes> {
        // Numbers and truth values always make valid JSON.
        let body = serde_json::to_vec(self).unwrap_or_default();
        let mut response = Response::new(body.into());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

#[expect(clippy::ref_option, reason = "serde's signature")]
pub(crate) fn seconds<S: serde::Serializer>(
    age: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    age.map(|age| age.as_secs_f64()).serialize(serializer)
}
