//! What the tests beside it share: keys that both this SDK and `jsonwebtoken` can use.
//!
//! Run them with `cargo test --manifest-path tests/both-backends/Cargo.toml`.

#![allow(clippy::missing_panics_doc, reason = "a test ends with a panic, also in its helpers")]

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use idnow_webhooks_core::keys::{Algorithm, KeySet};
use idnow_webhooks_core::{VerifiedToken, Verifier, VerifyError};
use idnow_webhooks_testkit::{FixedClock, Provider, SampleEvent, SigningKey};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

/// The time at which everything happens.
pub const NOW: i64 = 1_767_861_339;
/// The `kid` of every key here.
pub const KEY_ID: &str = "oracle";

/// When everything happens.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(NOW, 0).unwrap()
}

/// Genuine claims.
pub fn claims() -> Value {
    Provider::new().with_clock(FixedClock::at(now())).claims(&SampleEvent::published())
}

/// What this SDK makes of a token when only `algorithm` is allowed.
pub fn verify(token: &str, keys: &KeySet, algorithm: Algorithm) -> Result<VerifiedToken, VerifyError> {
    Verifier::builder()
        .issuer(Provider::ISSUER)
        .audience(Provider::AUDIENCE)
        .algorithms([algorithm])
        .build()
        .unwrap()
        .verify(token.as_bytes(), keys, now())
}

/// One key of the test kit for each algorithm; all RSA ones share their material.
pub fn kit_key(algorithm: Algorithm) -> SigningKey {
    let key = if algorithm.name().starts_with(['R', 'P']) {
        SigningKey::shared().with_algorithm(algorithm)
    } else {
        SigningKey::generate(algorithm)
    };
    key.with_key_id(KEY_ID)
}

/// The other implementation's name of an algorithm.
pub fn theirs(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    algorithm.name().parse().unwrap()
}

/// The other implementation's header for our key.
pub fn header(algorithm: Algorithm) -> Header {
    let mut header = Header::new(theirs(algorithm));
    header.kid = Some(KEY_ID.to_owned());
    header
}

fn pem(der: &[u8]) -> Vec<u8> {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der)).into_bytes()
}

/// A private key for the other implementation, and what this SDK verifies it with.
pub fn their_key(algorithm: Algorithm) -> (EncodingKey, KeySet) {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (key, mut jwk) = match algorithm {
        Algorithm::Es256 | Algorithm::Es384 => {
            let (signing, curve) = if algorithm == Algorithm::Es256 {
                (&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256")
            } else {
                (&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384")
            };
            let pair = EcdsaKeyPair::generate(signing).unwrap();
            let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
            let jwk = json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) });
            (EncodingKey::from_ec_pem(&pem(pair.to_pkcs8v1().unwrap().as_ref())).unwrap(), jwk)
        }
        Algorithm::EdDsa => {
            let pair = Ed25519KeyPair::generate().unwrap();
            let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) });
            (EncodingKey::from_ed_pem(&pem(pair.to_pkcs8v1().unwrap().as_ref())).unwrap(), jwk)
        }
        _ if algorithm.is_hmac() => {
            let secret = b"a shared secret of more than 64 bytes, which is what HS512 would like to have";
            let keys = KeySet::from_secrets([&String::from_utf8(secret.to_vec()).unwrap().into()]).unwrap();
            return (EncodingKey::from_secret(secret), keys);
        }
        _ => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
            let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
            let public = pair.public_key();
            let jwk = json!({
                "kty": "RSA",
                "n": encode(public.modulus().big_endian_without_leading_zero()),
                "e": encode(public.exponent().big_endian_without_leading_zero()),
            });
            (EncodingKey::from_rsa_pem(&pem(der.as_ref())).unwrap(), jwk)
        }
    };
    jwk["kid"] = KEY_ID.into();
    (key, KeySet::from_jwks(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap())
}
