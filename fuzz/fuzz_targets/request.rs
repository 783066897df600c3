//! A whole request, from its header lines to the outcome, against a reading of the rules that is written down once
//! more here.
//!
//! The first byte is the method, from 0x80 on with a clock by which the genuine tokens are of the future. Then come header
//! lines, each with a letter for its name, up to an empty line, and the body, whose pieces are separated by the byte
//! 0x1e. The bytes 0xf0 to 0xf2 stand for the genuine tokens.

#![no_main]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use chrono::DateTime;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use idnow_webhooks_core::event::RawEvent;
use idnow_webhooks_core::keys::StaticKeys;
use idnow_webhooks_core::{Admission, EventRouter, Head, Receiver, RequiredHeader};
use idnow_webhooks_fuzz::{SIGNED_AT, asymmetric, genuine, is_genuine, keys, verifier};
use idnow_webhooks_testkit::FixedClock;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::runtime::Runtime;

/// From this first byte on the clock is an hour behind.
const BEHIND: u8 = 0x80;
const SECRET: &str = "hush";
const LONGEST: usize = 1500;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"));

static IN_TIME: LazyLock<Receiver> = LazyLock::new(|| receiver(SIGNED_AT));
static TOO_EARLY: LazyLock<Receiver> = LazyLock::new(|| receiver(SIGNED_AT - 3600));

fn receiver(now: i64) -> Receiver {
    let verifier = verifier(asymmetric()).build().expect("a verifier");
    let admission =
        Admission::new().require(RequiredHeader::new("x-auth-token", [SECRET]).expect("a header"));
    Receiver::builder(verifier, StaticKeys::new(keys()))
        .admission(admission)
        .clock(FixedClock::at(DateTime::from_timestamp(now, 0).expect("a time")))
        .max_body_bytes(LONGEST)
        .handlers(EventRouter::new().on_any(|_: RawEvent| async { Ok(()) }))
        .build()
        .expect("a receiver")
}

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
        match byte.checked_sub(0xf0).and_then(|index| genuine().get(usize::from(index)).copied()) {
            Some(token) => filled.extend_from_slice(token.as_bytes()),
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
    let is_identity = |coding: &[u8]| {
        let coding = coding.trim_ascii();
        coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")
    };
    if !all("content-encoding").iter().all(|value| value.split(|byte| *byte == b',').all(is_identity)) {
        return None;
    }
    if body.len() > LONGEST {
        return None;
    }
    let in_body = unwrapped(body);
    match all("x-idnow-signature")[..] {
        [] => Some(in_body),
        _ if header_text(&in_body).is_some_and(|text| is_header(&text)) => Some(in_body),
        [header] if header.len() <= LONGEST => Some(unwrapped(header)),
        _ => None,
    }
}

/// Without a byte order mark, white space and the quotation marks of a JSON string around it.
fn unwrapped(text: &[u8]) -> Vec<u8> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii();
    if text.first() == Some(&b'"')
        && let Ok(inner) = serde_json::from_slice::<String>(text)
    {
        return inner.trim_ascii().as_bytes().to_vec();
    }
    text.to_vec()
}

/// The text of the first of three segments. What the others hold decides nothing.
fn header_text(token: &[u8]) -> Option<String> {
    let segments: Vec<_> = token.split(|byte| *byte == b'.').collect();
    let [header, _, _] = segments[..] else { return None };
    String::from_utf8(URL_SAFE_NO_PAD.decode(header).ok()?).ok()
}

/// Whether this text is the header of a signed token.
fn is_header(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "alg")]
        _algorithm: String,
        #[serde(rename = "kid", default)]
        _key_id: IgnoredAny,
    }
    // Derived code would read an array as well.
    text.trim_start().starts_with('{') && serde_json::from_str::<Header>(text).is_ok()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, mut rest)) = bytes.split_first() else { return };
    let methods = [Method::POST, Method::GET, Method::HEAD, Method::PUT, Method::OPTIONS];
    let (behind, first) = (*first >= BEHIND, *first % BEHIND);
    let method = methods.get(usize::from(first)).cloned().unwrap_or(Method::POST);
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
    let receiver = if behind { &TOO_EARLY } else { &IN_TIME };
    let outcome = RUNTIME.block_on(receiver.receive(head, stream));

    // Derived code refuses half of a surrogate pair also in the name of a member that nobody reads, which decides nothing.
    if header_text(&unwrapped(&body)).is_some_and(|text| text.to_ascii_lowercase().contains("\\ud")) {
        return;
    }
    let genuine = token(&method, &headers, &body).is_some_and(|token| is_genuine(&token));
    // A length that is declared and too large is refused before the body is read.
    let declared = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let genuine = genuine && declared.is_none_or(|length| length <= LONGEST as u64);
    let accepted = genuine && !behind;
    assert_eq!(outcome.is_accepted(), accepted, "{method} {headers:?}: {outcome:?}");
    let (status, code) = (outcome.status().as_u16(), outcome.code());
    let right = match (genuine, behind) {
        (true, false) => status == 200,
        (true, true) => (status, code) == (503, "not_yet_valid"),
        // Whatever anybody writes into a token: without a signature that holds, it says nothing of a setting or a clock.
        (false, _) => (400..500).contains(&status) || (status, code) == (503, "unknown_key"),
    };
    assert!(right, "{method} {headers:?}: {outcome:?}");
    let response = outcome.response();
    let answer = String::from_utf8(response.body().to_vec()).expect("text");
    assert!(accepted || answer.contains(code), "{answer}");
    assert!(answer.len() < 200, "nothing of the request comes back: {answer}");
});
