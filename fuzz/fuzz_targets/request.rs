//! A whole request, from its header lines to the outcome, against a reading of the rules that is written down once
//! more here.
//!
//! The first byte is the method. Then come header lines, each with a letter for its name, up to an empty line, and the
//! body, whose pieces are separated by the byte 0x1e. The bytes 0xf0 to 0xf2 stand for the genuine tokens.

#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use chrono::DateTime;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use idnow_webhooks_core::event::RawEvent;
use idnow_webhooks_core::keys::{Algorithm, KeySet, StaticKeys};
use idnow_webhooks_core::{Admission, EventRouter, Head, Receiver, RequiredHeader, Verifier};
use idnow_webhooks_testkit::{FixedClock, Provider};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

const KEYS: &str = include_str!("../fixed/jwks.json");
const GENUINE: [&str; 3] = [
    include_str!("../fixed/rs256.jwt"),
    include_str!("../fixed/es256.jwt"),
    include_str!("../fixed/eddsa.jwt"),
];
const NOW: i64 = 1_767_861_339;
const SECRET: &str = "hush";
const LONGEST: usize = 1500;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"));

static RECEIVER: LazyLock<Receiver> = LazyLock::new(|| {
    let verifier = Verifier::builder()
        .issuer(Provider::ISSUER)
        .audience(Provider::AUDIENCE)
        .algorithms(Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_hmac()));
    let keys = StaticKeys::new(KeySet::from_jwks(KEYS.as_bytes()).expect("keys"));
    let admission =
        Admission::new().require(RequiredHeader::new("x-auth-token", [SECRET]).expect("a header"));
    Receiver::builder(verifier.build().expect("a verifier"), keys)
        .admission(admission)
        .clock(FixedClock::at(DateTime::from_timestamp(NOW, 0).expect("a time")))
        .max_body_bytes(LONGEST)
        .handlers(EventRouter::new().on_any(|_: RawEvent| async { Ok(()) }))
        .build()
        .expect("a receiver")
});

fn name(letter: u8) -> Option<HeaderName> {
    Some(match letter {
        b'a' => HeaderName::from_static("x-auth-token"),
        b'c' => http::header::CONTENT_TYPE,
        b'e' => http::header::CONTENT_ENCODING,
        b'l' => http::header::CONTENT_LENGTH,
        b's' => HeaderName::from_static("x-idnow-signature"),
        b'x' => http::header::AUTHORIZATION,
        _ => return None,
    })
}

/// With the genuine tokens where they are asked for.
fn filled(bytes: &[u8]) -> Vec<u8> {
    let mut filled = Vec::new();
    for byte in bytes {
        match byte.checked_sub(0xf0).and_then(|index| GENUINE.get(usize::from(index))) {
            Some(token) => filled.extend_from_slice(token.trim_end().as_bytes()),
            None => filled.push(*byte),
        }
    }
    filled
}

/// What is accepted, written down once more: `None` if nothing of this request may be.
fn token(method: &Method, headers: &HeaderMap, body: &[u8]) -> Option<Vec<u8>> {
    let all = |name: &str| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    if method != Method::POST || all("x-auth-token") != [SECRET.as_bytes()] {
        return None;
    }
    if all("content-encoding").iter().any(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
        return None;
    }
    if body.len() > LONGEST {
        return None;
    }
    let media_type = all("content-type").first().map(|value| {
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().to_ascii_lowercase()
    });
    let header = all("x-idnow-signature");
    match (media_type.as_deref(), header[..].split_first()) {
        (Some(b"application/jwt"), _) | (None, None) => Some(body.to_vec()),
        (Some(b"application/json") | None, Some((token, []))) => Some(token.to_vec()),
        _ => None,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, mut rest)) = bytes.split_first() else { return };
    let methods = [Method::POST, Method::GET, Method::HEAD, Method::PUT, Method::OPTIONS];
    let method = methods.get(usize::from(*first)).cloned().unwrap_or(Method::POST);
    let mut headers = HeaderMap::new();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        let Some((letter, value)) = line.split_first() else { break };
        // A server would have refused the request.
        let (Some(name), Ok(value)) = (name(*letter), HeaderValue::from_bytes(&filled(value))) else {
            return;
        };
        headers.append(name, value);
    }
    let pieces: Vec<Bytes> = rest.split(|byte| *byte == 0x1e).map(|piece| filled(piece).into()).collect();
    let body = pieces.concat();

    let head = Head { method: &method, headers: &headers, peer: None };
    let stream = futures_util::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
    let outcome = RUNTIME.block_on(RECEIVER.receive(head, stream));

    let genuine = token(&method, &headers, &body)
        .is_some_and(|token| GENUINE.iter().any(|genuine| genuine.trim_end().as_bytes() == token));
    // A length that is declared and too large is refused before the body is read.
    let declared = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let expected = genuine && declared.is_none_or(|length| length <= LONGEST as u64);
    assert_eq!(outcome.is_accepted(), expected, "{method} {headers:?}: {outcome:?}");
    let status = outcome.status().as_u16();
    assert!(if expected { status == 200 } else { (400..500).contains(&status) }, "{outcome:?}");
    let response = outcome.response();
    let answer = String::from_utf8(response.body().to_vec()).expect("text");
    let code = outcome.code();
    assert!(expected || answer.contains(code), "{answer}");
    assert!(answer.len() < 200, "nothing of the request comes back: {answer}");
});
