//! Which key a token is checked with, and what the error says when there is none.

use idnow_webhooks_core::VerifyError;
use idnow_webhooks_core::keys::{Algorithm, KeySet};
use idnow_webhooks_testkit::SigningKey;
use serde_json::json;

use crate::{NOW, asymmetric, at, claims, policy, refused_by};

fn set(keys: &[&SigningKey]) -> KeySet {
    let jwks: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    KeySet::from_jwks(json!({ "keys": jwks }).to_string().as_bytes()).unwrap()
}

#[test]
fn either_of_two_keys_under_one_id_may_be_the_signer() {
    let one = SigningKey::shared().with_key_id("same");
    let two = SigningKey::shared_other().with_key_id("same");
    let curve = SigningKey::generate(Algorithm::Es256).with_key_id("same");
    let stranger = SigningKey::generate(Algorithm::Es256).with_key_id("same");
    let verifier = policy().algorithms(asymmetric()).build().unwrap();
    let keys = set(&[&one, &two, &curve]);
    for key in [&one, &two, &curve] {
        let believed = verifier.verify(key.sign(&claims()).as_bytes(), &keys, at(NOW)).unwrap();
        assert_eq!(believed.key_id.as_deref(), Some("same"));
        assert_eq!(believed.algorithm, key.algorithm());
    }
    assert_eq!(refused_by(&verifier, stranger.sign(&claims()), &keys, at(NOW)).check(), "signature");
    let only_one = set(&[&one]);
    assert_eq!(refused_by(&verifier, two.sign(&claims()), &only_one, at(NOW)).check(), "signature");
}

#[test]
fn without_a_kid_the_key_must_be_the_only_one_that_fits() {
    let (one, two) = (SigningKey::shared(), SigningKey::shared_other());
    let verifier = policy().build().unwrap();
    let nameless = one.clone().without_key_id();
    let token = nameless.sign(&claims());
    let believed = verifier.verify(token.as_bytes(), &set(&[&one]), at(NOW)).unwrap();
    assert_eq!(believed.key_id.as_deref(), one.key_id());
    verifier.verify(token.as_bytes(), &set(&[&nameless]), at(NOW)).unwrap();
    assert_eq!(refused_by(&verifier, &token, &set(&[&two]), at(NOW)).check(), "signature");
    assert_eq!(refused_by(&verifier, &token, &set(&[&one, &two]), at(NOW)), VerifyError::NoKeyId);
    let null = one.sign_raw(br#"{"alg":"RS256","kid":null}"#, claims().to_string().as_bytes());
    assert_eq!(refused_by(&verifier, &null, &set(&[&one, &two]), at(NOW)), VerifyError::NoKeyId);
    verifier.verify(null.as_bytes(), &set(&[&one]), at(NOW)).unwrap();
}

#[test]
fn a_key_without_an_id_is_not_meant_by_any_id() {
    let nameless = SigningKey::shared().without_key_id();
    let verifier = policy().build().unwrap();
    for key_id in ["", "x", "null"] {
        let token = nameless.clone().with_key_id(key_id).sign(&claims());
        assert_eq!(refused_by(&verifier, token, &set(&[&nameless]), at(NOW)).check(), "key");
    }
}

#[test]
fn an_empty_set_knows_nobody() {
    let verifier = policy().build().unwrap();
    for key in [SigningKey::shared(), SigningKey::shared().without_key_id()] {
        let error = refused_by(&verifier, key.sign(&claims()), &KeySet::default(), at(NOW));
        let VerifyError::UnknownKey { known, algorithm, .. } = error else { panic!("{error:?}") };
        assert!(known.is_empty());
        assert_eq!(algorithm, Algorithm::Rs256);
    }
}

/// The key server's texts are not the stranger's, but they end in the same log.
#[test]
fn ids_of_the_key_server_cannot_break_the_log_either() {
    let verifier = policy().build().unwrap();
    let token = SigningKey::shared_other().sign(&claims());
    for id in ["a\nforged line", "\u{1b}[2J", "\r", "\0", "\u{202e}", &"k".repeat(100_000)] {
        let keys = set(&[&SigningKey::shared().with_key_id(id)]);
        let error = refused_by(&verifier, &token, &keys, at(NOW));
        assert_eq!(error.check(), "key");
    }
    let many: Vec<_> =
        (0..100).map(|number| SigningKey::shared().with_key_id(format!("{number}").repeat(200))).collect();
    refused_by(&verifier, &token, &set(&many.iter().collect::<Vec<_>>()), at(NOW));
}
