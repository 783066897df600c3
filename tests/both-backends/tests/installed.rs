//! Where somebody did install a default provider, tokens go through `encode` and `decode` in both directions.

#![allow(
    clippy::disallowed_methods,
    reason = "`decode` is the oracle here, with a provider that was installed"
)]

use idnow_webhooks_both_backends::{claims, header, kit_key, their_key, theirs, verify};
use idnow_webhooks_core::keys::Algorithm;
use idnow_webhooks_testkit::Provider;
use jsonwebtoken::crypto::rust_crypto;
use jsonwebtoken::{DecodingKey, Validation, decode, encode};
use serde_json::Value;

/// RustCrypto: the implementation that shares nothing with ours.
fn install() {
    // The other test of this process may have been first.
    let _ = rust_crypto::DEFAULT_PROVIDER.install_default();
}

fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(theirs(algorithm));
    validation.set_issuer(&[Provider::ISSUER]);
    validation.set_audience(&[Provider::AUDIENCE]);
    validation.set_required_spec_claims(&["iss", "aud", "exp"]);
    // The time of the example is not the time of the test.
    validation.validate_exp = false;
    validation
}

#[test]
fn tokens_that_it_encodes_verify_here() {
    install();
    for algorithm in Algorithm::ALL {
        let (key, keys) = their_key(algorithm);
        let token = encode(&header(algorithm), &claims(), &key).unwrap();
        let verified = verify(&token, &keys, algorithm).unwrap();
        assert_eq!(verified.subject.as_deref(), claims()["sub"].as_str());
        let read: Value = serde_json::from_str(verified.json()).unwrap();
        assert_eq!(read, claims()["data"]);
    }
}

#[test]
fn tokens_that_are_signed_here_it_decodes() {
    install();
    for algorithm in Algorithm::ALL {
        let key = kit_key(algorithm);
        let jwk = serde_json::from_value(key.jwk()).unwrap();
        let decoding = DecodingKey::from_jwk(&jwk).unwrap();
        let token = key.sign(&claims());
        let decoded = decode::<Value>(&token, &decoding, &validation(algorithm)).unwrap();
        assert_eq!(decoded.claims, claims());
        assert_eq!(decoded.header.kid.as_deref(), key.key_id());
        let verified = verify(&token, &key.key_set(), algorithm).unwrap();
        assert_eq!(verified.issuer, decoded.claims["iss"]);
    }
}
