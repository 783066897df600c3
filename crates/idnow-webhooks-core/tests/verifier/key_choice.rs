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
    assert_eq!(refused_by(&verifier, stranger.sign(&claims()), &keys, at(NOW)).code(), "false_signature");
    let only_one = set(&[&one]);
    assert_eq!(refused_by(&verifier, two.sign(&claims()), &only_one, at(NOW)).code(), "false_signature");
}

#[test]
fn without_a_kid_each_key_of_the_algorithm_may_be_the_signer() {
    let (one, two) = (SigningKey::shared(), SigningKey::shared_other());
    let curve = SigningKey::generate(Algorithm::Es256);
    let verifier = policy().algorithms(asymmetric()).build().unwrap();
    let keys = set(&[&one, &curve, &two]);
    let null = |key: &SigningKey| {
        let header = json!({ "alg": key.algorithm().name(), "kid": null }).to_string();
        key.sign_raw(header.as_bytes(), claims().to_string().as_bytes())
    };
    for key in [&one, &two, &curve] {
        for token in [key.clone().without_key_id().sign(&claims()), null(key)] {
            let believed = verifier.verify(token.as_bytes(), &keys, at(NOW)).unwrap();
            assert_eq!(believed.key_id.as_deref(), key.key_id());
            verifier.verify(token.as_bytes(), &set(&[&key.clone().without_key_id()]), at(NOW)).unwrap();
        }
    }
}

/// Its key may be one that was published just now, so the verdict is not final.
#[test]
fn without_a_kid_and_without_its_key_the_key_is_unknown() {
    let (one, two) = (SigningKey::shared(), SigningKey::shared_other());
    let verifier = policy().build().unwrap();
    let token = one.clone().without_key_id().sign(&claims());
    for keys in [set(&[]), set(&[&two]), set(&[&two.clone().without_key_id()])] {
        let error = refused_by(&verifier, &token, &keys, at(NOW));
        let VerifyError::UnknownKey { key_id: None, algorithm, known } = error else { panic!("{error:?}") };
        assert_eq!(algorithm.to_string(), "\"RS256\"");
        assert_eq!(known.len(), keys.key_ids().len());
    }
}

/// Each key that is tried costs a verification, and the stranger chooses the token.
#[test]
fn without_a_kid_no_more_than_eight_keys_are_tried() {
    let verifier = policy().algorithms([Algorithm::Es256]).build().unwrap();
    let keys: Vec<_> =
        (0..9).map(|number| SigningKey::generate(Algorithm::Es256).with_key_id(number.to_string())).collect();
    let published = set(&keys.iter().collect::<Vec<_>>());
    for (number, key) in keys.iter().enumerate() {
        verifier.verify(key.sign(&claims()).as_bytes(), &published, at(NOW)).unwrap();
        let token = key.clone().without_key_id().sign(&claims());
        let result = verifier.verify(token.as_bytes(), &published, at(NOW));
        assert_eq!(result.is_ok(), number < 8, "{result:?}");
        if number == 8 {
            assert_eq!(refused_by(&verifier, &token, &published, at(NOW)).code(), "unknown_key");
        }
    }
}

/// Nor for an id: the signature is proven false only when all keys of the id were tried.
#[test]
fn no_more_than_eight_keys_of_one_id_are_tried() {
    let verifier = policy().algorithms([Algorithm::Es256]).build().unwrap();
    let keys: Vec<_> = (0..9).map(|_| SigningKey::generate(Algorithm::Es256).with_key_id("same")).collect();
    let (eight, nine) = (set(&keys[..8].iter().collect::<Vec<_>>()), set(&keys.iter().collect::<Vec<_>>()));
    let forged = SigningKey::generate(Algorithm::Es256).with_key_id("same").sign(&claims());
    assert_eq!(refused_by(&verifier, &forged, &eight, at(NOW)).code(), "false_signature");
    assert_eq!(refused_by(&verifier, &forged, &nine, at(NOW)).code(), "unknown_key");
    assert_eq!(refused_by(&verifier, keys[8].sign(&claims()), &nine, at(NOW)).code(), "unknown_key");
}

/// The issuer may sign with a key that cannot be used here, so its tokens are not proven to be forged.
#[test]
fn a_key_that_was_left_out_proves_nothing() {
    let verifier = policy().build().unwrap();
    let token = SigningKey::shared_other().with_key_id("same").sign(&claims());
    let weak = json!({ "kid": "same", "kty": "RSA", "n": "AQAB", "e": "AQAB" });
    let curve = json!({ "kid": "same", "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" });
    for left_out in [weak, curve] {
        for keys in [vec![left_out.clone()], vec![left_out, SigningKey::shared().with_key_id("same").jwk()]] {
            let keys = KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
            assert_eq!(refused_by(&verifier, &token, &keys, at(NOW)).code(), "unknown_key");
        }
    }
}

#[test]
fn a_key_without_an_id_is_not_meant_by_any_id() {
    let nameless = SigningKey::shared().without_key_id();
    let verifier = policy().build().unwrap();
    for key_id in ["", "x", "null"] {
        let token = nameless.clone().with_key_id(key_id).sign(&claims());
        assert_eq!(refused_by(&verifier, token, &set(&[&nameless]), at(NOW)).code(), "unknown_key");
    }
}

#[test]
fn an_empty_set_knows_nobody() {
    let verifier = policy().build().unwrap();
    for key in [SigningKey::shared(), SigningKey::shared().without_key_id()] {
        let error = refused_by(&verifier, key.sign(&claims()), &KeySet::default(), at(NOW));
        let VerifyError::UnknownKey { known, algorithm, .. } = error else { panic!("{error:?}") };
        assert!(known.is_empty());
        assert_eq!(algorithm.to_string(), "\"RS256\"");
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
        assert_eq!(error.code(), "unknown_key");
    }
    let many: Vec<_> =
        (0..100).map(|number| SigningKey::shared().with_key_id(format!("{number}").repeat(200))).collect();
    refused_by(&verifier, &token, &set(&many.iter().collect::<Vec<_>>()), at(NOW));
}
