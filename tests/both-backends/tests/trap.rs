//! The trap is armed, and this SDK does not step into it.

#![allow(clippy::disallowed_methods, reason = "the point is that it cannot be used here")]

use std::panic::catch_unwind;

use idnow_webhooks_both_backends::{claims, header, kit_key, verify};
use idnow_webhooks_core::keys::Algorithm;
use idnow_webhooks_testkit::{Provider, SampleEvent};
use jsonwebtoken::{DecodingKey, EncodingKey, Validation, decode, encode};
use serde_json::Value;

#[test]
fn the_default_provider_of_jsonwebtoken_panics_in_this_build() {
    let signing =
        catch_unwind(|| encode(&header(Algorithm::Hs256), &claims(), &EncodingKey::from_secret(&[7; 32])));
    let panic = signing.expect_err("it chose a provider: this package proves nothing any more");
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(message.contains("CryptoProvider"), "{message}");

    let token = kit_key(Algorithm::Rs256).sign(&claims());
    let jwk = serde_json::from_value(kit_key(Algorithm::Rs256).jwk()).unwrap();
    let key = DecodingKey::from_jwk(&jwk).unwrap();
    let verifying =
        catch_unwind(|| decode::<Value>(token, &key, &Validation::new(jsonwebtoken::Algorithm::RS256)));
    assert!(verifying.is_err());
}

#[test]
fn every_algorithm_verifies_all_the_same() {
    for algorithm in Algorithm::ALL {
        let key = kit_key(algorithm);
        let verified = verify(&key.sign(&claims()), &key.key_set(), algorithm).unwrap();
        assert_eq!(verified.algorithm, algorithm);
        let event = verified.event().unwrap();
        assert_eq!(event.sequence, 2);
        assert_eq!(event.session().unwrap().session_id.to_string(), "fe1941c2-bc45-4142-b516-fa0fc9fd7754");

        let stranger = if algorithm.name().starts_with(['R', 'P']) {
            idnow_webhooks_testkit::SigningKey::shared_other().with_algorithm(algorithm)
        } else {
            idnow_webhooks_testkit::SigningKey::generate(algorithm)
        };
        let forged = stranger.with_key_id(idnow_webhooks_both_backends::KEY_ID).sign(&claims());
        // A token made with a shared secret names no key, so it may be of another one.
        let expected = if algorithm.is_hmac() { "unknown_key" } else { "false_signature" };
        assert_eq!(verify(&forged, &key.key_set(), algorithm).unwrap_err().code(), expected, "{algorithm}");
    }
}

/// Not only the verifier: the whole receiver, with the test kit's signer.
#[test]
fn a_delivery_goes_through() {
    let provider = Provider::new();
    let receiver = provider.receiver().build().unwrap();
    let event = SampleEvent::completed();
    let delivery = Box::pin(provider.deliver(&receiver, &event));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert_eq!(runtime.block_on(delivery).code(), "handled");
}
