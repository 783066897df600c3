//! Tokens, twice: the bytes as a token that a stranger sends, and (where they hold a line feed) as a header and
//! claims that are signed honestly, so that what comes after the signature is reached too.

#![no_main]

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use idnow_webhooks_core::keys::{Algorithm, KeySet};
use idnow_webhooks_core::{Verifier, VerifyError};
use idnow_webhooks_fuzz::{SIGNED_AT, asymmetric, is_genuine, keys, verifier};
use idnow_webhooks_testkit::{Provider, SigningKey};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

struct Fixed {
    now: DateTime<Utc>,
    public: (Verifier, KeySet),
    shared: (Verifier, KeySet),
    secret: SigningKey,
}

static FIXED: LazyLock<Fixed> = LazyLock::new(|| {
    let secret = SigningKey::from_secret(Algorithm::Hs256, [7; 32]);
    Fixed {
        now: DateTime::from_timestamp(SIGNED_AT, 0).expect("a time"),
        public: (verifier(asymmetric()).build().expect("a verifier"), keys()),
        shared: (verifier([Algorithm::Hs256]).build().expect("a verifier"), secret.key_set()),
        secret,
    }
});

fuzz_target!(|bytes: &[u8]| {
    let Fixed { now, public, shared, secret } = &*FIXED;
    let genuine = is_genuine(bytes);
    match public.0.verify(bytes, &public.1, *now) {
        Ok(token) => assert!(genuine, "a forgery was believed: {token:?}"),
        Err(error) => {
            assert!(!genuine, "a genuine token was refused: {error}");
            check_line(&error);
        }
    }
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let (header, claims) = (&bytes[..end], &bytes[end + 1..]);
    let token = secret.sign_raw(header, claims);
    match shared.0.verify(token.as_bytes(), &shared.1, *now) {
        Err(error) => check_line(&error),
        Ok(verified) => {
            match verified.event() {
                Ok(event) => assert_eq!(event.json(), verified.json()),
                Err(unreadable) => assert!(!unreadable.to_string().chars().any(char::is_control)),
            }
            // What nobody reads may be more than another reader takes: a number, a depth, an escape.
            let read = (serde_json::from_slice(header), serde_json::from_slice(claims));
            let (Ok(header), Ok(claims)): (Result<Value, _>, Result<Value, _>) = read else { return };
            assert_eq!(header["alg"], "HS256");
            assert!(header.get("crit").is_none() && header.get("b64").is_none());
            assert_eq!(claims["iss"], Provider::ISSUER);
            let audience = claims["aud"].as_str() == Some(Provider::AUDIENCE);
            let among = claims["aud"]
                .as_array()
                .is_some_and(|names| names.iter().any(|name| name == Provider::AUDIENCE));
            assert!(audience || among);
            assert!(claims["exp"].is_number() && claims["iat"].is_number());
            let (issued_at, expires_at) = (verified.issued_at.timestamp(), verified.expires_at.timestamp());
            assert!(issued_at <= SIGNED_AT + 60 && expires_at > SIGNED_AT - 60);
            let data: Value = serde_json::from_str(verified.json()).expect("believed data is JSON");
            assert_eq!(data.to_string(), claims["data"].to_string());
        }
    }
});

fn check_line(error: &VerifyError) {
    let text = error.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.len() < 16 * 1024, "{} bytes", text.len());
}
