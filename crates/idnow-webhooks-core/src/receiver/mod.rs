//! The one path of a delivery: admission, body, verification, intake.

mod builder;
mod intake;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use futures_util::Stream;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response};
use tokio::sync::Semaphore;
use tracing::Instrument;
use tracing::field::Empty;

use crate::admission::Admission;
use crate::body::{self, BodyError};
use crate::clock::Clock;
use crate::event::{Event, EventPayload, RawEvent};
use crate::keys::{KeySet, KeySource};
use crate::outcome::{Outcome, Refusal};
use crate::telemetry;
use crate::verifier::{Seen, VerifiedToken, Verifier, VerifyError};

pub use builder::{ReceiverBuilder, ReceiverError};
use intake::Intake;

/// What an adapter knows of a request before its body.
#[derive(Debug)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// All header lines; repeated ones must be kept apart.
    pub headers: &'a HeaderMap,
    /// The address at the other end of the connection, if the server tells it.
    pub peer: Option<IpAddr>,
}

/// A request extension for servers that an adapter cannot ask: the address at the other end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub IpAddr);

/// Receives deliveries: verifies them and hands their events on. Cheap to clone; clones share everything.
///
/// An adapter mounts it in a web framework. To mount it somewhere else, call
/// [`receive`](Self::receive) with what the request brought, and answer with [`Outcome::response`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use futures_util::stream;
/// use http::{HeaderMap, Method};
/// use idnow_webhooks_core::keys::{KeySet, StaticKeys};
/// use idnow_webhooks_core::{EventRouter, Head, Receiver, Verifier};
///
/// let verifier = Verifier::builder()
///     .issuer("https://auth.eu.platform.idnow.io/oidc")
///     .audience("https://bank.example/webhooks/idnow")
///     .build()?;
/// let receiver = Receiver::builder(verifier, StaticKeys::new(KeySet::default()))
///     .handlers(EventRouter::new())
///     .build()?;
///
/// let head = Head { method: &Method::POST, headers: &HeaderMap::new(), peer: None };
/// let body = stream::iter([Ok::<_, std::io::Error>(Bytes::from("not a token"))]);
/// let outcome = receiver.receive(head, body).await;
/// assert_eq!(outcome.status(), 400);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Receiver {
    inner: Arc<Inner>,
}

struct Inner {
    admission: Admission,
    verifier: Verifier,
    keys: Arc<dyn KeySource>,
    clock: Arc<dyn Clock>,
    token_header: HeaderName,
    expected_environment: Option<String>,
    max_body_bytes: usize,
    answer_deadline: Duration,
    in_progress: Arc<Semaphore>,
    intake: Intake,
}

/// A delivery that was verified but not handed on: see [`Receiver::verify`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VerifiedDelivery {
    /// The token that vouches for the event.
    pub token: VerifiedToken,
    /// The event.
    pub event: RawEvent,
}

impl Receiver {
    /// Starts with what every receiver needs: what to believe, and the keys to check it with.
    pub fn builder(verifier: Verifier, keys: impl KeySource) -> ReceiverBuilder {
        ReceiverBuilder::new(verifier, Arc::new(keys))
    }

