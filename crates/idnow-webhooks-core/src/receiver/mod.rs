//! The one path of a delivery: admission, body, verification, intake.

mod builder;
mod head;
mod intake;
mod parking;
mod stage;
mod verify;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::Stream;
use http::header::HeaderName;
use http::{Method, Response};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::admission::Admission;
use crate::clock::Clock;
use crate::deadline::within;
use crate::event::{Arrival, Event, EventPayload, RawEvent};
use crate::health::{Health, KeysHealth};
use crate::keys::KeySource;
use crate::outcome::{Outcome, Refusal};
use crate::telemetry::{self, RefusalLog};
use crate::verifier::{VerifiedToken, Verifier, VerifyError};

pub use builder::{ReceiverBuilder, ReceiverError};
pub use head::{Head, PeerAddr};
use intake::Intake;
pub use parking::AdmitOptions;
use stage::Stage;

/// What must be left of the answer deadline when a token has been parked.
const PARK_MARGIN: Duration = Duration::from_millis(100);
/// How long a store may take to say how it is.
const HEALTH_LIMIT: Duration = Duration::from_secs(2);

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
    max_body_bytes: usize,
    answer_deadline: Duration,
    in_progress: Arc<Semaphore>,
    parking: Semaphore,
    max_in_progress: u32,
    keep_evidence: bool,
    refusals: RefusalLog,
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
        // From here on a pointer: each `async fn` on the way would hold the body twice.
        let body = pin!(body);
        let stage = Stage::default();
        let path = async {
            match self.inner.verified(arrived, &head, body, &stage).await {
                Ok(token) => self.inner.take_in(token)?.finish().await,
                Err(Refusal::Token(VerifyError::Mismatch(mismatch))) => {
                    telemetry::identify(mismatch.arrival());
                    // Within what is left: the answer says what does not fit, and not that it took long.
                    let left = self.inner.answer_deadline.saturating_sub(arrived.elapsed());
                    self.inner.park(&mismatch, left.saturating_sub(PARK_MARGIN)).await;
                    Err(VerifyError::Mismatch(mismatch).into())
                }
                Err(refusal) => Err(refusal),
            }
        };
        self.watched(arrived, pin!(path), &stage, Outcome::code).await.unwrap_or_else(Outcome::Refused)
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
            // hyper would send the body over HTTP/2, which breaks the protocol. Its length is that of the answer to GET,
            // which RFC 9110 (8.6) wants there.
            response.body_mut().clear();
        }
        response
    }

    /// Only verifies a delivery: for those who want to handle events themselves.
    ///
    /// Nothing is deduplicated, remembered or handed to a handler, and the answer is the caller's to give. It
    /// ends within the answer deadline, and is logged and counted as `verified` or as refused.
    pub async fn verify<B, D, E>(&self, head: Head<'_>, body: B) -> Result<VerifiedDelivery, Refusal>
    where
        B: Stream<Item = Result<D, E>>,
        D: Buf,
    {
        self.verify_and(head, body, Ok).await
    }

    /// [`verify`](Self::verify), and reads the event as `P`: one of another name is refused, to be sent again.
    pub async fn verify_as<P, B, D, E>(&self, head: Head<'_>, body: B) -> Result<Event<P>, Refusal>
    where
        P: EventPayload,
        B: Stream<Item = Result<D, E>>,
        D: Buf,
    {
        self.verify_and(head, body, |delivery| Ok(delivery.event.read()?)).await
    }

    async fn verify_and<T, B, D, E>(
        &self,
        head: Head<'_>,
        body: B,
        read: impl FnOnce(VerifiedDelivery) -> Result<T, Refusal>,
    ) -> Result<T, Refusal>
    where
        B: Stream<Item = Result<D, E>>,
        D: Buf,
    {
        let arrived = Instant::now();
        let body = pin!(body);
        let stage = Stage::default();
        let path = async {
            let token = self.inner.verified(arrived, &head, body, &stage).await?;
            telemetry::identify(token.arrival());
            match token.arrival().clone() {
                Arrival::Event(event) => read(VerifiedDelivery { token, event: *event }),
                Arrival::Unreadable(event) => Err(Refusal::Unreadable(*event)),
            }
        };
        self.watched(arrived, path, &stage, |_| telemetry::VERIFIED).await
    }

    /// Waits until no handler runs, for a graceful stop: a handler may outlive the answer to its delivery, and
    /// would be cut off half way when the process ends; so would what [`on_failure`](crate::EventRouter::on_failure) does.
    ///
    /// Call it after the server has stopped, within a time-out. While it waits, new events are answered 503.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn idle(&self) {
        // It fails only for a semaphore that was closed, which nobody does.
        let _all = self.inner.in_progress.acquire_many(self.inner.max_in_progress).await;
        self.inner.intake.told().await;
    }

    /// How this receiver is doing: whether its store takes events, what that has to do, and what keys there are.
    ///
    /// Durable stores write a little to find out, so ask every few seconds and not more often.
    ///
    /// It takes up to two seconds, when the store does not answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn health(&self) -> Health {
        let inner = &*self.inner;
        let keys = KeysHealth { usable: inner.keys.current().len(), age: inner.keys.age() };
        Health::new(inner.intake.health(HEALTH_LIMIT).await, keys)
    }

    /// Runs a path in the span of a delivery, up to the answer deadline, and notes how it ends. Give it a pinned
    /// one: this future would hold the whole twice.
    ///
    /// Where it stands when its time is over says who was waited for.
    async fn watched<T>(
        &self,
        arrived: Instant,
        path: impl Future<Output = Result<T, Refusal>>,
        stage: &Stage,
        code: impl Fn(&T) -> &'static str,
    ) -> Result<T, Refusal> {
        let watch = telemetry::Watch::new(arrived, &self.inner.refusals);
        let limit = self.inner.answer_deadline;
        let result = watch.span().instrument(within(Some(arrived), limit, path)).await;
        let result = result.unwrap_or_else(|_| Err(stage.too_late(limit)));
        watch.answered(result.as_ref().map(code));
        result
    }
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
