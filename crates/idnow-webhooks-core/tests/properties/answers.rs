//! The rule that decides every answer, for any settings, clock, keys, media type and members.
//!
//! What the provider's key has signed is never refused for good; and nothing else is ever accepted.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use futures_util::{FutureExt, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use idnow_webhooks_core::keys::{Algorithm, KeySet, KeySource, KeysUnavailable};
use idnow_webhooks_core::store::MemoryStore;
use idnow_webhooks_core::{EventRouter, Head, Outcome, Receiver, Verifier};
use idnow_webhooks_testkit::{FixedClock, Provider, SampleEvent, SigningKey, compact};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::any_json;

const NOW: i64 = 1_767_861_339;

static CURVE: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(Algorithm::Es256).with_key_id("curve"));

/// What the provider signs with.
#[derive(Debug, Clone, Copy)]
enum Signer {
    Rsa,
    /// The key set does not say for which algorithm this one is.
    RsaUnbound,
    Pss,
    Curve,
}

impl Signer {
    fn key(self) -> SigningKey {
        match self {
            Self::Rsa => SigningKey::shared(),
            Self::RsaUnbound => SigningKey::shared().with_key_id("unbound").with_algorithm(Algorithm::Rs384),
            Self::Pss => SigningKey::shared().with_key_id("pss").with_algorithm(Algorithm::Ps256),
            Self::Curve => CURVE.clone(),
        }
    }

    fn jwk(self) -> Value {
        let mut jwk = self.key().jwk();
        if matches!(self, Self::RsaUnbound) {
            jwk.as_object_mut().unwrap().remove("alg");
        }
        jwk
    }
}

/// What a key set holds under the id of the signer.
#[derive(Debug, Clone, Copy)]
enum Entry {
    Right,
    Absent,
    /// A key of somebody else has the same id, too.
    Beside,
    /// The provider publishes the key, but it cannot be used here.
    Unusable,
    /// The material that this id stood for before.
    Replaced,
}

fn key_set(signer: Signer, entry: Entry, others: usize) -> Arc<KeySet> {
    let key = signer.key();
    let mut replaced = SigningKey::shared_other().jwk();
    replaced["kid"] = json!(key.key_id());
    let mut unusable = signer.jwk();
    unusable["use"] = json!("enc");
    let mut keys: Vec<_> = (0..others).map(|_| SigningKey::shared_other().jwk()).collect();
    match entry {
        Entry::Right => keys.push(signer.jwk()),
        Entry::Absent => {}
        Entry::Beside => keys.extend([replaced, signer.jwk()]),
        Entry::Unusable => keys.push(unusable),
        Entry::Replaced => keys.push(replaced),
    }
    Arc::new(KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes()).unwrap())
}

#[derive(Debug, Clone)]
struct Keys {
    current: Arc<KeySet>,
    refreshed: Option<Arc<KeySet>>,
    age: Option<Duration>,
}

#[async_trait]
impl KeySource for Keys {
    fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.current)
    }

    async fn refresh(&self, _: Instant) -> Result<Arc<KeySet>, KeysUnavailable> {
        self.refreshed.clone().ok_or_else(|| KeysUnavailable::new("down", Duration::from_secs(1)))
    }

    fn age(&self) -> Option<Duration> {
        self.age
    }
}

fn signers() -> impl Strategy<Value = Signer> {
    prop::sample::select(vec![Signer::Rsa, Signer::RsaUnbound, Signer::Pss, Signer::Curve])
}

/// Any state and lag of the key set, but for the one case that is accepted: other material under the id of the token, in
/// keys that were fetched within the last five minutes.
fn keys(signer: Signer) -> impl Strategy<Value = Keys> {
    let fresh = prop::sample::select(vec![Entry::Right, Entry::Absent, Entry::Beside, Entry::Unusable]);
    let known = (fresh.clone(), prop::option::of(0_u64..100_000), 0..3_usize)
        .prop_map(move |(entry, age, others)| (key_set(signer, entry, others), age.map(Duration::from_secs)));
    let replaced = (301_u64..100_000)
        .prop_map(move |age| (key_set(signer, Entry::Replaced, 0), Some(Duration::from_secs(age))));
    let refreshed = prop::option::of(fresh.prop_map(move |entry| key_set(signer, entry, 1)));
    (prop_oneof![known, replaced], refreshed).prop_map(|((current, age), refreshed)| Keys {
        current,
        refreshed,
        age,
    })
}

