//! Tokens, signed beforehand, and the requests that carry them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use idnow_webhooks_core::event::{Event, SessionCompleted};
use idnow_webhooks_core::keys::Algorithm;
use idnow_webhooks_core::store::MemoryStore;
use idnow_webhooks_core::{EventRouter, Receiver, ReceiverBuilder};
use idnow_webhooks_testkit::{Provider, SampleEvent, SigningKey};

pub const PATH: &str = "/webhooks/idnow";

/// RSA, as the provider signs; or HMAC, so cheap that what is around it stands out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    Rs256,
    Hs256,
}

pub fn provider(signature: Signature) -> Provider {
    match signature {
        Signature::Rs256 => Provider::new(),
        Signature::Hs256 => Provider::new().with_key(SigningKey::from_secret(Algorithm::Hs256, [7; 32])),
    }
}

/// Tokens of distinct events, handed out for ever in the same order.
///
/// The receivers' stores are half as large as a pool, so an event is long forgotten when it comes again: it is
/// handled, not recognised as a duplicate, and the store does the work of a full one.
#[derive(Clone)]
pub struct Pool {
    tokens: Vec<Bytes>,
    next: usize,
}

pub const POOL: usize = 2000;

impl Pool {
    pub fn sign(provider: &Provider, tokens: usize) -> Self {
        Self {
            tokens: (0..tokens).map(|_| provider.token(&SampleEvent::completed()).into()).collect(),
            next: 0,
        }
    }

    pub fn token(&mut self) -> Bytes {
        let token = self.tokens.get(self.next % self.tokens.len()).unwrap().clone();
        self.next += 1;
        token
    }
}

/// The header lines of a delivery, beside `Content-Length`.
pub const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::HOST, HeaderValue::from_static("bank.example")),
    (header::USER_AGENT, HeaderValue::from_static("Java-http-client/21.0.2")),
    (header::CONTENT_TYPE, HeaderValue::from_static("application/jwt")),
    (header::ACCEPT, HeaderValue::from_static("*/*")),
    (HeaderName::from_static("x-auth-token"), HeaderValue::from_static("3f1b9c0e7d5a4e2f8a6b")),
    (
        HeaderName::from_static("traceparent"),
        HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ),
];

pub fn headers(token: &Bytes) -> HeaderMap {
    let length = [(header::CONTENT_LENGTH, HeaderValue::from(token.len()))];
    HEADERS.into_iter().chain(length).collect()
}

/// How many events reached a handler: both sides must have handled all of them.
#[derive(Clone, Default)]
pub struct Handled(Arc<AtomicU64>);

impl Handled {
    pub fn one_more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Our side: what a user would write.
pub fn receiver(provider: &Provider, handled: &Handled) -> Receiver {
    handled_by(provider.receiver(), handled)
}

pub fn handled_by(receiver: ReceiverBuilder, handled: &Handled) -> Receiver {
    let handled = handled.clone();
    let handlers = EventRouter::new().on(move |event: Event<SessionCompleted>| {
        let handled = handled.clone();
        async move {
            std::hint::black_box(&event.payload.session_id);
            handled.one_more();
            Ok(())
        }
    });
    let store = MemoryStore::with_capacity(POOL / 2);
    receiver.handlers(handlers).store(store).build().unwrap()
}
