//! What is counted: each runs in a process of its own.

use std::collections::VecDeque;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use axum::Router;
use bytes::Bytes;
use http::{Request, StatusCode};
use idnow_webhooks_core::event::{Event, SessionCompleted};
use idnow_webhooks_core::keys::{Algorithm, KeySet, StaticKeys};
use idnow_webhooks_core::store::{EventStore, Insertion, MemoryStore, NewEvent};
use idnow_webhooks_core::{Clock, Receiver, ReceiverBuilder, SystemClock, Verifier};
use idnow_webhooks_sqlite::SqliteStore;
use idnow_webhooks_testkit::{Provider, SampleEvent};
use idnow_webhooks_tower::WebhookLayer;
use tokio::runtime::Runtime;
use tower::{Layer as _, Service as _};

use crate::fixture::{self, Handled, PATH, Signature};

/// Deliveries that count, after as many that do not: they make what is made only once, and fill the store.
pub const DELIVERIES: usize = 1000;

pub struct Subject {
    pub name: &'static str,
    /// The functions, as callgrind names them, that do not count. None of them may call another.
    pub excluded: Option<&'static str>,
    run: fn(&Tokens),
}

const RSA: Option<&str> = Some("aws_lc_*EVP_DigestVerify");
const HMAC: Option<&str> = Some("aws_lc_*sha256_block_data_order_*");

pub const SUBJECTS: [Subject; 8] = [
    Subject { name: "verify and read, RS256", excluded: RSA, run: |tokens| verify(&tokens.rs256) },
    Subject { name: "verify and read, HS256", excluded: HMAC, run: |tokens| verify(&tokens.hs256) },
    Subject { name: "inline by tower, RS256", excluded: RSA, run: |tokens| inline(&tokens.rs256) },
    Subject { name: "inline by tower, HS256", excluded: HMAC, run: |tokens| inline(&tokens.hs256) },
    Subject { name: "inline by tower, a duplicate", excluded: RSA, run: |tokens| duplicates(&tokens.rs256) },
    Subject { name: "inline by tower, a forgery", excluded: RSA, run: |tokens| forgeries(&tokens.rs256) },
    Subject { name: "MemoryStore, one insertion", excluded: None, run: |_| insert(|_| MemoryStore::new()) },
    Subject { name: "SqliteStore, one insertion", excluded: None, run: |_| insert(sqlite) },
];

/// Only what happens in here counts.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
    // Nothing that is called last is jumped to: it would not be inside any more.
    black_box(());
}

pub fn run(name: &str, tokens: &Path) {
    let subject = SUBJECTS.iter().find(|subject| subject.name == name).unwrap();
    let text = std::fs::read_to_string(tokens).unwrap();
    (subject.run)(&Tokens::read(&text));
}

struct Tokens {
    rs256: Signed,
    hs256: Signed,
}

/// Tokens with the keys to check them.
struct Signed {
    /// A JWKS; without one they are signed with the [`fixture`]'s secret.
    jwks: Option<String>,
    tokens: Vec<Bytes>,
}

/// Signs in advance, as making an RSA key under valgrind takes long.
pub fn sign(folder: &Path) -> PathBuf {
    let mut text = String::new();
    for signature in [Signature::Rs256, Signature::Hs256] {
        let provider = fixture::provider(signature);
        if signature == Signature::Rs256 {
            // The same length each time.
            text += &provider.key().jwks().to_string();
        }
        text.push('\n');
        for event in 0..2 * DELIVERIES as u128 {
            text += &provider
                .token(&SampleEvent::completed().with_event_id(id(event)).with_session_id(id(!event)));
            text.push(' ');
        }
        text.push('\n');
    }
    let file = folder.join("tokens");
    std::fs::write(&file, text).unwrap();
    file
}

/// Ids that look random, and are the same in every run.
fn id(number: u128) -> String {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    uuid::Builder::from_random_bytes(mixed.to_be_bytes()).into_uuid().to_string()
}

impl Tokens {
    fn read(text: &str) -> Self {
        let mut lines = text.lines();
        let mut signed = || {
            let jwks = lines.next().unwrap();
            let tokens =
                lines.next().unwrap().split_whitespace().map(|token| token.to_owned().into()).collect();
            Signed { jwks: (!jwks.is_empty()).then(|| jwks.to_owned()), tokens }
        };
        Self { rs256: signed(), hs256: signed() }
    }
}

impl Signed {
    fn keys(&self) -> KeySet {
        match &self.jwks {
            Some(jwks) => KeySet::from_jwks(jwks.as_bytes()).unwrap(),
            None => fixture::provider(Signature::Hs256).key().key_set(),
        }
    }

    fn verifier(&self) -> Verifier {
        let verifier = Verifier::builder().issuer(Provider::ISSUER).audience(Provider::AUDIENCE);
        let algorithm = if self.jwks.is_some() { Algorithm::Rs256 } else { Algorithm::Hs256 };
        verifier.algorithms([algorithm]).build().unwrap()
    }

    fn receiver(&self) -> ReceiverBuilder {
        Receiver::builder(self.verifier(), StaticKeys::new(self.keys()))
    }