#[derive(Debug, Clone)]
struct Settings {
    issuer: bool,
    audience: bool,
    algorithms: Vec<Algorithm>,
    environment: Option<String>,
    flow: Option<String>,
    max_age: Option<u64>,
    clock: i64,
    queued: bool,
}

prop_compose! {
    fn settings()(
        issuer: bool,
        audience: bool,
        algorithms in prop::sample::subsequence(
            vec![Algorithm::Rs256, Algorithm::Rs384, Algorithm::Ps256, Algorithm::Es256], 1..4
        ),
        environment in prop::option::of(prop::sample::select(vec!["staging", "live"]).prop_map(str::to_owned)),
        flow in prop::option::of(
            prop::sample::select(vec!["bf8e2e27-2340-426f-a0bb-f1081e4a07ac", "x"]).prop_map(str::to_owned)
        ),
        max_age in prop::option::of(1_u64..10_000),
        clock in prop_oneof![-100_i64..100, -10_000_000_i64..10_000_000],
        queued: bool,
    ) -> Settings {
        Settings { issuer, audience, algorithms, environment, flow, max_age, clock, queued }
    }
}

impl Settings {
    fn receiver(&self, keys: Keys) -> Receiver {
        let mut verifier = Verifier::builder()
            .issuer(if self.issuer { Provider::ISSUER } else { "https://other.example" })
            .audience(if self.audience { Provider::AUDIENCE } else { "https://other.example/hook" })
            .algorithms(self.algorithms.iter().copied());
        if let Some(environment) = &self.environment {
            verifier = verifier.expected_environment(environment);
        }
        if let Some(flow) = &self.flow {
            verifier = verifier.expected_flow(flow);
        }
        if let Some(seconds) = self.max_age {
            verifier = verifier.max_age(Duration::from_secs(seconds));
        }
        let clock = FixedClock::at(DateTime::from_timestamp(NOW + self.clock, 0).unwrap());
        let builder = Receiver::builder(verifier.build().unwrap(), keys).clock(clock);
        if self.queued { builder.queued(MemoryStore::new()) } else { builder.handlers(EventRouter::new()) }
            .build()
            .unwrap()
    }
}

/// How a token travels.
#[derive(Debug, Clone)]
struct Transport {
    content_type: Option<Vec<u8>>,
    wrapping: usize,
    /// In the token's header, with this loose body beside it.
    loose_body: Option<Value>,
}

prop_compose! {
    fn transport()(
        content_type in prop::option::of(prop_oneof![
            prop::sample::select(vec!["application/jwt", "application/json", "text/plain", "application/x-www-form-urlencoded"])
                .prop_map(|kind| kind.as_bytes().to_vec()),
            prop::collection::vec(0x20_u8..0x7f, 0..40),
            prop::collection::vec(0x80_u8..=0xff, 1..10),
        ]),
        wrapping in 0..5_usize,
        loose_body in prop::option::of(any_json()),
    ) -> Transport {
        Transport { content_type, wrapping, loose_body }
    }
}

fn deliver(receiver: &Receiver, token: &str, transport: &Transport) -> Outcome {
    let mut headers = HeaderMap::new();
    if let Some(kind) = &transport.content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_bytes(kind).unwrap());
    }
    let body = match (&transport.loose_body, transport.wrapping) {
        (Some(loose), _) => {
            headers.insert("x-idnow-signature", HeaderValue::from_str(token).unwrap());
            loose.to_string()
        }
        (None, 0) => token.to_owned(),
        (None, 1) => format!("{token}\n"),
        (None, 2) => format!("\r\n {token}\t"),
        (None, 3) => format!("\"{token}\""),
        (None, _) => format!(" \"{token}\\r\\n\" "),
    };
    let head = Head { method: &Method::POST, headers: &headers, peer: None };
    let body = stream::iter([Ok::<_, std::io::Error>(Bytes::from(body))]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { receiver.receive(head, body).now_or_never().unwrap() })
}

/// A change of the claims: of one that matters, or of any other.
fn claims() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        prop::sample::select(vec!["iss", "aud", "iat", "exp", "nbf", "sub", "data"]).prop_map(str::to_owned),
        "[a-zA-Z]{0,8}",
    ];
    let change = (name, prop::option::of(any_json()));
    prop::collection::vec(change, 0..3).prop_map(|changes| {
        let clock = FixedClock::at(DateTime::from_timestamp(NOW, 0).unwrap());
        let mut claims = Provider::new().with_clock(clock).claims(&SampleEvent::published());
        let object = claims.as_object_mut().unwrap();
        for (name, value) in changes {
            match value {
                Some(value) => drop(object.insert(name, value)),
                None => drop(object.remove(&name)),
            }
        }
        claims
    })
}

