use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method};
use idnow_webhooks_core::keys::StaticKeys;
use idnow_webhooks_core::{
    Clock, EventRouter, Head, Outcome, Receiver, ReceiverBuilder, SystemClock, Verifier,
};
use serde_json::{Map, Value, json};

use crate::fail::OrFail as _;
use crate::{SampleEvent, SigningKey};

/// The provider's signing side: wraps events in claims and signs them.
///
/// ```
/// use idnow_webhooks_testkit::{FixedClock, Provider, SampleEvent, SigningKey};
///
/// let clock = FixedClock::at("2026-01-08T08:35:39Z".parse()?);
/// let provider = Provider::new().with_clock(clock);
/// let event = SampleEvent::completed();
///
/// let genuine = provider.token(&event);
/// let expired = provider.token_with(&event, |claims| claims["exp"] = 1_600_000_000.into());
/// let forged = provider.clone().with_key(SigningKey::shared_other()).token(&event);
/// # assert!(genuine != expired && genuine != forged);
/// # assert_eq!(provider.claims(&event)["iat"], 1_767_861_339);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Provider {
    key: SigningKey,
    issuer: String,
    audience: String,
    lifetime: Duration,
    clock: Arc<dyn Clock>,
}

impl Provider {
    /// The issuer of the published example, and of every `Provider` until it is changed.
    pub const ISSUER: &str = "https://auth.dev1.platform.idnow.dev/oidc";
    /// The audience of every `Provider` until it is changed.
    pub const AUDIENCE: &str = "https://bank.example/webhooks/idnow";

    /// Signs with [`SigningKey::shared`] as [`ISSUER`](Self::ISSUER) for [`AUDIENCE`](Self::AUDIENCE), by the
    /// machine's clock. Tokens live for one hour.
    pub fn new() -> Self {
        Self {
            key: SigningKey::shared(),
            issuer: Self::ISSUER.into(),
            audience: Self::AUDIENCE.into(),
            lifetime: Duration::from_secs(3600),
            clock: Arc::new(SystemClock),
        }
    }

    /// Signs with another key.
    #[must_use]
    pub fn with_key(mut self, key: SigningKey) -> Self {
        self.key = key;
        self
    }

    /// Sets `iss`.
    #[must_use]
    pub fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// Sets `aud`. For an array, change the claim with [`token_with`](Self::token_with).
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// Sets how long after `iat` a token expires, in whole seconds.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Takes `iat` from this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The key that signs.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The `aud` of its tokens.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The claims for `event`: `data`, `iss`, `aud`, `iat`, `exp`, and `sub` (the event's id).
    pub fn claims(&self, event: &SampleEvent) -> Value {
        Value::Object(self.claim_map(event))
    }

    /// A signed token for `event`.
    pub fn token(&self, event: &SampleEvent) -> String {
        self.key.sign(&self.claim_map(event))
    }

    /// A genuinely signed token whose claims were changed before signing.
    ///
    /// ```
    /// use idnow_webhooks_testkit::{Provider, SampleEvent};
    ///
    /// let provider = Provider::new();
    /// let no_audience = provider.token_with(&SampleEvent::created(), |claims| {
    ///     claims.remove("aud");
    /// });
    /// # assert_eq!(no_audience.split('.').count(), 3);
    /// ```
    pub fn token_with(&self, event: &SampleEvent, change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut claims = self.claim_map(event);
        change(&mut claims);
        self.key.sign(&claims)
    }

    /// A receiver that believes this provider, with its key and by its clock; no network is involved. Until it is given
    /// handlers it acknowledges every event.
    ///
    /// # Panics
    ///
    /// When the issuer or the audience is empty.
    pub fn receiver(&self) -> ReceiverBuilder {
        let verifier = Verifier::builder()
            .issuer(&self.issuer)
            .audience(&self.audience)
            .algorithms([self.key.algorithm()])
            .build()
            .or_fail("believing the provider");
        Receiver::builder(verifier, StaticKeys::new(self.key.key_set()))
            .clock(Arc::clone(&self.clock))
            .handlers(EventRouter::new())
    }

    /// Signs `event`, hands it to `receiver` as a request would, and says what became of it.
    pub async fn deliver(&self, receiver: &Receiver, event: &SampleEvent) -> Outcome {
        let head = Head { method: &Method::POST, headers: &HeaderMap::new(), peer: None };
        let body = stream::iter([Ok::<_, Infallible>(Bytes::from(self.token(event)))]);
        receiver.receive(head, body).await
    }

    fn claim_map(&self, event: &SampleEvent) -> Map<String, Value> {
        let issued_at = self.clock.now().timestamp();
        let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX);
        let data = event.data();
        let claims = [
            ("sub", data.get("eventId").cloned().unwrap_or_default()),
            ("data", data),
            ("iss", json!(self.issuer)),
            ("iat", json!(issued_at)),
            ("exp", json!(issued_at.saturating_add(lifetime))),
            ("aud", json!(self.audience)),
        ];
        claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Default for Provider {
    fn default() -> Self {
        Self::new()
    }
}
