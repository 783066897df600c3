//! Attacks on the verification of tokens: the pitfalls of RFC 7515, RFC 7519 and RFC 8725, and more.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends with a panic, also in its helpers"
)]

mod algorithms;
mod claims;
mod confusion;
mod data;
mod errors;
mod form;
mod header;
mod json;
mod key_choice;
mod mutation;
mod published;
mod signatures;
mod times;

use chrono::{DateTime, Utc};
use idnow_webhooks_core::keys::{Algorithm, KeySet};
use idnow_webhooks_core::{
    ClaimsError, MismatchKind, TokenError, VerifiedToken, Verifier, VerifierBuilder, VerifyError,
};
use idnow_webhooks_testkit::{FixedClock, Provider, SampleEvent, SigningKey};
use serde_json::{Value, json};

/// The `iat` of the published example, and the time at which the tests happen.
const NOW: i64 = 1_767_861_339;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn provider() -> Provider {
    Provider::new().with_clock(FixedClock::at(at(NOW)))
}

fn policy() -> VerifierBuilder {
    Verifier::builder().issuer(Provider::ISSUER).audience(Provider::AUDIENCE)
}

/// A genuine token of the shared key.
fn genuine() -> String {
    provider().token(&SampleEvent::published())
}

/// The genuine claims.
fn claims() -> Value {
    provider().claims(&SampleEvent::published())
}

/// The genuine claims with some members replaced.
fn claims_with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn claims_without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name).unwrap();
    claims
}

/// The header of a genuine token of the shared key, with some members added or replaced.
fn header_with(changes: &Value) -> Value {
    let mut header = json!({ "alg": "RS256", "kid": SigningKey::shared().key_id(), "typ": "JWT" });
    for (name, value) in changes.as_object().unwrap() {
        header[name] = value.clone();
    }
    header
}

/// Signed by the shared key, whatever the texts are.
fn signed(header: &str, claims: &str) -> String {
    SigningKey::shared().sign_raw(header.as_bytes(), claims.as_bytes())
}

/// Genuine, but for these claims.
fn signed_claims(claims: &Value) -> String {
    SigningKey::shared().sign(claims)
}

fn verify(token: impl AsRef<[u8]>) -> Result<VerifiedToken, VerifyError> {
    let verifier = policy().build().unwrap();
    verifier.verify(token.as_ref(), &SigningKey::shared().key_set(), at(NOW))
}

/// The error of a token that must be refused, after checking that it can stand in a log.
#[track_caller]
fn refused(token: impl AsRef<[u8]>) -> VerifyError {
    refused_by(&policy().build().unwrap(), token, &SigningKey::shared().key_set(), at(NOW))
}

#[track_caller]
fn refused_by(
    verifier: &Verifier,
    token: impl AsRef<[u8]>,
    keys: &KeySet,
    now: DateTime<Utc>,
) -> VerifyError {
    let token = token.as_ref();
    let error = match verifier.verify(token, keys, now) {
        Err(error) => error,
        Ok(believed) => panic!("accepted: {believed:?} of {}", String::from_utf8_lossy(token)),
    };
    let text = error.to_string();
    assert!(!text.is_empty() && text.len() < 16 * 1024, "{} bytes", text.len());
    assert!(!text.chars().any(char::is_control), "control characters in {text:?}");
    for segment in String::from_utf8_lossy(token).split('.') {
        let telling = segment.len() >= 16;
        assert!(!(telling && text.contains(segment)), "{segment:?} of the token in {text:?}");
    }
    error
}

#[track_caller]
fn refused_form(token: impl AsRef<[u8]>) -> TokenError {
    match refused(token) {
        VerifyError::Malformed(error) => error,
        other => panic!("expected a malformed token, not {other:?}"),
    }
}

/// One RSA key for all of its algorithms, as making one is slow in a debug build.
fn key_for(algorithm: Algorithm) -> SigningKey {
    if algorithm.name().starts_with(['R', 'P']) {
        SigningKey::shared().with_algorithm(algorithm)
    } else {
        SigningKey::generate(algorithm)
    }
}

fn asymmetric() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_hmac())
}

/// Of a token whose signature holds, but whose claims cannot be used.
#[track_caller]
fn unusable(token: impl AsRef<[u8]>) -> ClaimsError {
    match refused(token) {
        VerifyError::Claims(error) => error,
        other => panic!("expected unusable claims, not {other:?}"),
    }
}

/// Of a token whose signature holds, but that does not fit the policy.
#[track_caller]
fn mismatch(error: VerifyError) -> MismatchKind {
    match error {
        VerifyError::Mismatch(mismatch) => mismatch.kind,
        other => panic!("expected a mismatch, not {other:?}"),
    }
}