    /// Those before, and those that count.
    fn halves(&self) -> [&[Bytes]; 2] {
        self.tokens.split_at(DELIVERIES).into()
    }
}

/// Token bytes to a typed, owned event.
fn verify(signed: &Signed) {
    let (verifier, keys) = (signed.verifier(), signed.keys());
    let verify = |tokens: &[Bytes]| {
        for token in tokens {
            let genuine = verifier.verify(token, &keys, SystemClock.now()).unwrap();
            let event: Event<SessionCompleted> = genuine.into_event().unwrap().read().unwrap();
            black_box(event);
        }
    };
    let [before, counted] = signed.halves();
    verify(before);
    measured(&mut || verify(counted));
}

/// A request in, an answer out: every event is new, and handled.
fn inline(signed: &Signed) {
    let handled = Handled::default();
    let mut server = Server::new(fixture::handled_by(signed.receiver(), &handled));
    let [before, counted] = signed.halves();
    server.answer(before, StatusCode::OK);
    server.count(counted, StatusCode::OK);
    assert_eq!(handled.count(), 2 * DELIVERIES as u64);
}

/// All that count were handled before.
fn duplicates(signed: &Signed) {
    let handled = Handled::default();
    let mut server = Server::new(fixture::handled_by(signed.receiver(), &handled));
    let [before, _] = signed.halves();
    server.answer(before, StatusCode::OK);
    server.count(before, StatusCode::OK);
    assert_eq!(handled.count(), DELIVERIES as u64);
}

/// All that count were changed after they had been signed, so that everything but the signature is right.
fn forgeries(signed: &Signed) {
    let handled = Handled::default();
    let mut server = Server::new(fixture::handled_by(signed.receiver(), &handled));
    let [before, counted] = signed.halves();
    let forged = |tokens: &[Bytes]| -> Vec<Bytes> {
        let swapped = tokens.iter().skip(1).chain(tokens.first());
        let forged = tokens.iter().zip(swapped).map(|(token, other)| {
            let (message, _) = std::str::from_utf8(token).unwrap().rsplit_once('.').unwrap();
            let (_, signature) = std::str::from_utf8(other).unwrap().rsplit_once('.').unwrap();
            format!("{message}.{signature}").into()
        });
        forged.collect()
    };
    server.answer(&forged(before), StatusCode::UNAUTHORIZED);
    server.count(&forged(counted), StatusCode::UNAUTHORIZED);
    assert_eq!(handled.count(), 0);
}

struct Server {
    runtime: Runtime,
    app: idnow_webhooks_tower::Webhook<Router>,
}

impl Server {
    fn new(receiver: Receiver) -> Self {
        Self { runtime: runtime(), app: WebhookLayer::new(receiver, PATH).layer(Router::new()) }
    }

    fn answer(&mut self, tokens: &[Bytes], expected: StatusCode) {
        Self::take(&self.runtime, &mut self.app, requests(tokens), expected);
    }

    /// Making the requests does not count; answering and dropping them does.
    fn count(&mut self, tokens: &[Bytes], expected: StatusCode) {
        let mut requests = requests(tokens);
        measured(&mut || Self::take(&self.runtime, &mut self.app, std::mem::take(&mut requests), expected));
    }

    fn take(
        runtime: &Runtime,
        app: &mut idnow_webhooks_tower::Webhook<Router>,
        requests: VecDeque<Request<axum::body::Body>>,
        expected: StatusCode,
    ) {
        runtime.block_on(async {
            for request in requests {
                let Ok(answer) = app.call(request).await;
                assert_eq!(answer.status(), expected);
            }
        });
    }
}

fn requests(tokens: &[Bytes]) -> VecDeque<Request<axum::body::Body>> {
    let requests = tokens.iter().map(|token| {
        let mut request = Request::post(PATH).body(axum::body::Body::from(token.clone())).unwrap();
        *request.headers_mut() = fixture::headers(token);
        request
    });
    requests.collect()
}

/// One event after the other, each of which waits until it is stored.
fn insert<S: EventStore>(open: impl FnOnce(&Runtime) -> S) {
    let runtime = runtime();
    let store = open(&runtime);
    let events = |numbers: std::ops::Range<u128>| -> Vec<NewEvent> {
        let events = numbers.map(|number| {
            let event = SampleEvent::completed().with_event_id(id(number)).with_session_id(id(!number));
            NewEvent::from_json(&event.data().to_string())
        });
        events.collect()
    };
    let put = |events: Vec<NewEvent>| {
        runtime.block_on(async {
            for event in events {
                assert_eq!(store.insert(event).await.unwrap(), Insertion::New);
            }
        });
    };
    let deliveries = DELIVERIES as u128;
    put(events(0..deliveries));
    let mut counted = events(deliveries..2 * deliveries);
    measured(&mut || put(std::mem::take(&mut counted)));
}

fn sqlite(runtime: &Runtime) -> SqliteStore {
    let folder = tempfile::tempdir().unwrap().keep();
    runtime.block_on(SqliteStore::open(folder.join("events.db"))).unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