    /// Takes a delivery through the whole path and says what became of it.
    ///
    /// It always ends within the answer deadline, and nothing is accepted before it is safe.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, as servers do when the client goes away, leaves nothing half done: a handler that
    /// has begun is run to its end in a task of its own.
    pub async fn receive<B, D, E>(&self, head: Head<'_>, body: B) -> Outcome
    where
        B: Stream<Item = Result<D, E>>,
        D: Buf,
    {
        let arrived = Instant::now();
        let span = tracing::info_span!(
            target: telemetry::TARGET, "idnow_webhook",
            source = Empty, event_id = Empty, event_name = Empty, attempt = Empty,
        );
        async {
            let watch = telemetry::Watch::new(arrived);
            let outcome = self.within_limits(arrived, head, body).await;
            watch.answered(&outcome);
            outcome
        }
        .instrument(span)
        .await
    }

    /// [`receive`](Self::receive), and the answer to it: what an adapter calls.
    pub async fn respond<B, D, E>(&self, head: Head<'_>, body: B) -> Response<Bytes>
    where
        B: Stream<Item = Result<D, E>>,
        D: Buf,
    {
        let is_head = head.method == Method::HEAD;
        let mut response = self.receive(head, body).await.response();
        if is_head {
            // hyper would send it over HTTP/2, which breaks the protocol.
            response.body_mut().clear();
        }
        response
    }

    async fn within_limits<B, D, E>(&self, arrived: Instant, head: Head<'_>, body: B) -> Outcome
    where
        B: Stream<Item = Result<D, E>>,
        D: Buf,
    {
        let Ok(place) = Arc::clone(&self.inner.in_progress).try_acquire_owned() else {
            return Outcome::Refused(Refusal::Overloaded);
        };
        let limit = self.inner.answer_deadline;
        let path = async {
            let token = self.verified(arrived, &head, body).await;
            let step = token.and_then(|token| self.inner.take_in(token, place))?;
            step.finish().await
        };
        let result = tokio::time::timeout(limit, path).await.unwrap_or(Err(Refusal::Deadline(limit)));
        result.unwrap_or_else(Outcome::Refused)
    }

    /// Only verifies a delivery: for those who want to handle events themselves.
    ///
    /// Nothing is deduplicated, remembered or handed to a handler, and the answer is the caller's to give.
    pub async fn verify<B, D, E>(&self, head: Head<'_>, body: B) -> Result<VerifiedDelivery, Refusal>
    where
        B: Stream<Item = Result<D, E>>,
        D: Buf,
    {
        let arrived = Instant::now();
        let limit = self.inner.answer_deadline;
        let path = async {
            let token = self.verified(arrived, &head, body).await?;
            let event = token.event()?;
            self.inner.check_environment(&event)?;
            Ok(VerifiedDelivery { token, event })
        };
        tokio::time::timeout(limit, path).await.unwrap_or(Err(Refusal::Deadline(limit)))
    }

    async fn verified<B, D, E>(
        &self,
        arrived: Instant,
        head: &Head<'_>,
        body: B,
    ) -> Result<VerifiedToken, Refusal>
    where
        B: Stream<Item = Result<D, E>>,
        D: Buf,
    {
        let inner = &*self.inner;
        let header_token = inner.admit(head)?;
        let body =
            body::read(head.headers, body, inner.max_body_bytes).await.map_err(|error| match error {
                BodyError::TooLarge => Refusal::TooLarge(inner.max_body_bytes),
                BodyError::Incomplete => Refusal::Incomplete,
            })?;
        // A loose body beside a header's token is not signed, so nobody looks at it.
        let token = header_token.map_or(body, |value| Bytes::copy_from_slice(value.as_bytes()));
        inner.verify(&token, arrived).await
    }
}

impl VerifiedDelivery {
    /// Reads the payload as `P`.
    pub fn read<P: EventPayload>(self) -> Result<Event<P>, Refusal> {
        Ok(self.event.read()?)
    }
}

impl Inner {
    /// Everything that is checked before the body. Gives the token's header, where there is one.
    fn admit<'a>(&self, head: &Head<'a>) -> Result<Option<&'a HeaderValue>, Refusal> {
        if head.method != Method::POST {
            return Err(Refusal::Method);
        }
        let admitted = self.admission.admit(head.headers, head.peer);
        let source = match &admitted {
            Ok(admitted) => admitted.source,
            // Who was refused is what one looks for in the log.
            Err(_) => self.admission.source(head.headers, head.peer).ok().flatten(),
        };
        if let Some(source) = source {
            tracing::Span::current().record("source", tracing::field::display(source));
        }
        let admitted = admitted?;
        if let Some(reason) = admitted.would_refuse {
            telemetry::monitored_source(&reason);
        }
        let mut encodings = head.headers.get_all(CONTENT_ENCODING).iter();
        if let Some(encoding) = encodings.find(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(Refusal::Encoding(seen(encoding)));
        }
        let mut tokens = head.headers.get_all(&self.token_header).iter();
        let token = tokens.next();
        if tokens.next().is_some() {
            return Err(Refusal::AmbiguousToken);
        }
        // Servers let through headers that are much longer than any body that is accepted here.
        if token.is_some_and(|token| token.len() > self.max_body_bytes) {
            return Err(Refusal::TooLarge(self.max_body_bytes));
        }
        // A missing media type says nothing wrong; the signature decides.
        if let Some(value) = head.headers.get(CONTENT_TYPE)
            && !is_expected_media_type(value, token.is_some())
        {
            return Err(Refusal::MediaType(seen(value)));
        }
        Ok(token)
    }

    async fn verify(&self, token: &[u8], arrived: Instant) -> Result<VerifiedToken, Refusal> {
        let token_error = match self.verify_with(token, &self.keys.current()) {
            Err(error @ VerifyError::UnknownKey { .. }) => error,
            result => return Ok(result?),
        };
        match self.keys.refresh(arrived).await {
            Ok(keys) => Ok(self.verify_with(token, &keys)?),
            // A fetch for another delivery, too early to answer this one, may have brought the key all the same.
            Err(keys) => match self.verify_with(token, &self.keys.current()) {
                Err(VerifyError::UnknownKey { .. }) => {
                    Err(Refusal::KeysUnavailable { token: token_error, keys })
                }
                result => Ok(result?),
            },
        }
    }

    fn verify_with(&self, token: &[u8], keys: &KeySet) -> Result<VerifiedToken, VerifyError> {
        let started = Instant::now();
        let result = self.verifier.verify(token, keys, self.clock.now());
        telemetry::verification(started);
        result
    }

    fn check_environment(&self, event: &RawEvent) -> Result<(), Refusal> {
        match &self.expected_environment {
            Some(expected) if *expected != event.environment => {
                Err(Refusal::Environment { expected: expected.clone(), seen: Seen::new(&event.environment) })
            }
            _ => Ok(()),
        }
    }
}

fn is_expected_media_type(value: &HeaderValue, token_in_header: bool) -> bool {
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"application/jwt")
        || (token_in_header && essence.eq_ignore_ascii_case(b"application/json"))
}

fn seen(value: &HeaderValue) -> Seen {
    Seen::new(&String::from_utf8_lossy(value.as_bytes()))
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("admission", &self.inner.admission)
            .field("verifier", &self.inner.verifier)
            .field("keys", &self.inner.keys)
            .field("intake", &self.inner.intake)
            .finish_non_exhaustive()
    }
}