fn header(signer: Signer, named: bool, more: &[(String, Value)]) -> String {
    let key = signer.key();
    let mut header = json!({ "alg": key.algorithm().name() });
    if named {
        header["kid"] = json!(key.key_id());
    }
    for (name, value) in more {
        if !["alg", "kid"].contains(&name.as_str()) {
            header[name] = value.clone();
        }
    }
    header.to_string()
}

fn header_members() -> impl Strategy<Value = Vec<(String, Value)>> {
    let name = prop_oneof![
        prop::sample::select(vec!["typ", "cty", "crit", "b64", "jwk", "jku", "x5c"]).prop_map(str::to_owned),
        "[a-zA-Z]{0,8}",
    ];
    prop::collection::vec((name, any_json()), 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_the_providers_key_has_signed_is_never_refused_for_good(
        (signer, keys) in signers().prop_flat_map(|signer| (Just(signer), keys(signer))),
        settings in settings(),
        transport in transport(),
        named: bool,
        more in header_members(),
        claims in claims(),
    ) {
        let header = header(signer, named, &more);
        let token = signer.key().sign_raw(header.as_bytes(), claims.to_string().as_bytes());
        let outcome = deliver(&settings.receiver(keys), &token, &transport);
        let status = outcome.status().as_u16();
        prop_assert!(status == 200 || status == 503, "{:?} for {} {}", outcome, header, claims);
    }

    #[test]
    fn without_such_a_signature_nothing_is_accepted(
        (signer, keys) in signers().prop_flat_map(|signer| (Just(signer), keys(signer))),
        mut settings in settings(),
        transport in transport(),
        forgery in 0..6_usize,
        edit: prop::sample::Index,
        bit in 0..8_u32,
    ) {
        // All else is right.
        settings = Settings { issuer: true, audience: true, environment: None, flow: None, max_age: None, clock: 0, ..settings };
        let clock = FixedClock::at(DateTime::from_timestamp(NOW, 0).unwrap());
        let claims = Provider::new().with_clock(clock).claims(&SampleEvent::published()).to_string();
        let genuine = header(signer, true, &[]);
        let token = signer.key().sign_raw(genuine.as_bytes(), claims.as_bytes());
        let attacker = SigningKey::shared_other();
        let forged = match forgery {
            0 => attacker.with_key_id("unknown").sign_raw(genuine.as_bytes(), claims.as_bytes()),
            1 => attacker.sign_raw(br#"{"alg":"RS256"}"#, claims.as_bytes()),
            2 => compact(json!({ "alg": "none", "kid": signer.key().key_id() }).to_string(), &claims, ""),
            3 => {
                let header = json!({ "alg": "HS256", "kid": signer.key().key_id() }).to_string();
                SigningKey::from_secret(Algorithm::Hs256, signer.key().public_key_pem().into_bytes())
                    .sign_raw(header.as_bytes(), claims.as_bytes())
            }
            4 => {
                let header = json!({ "alg": "RS256", "jwk": attacker.jwk() }).to_string();
                attacker.sign_raw(header.as_bytes(), claims.as_bytes())
            }
            _ => {
                let mut bytes = token.clone().into_bytes();
                let place = edit.index(bytes.len());
                bytes[place] ^= 1 << bit;
                match String::from_utf8(bytes) {
                    Ok(text) if !text.contains(['"', '\n', '\r', '\\']) && !text.contains(char::is_control) => text,
                    _ => format!("{token}A"),
                }
            }
        };
        // A set in which somebody else's key has the id of the provider's believes that somebody.
        let others_key = forgery < 5 && matches!(forgery, 0 | 1 | 4);
        let keys = if others_key { Keys { current: key_set(signer, Entry::Right, 0), ..keys } } else { keys };
        let keys = Keys { refreshed: None, ..keys };
        prop_assume!(forged.trim() != token);
        let outcome = deliver(&settings.receiver(keys), &forged, &transport);
        prop_assert!(!outcome.is_accepted(), "{:?} for {}", outcome, forged);
    }
}
