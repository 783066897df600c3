//! One signed event, sent once to any URL.

mod fields;

use std::collections::BTreeMap;
use std::time::Instant;

use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::clock;
use crate::error::Error;
use crate::model::{Answer, EventKind, Header, TokenPlace};
use crate::rules;
use crate::rules::retry::{Verdict, judge};
use crate::sandbox::Sandbox;
use crate::sender::{Claims, Message, Unsendable, echo};
use fields::Data;

/// An event to be sent once, to any URL: no endpoint and no session are needed, and none are made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Trigger {
    /// The kind of event.
    pub event_name: EventKind,
    /// Where it is sent to, and the audience of its token: `https`, or `http` to a loopback address.
    pub url: String,
    /// Other values for fields of the event, by their names in it: `eventSequence`, `payload.sessionId`. All values
    /// are texts, as they are in an event.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Sent with it; at most 20.
    #[serde(default)]
    pub headers: Vec<Header>,
}

impl Trigger {
    /// An event of this kind with new ids, in the environment `staging`.
    pub fn new(event: EventKind, url: impl Into<String>) -> Self {
        Self { event_name: event, url: url.into(), set: BTreeMap::new(), headers: Vec::new() }
    }

    /// Gives a field of the event another value.
    #[must_use]
    pub fn set(mut self, field: impl Into<String>, value: impl Into<String>) -> Self {
        self.set.insert(field.into(), value.into());
        self
    }

    /// Sends this header with it.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push(Header { name: name.into(), value: value.into() });
        self
    }
}

/// What came of a [`Trigger`].
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Triggered {
    /// The `eventId`.
    pub event_id: String,
    /// Whether the answer was 2xx.
    pub delivered: bool,
    /// What came back.
    pub answer: Answer,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The decoded header of the token.
    pub header: Value,
    /// The decoded claims of the token.
    pub claims: Value,
}

impl Sandbox {
    /// Signs one event and sends it, once. Nothing is stored: it is retried by nobody, and no delivery tells of it.
    ///
    /// It takes at most as long as a receiver may take to answer.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), idnow_webhooks_sandbox::Error> {
    /// use idnow_webhooks_sandbox::model::{Answer, EventKind};
    /// use idnow_webhooks_sandbox::{Sandbox, Trigger};
    ///
    /// let sandbox = Sandbox::start().await?;
    /// let trigger = Trigger::new(EventKind::Completed, "http://127.0.0.1:1/webhooks/idnow")
    ///     .set("payload.sessionId", "6f1d4a1e-22c7-4b57-9a5b-0d4f1f0f2c11")
    ///     .header("X-Auth-Token", "the-token");
    /// let triggered = sandbox.trigger(trigger).await?;
    /// assert!(matches!(triggered.answer, Answer::ConnectionFailed { .. }), "nobody listens there");
    /// # sandbox.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a URL, a header or a field that cannot be accepted. An unknown field is named together with
    /// the nearest and all known ones. [`Error::Unavailable`] if the sandbox has stopped. That nobody answers is no error, but
    /// an [`Answer`].
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, the connection is closed; the event may have arrived.
    pub async fn trigger(&self, trigger: Trigger) -> Result<Triggered, Error> {
        if self.state().stopping().is_cancelled() {
            return Err(Error::unavailable("the sandbox has stopped"));
        }
        let Trigger { event_name, url, set, headers } = trigger;
        rules::url::check(&url, self.state().settings().allow_plain_http)?;
        rules::headers::check(&headers)?;
        let now = clock::now();
        let mut data = Data::new(event_name, now.to_rfc3339_opts(SecondsFormat::Millis, true));
        data.set(set)?;

        let state = self.state();
        let id = data.id().to_owned();
        let claims = Claims::new(&data, &id, now, &state.settings().issuer, &url);
        let key = state.active_key()?;
        let message =
            Message::new(&headers, TokenPlace::Body, &claims, &key).map_err(
                |unsendable| match unsendable {
                    Unsendable::Header(name) => Error::invalid("headers", format!("{name:?} cannot be sent")),
                    Unsendable::Token(error) => error,
                },
            )?;
        let claims = serde_json::to_value(&claims)
            .map_err(|error| Error::unavailable_because("the claims cannot be written", error))?;

        let begun = Instant::now();
        let answer = state.client().post(&url, message.headers, message.body).await;
        let answer = echo::masked(answer, &headers);
        Ok(Triggered {
            event_id: id,
            delivered: judge(&answer) == Verdict::Delivered,
            answer,
            duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            header: key.header(),
            claims,
        })
    }
}
