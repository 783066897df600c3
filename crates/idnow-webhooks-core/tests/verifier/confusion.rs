//! Public keys used as shared secrets, and shared secrets beside public keys.

use idnow_webhooks_core::Secret;
use idnow_webhooks_core::keys::{Algorithm, KeySet};
use idnow_webhooks_testkit::SigningKey;
use serde_json::json;

use crate::{NOW, asymmetric, at, claims, policy, refused_by};

const HMAC: [Algorithm; 3] = [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];

/// Everything that a forger could take for the secret.
fn public_texts(key: &SigningKey) -> Vec<Vec<u8>> {
    let jwk = key.jwk();
    let pem = key.public_key_pem();
    let member = |name: &str| jwk[name].as_str().unwrap_or_default().as_bytes().to_vec();
    vec![
        pem.trim_end().as_bytes().to_vec(),
        pem.replace('\n', "\r\n").into_bytes(),
        pem.lines().filter(|line| !line.starts_with('-')).collect::<String>().into_bytes(),
        pem.into_bytes(),
        key.public_key_der(),
        jwk.to_string().into_bytes(),
        key.jwks().to_string().into_bytes(),
        member("n"),
        member("x"),
        key.key_id().unwrap().as_bytes().to_vec(),
        Vec::new(),
        vec![0; 32],
    ]
}

#[test]
fn a_public_key_is_never_a_secret() {
    let everything = policy().algorithms(asymmetric()).build().unwrap();
    for key in [SigningKey::shared(), SigningKey::generate(Algorithm::Es256)] {
        let keys = key.key_set();
        for secret in public_texts(&key) {
            for algorithm in HMAC {
                let forger =
                    SigningKey::from_secret(algorithm, secret.clone()).with_key_id(key.key_id().unwrap());
                let error = refused_by(&everything, forger.sign(&claims()), &keys, at(NOW));
                assert_eq!(error.code(), "wrong_algorithm");
            }
        }
    }
}

/// The keys of the wrong kind are at hand by mistake: even then there is nothing to verify with.
#[test]
fn an_hmac_receiver_finds_no_secret_among_public_keys() {
    let hmac = policy().algorithms(HMAC).build().unwrap();
    let key = SigningKey::shared();
    for secret in public_texts(&key) {
        let forger = SigningKey::from_secret(Algorithm::Hs256, secret);
        let error = refused_by(&hmac, forger.sign(&claims()), &key.key_set(), at(NOW));
        assert_eq!(error.code(), "unknown_key");
    }
}

#[test]
fn a_secret_in_a_key_set_document_is_never_used() {
    let leaked = SigningKey::generate(Algorithm::Hs256).with_key_id("leaked");
    let jwks = json!({ "keys": [leaked.jwk(), SigningKey::shared().jwk()] }).to_string();
    let keys = KeySet::from_jwks(jwks.as_bytes()).unwrap();
    let hmac = policy().algorithms(HMAC).build().unwrap();
    assert_eq!(refused_by(&hmac, leaked.sign(&claims()), &keys, at(NOW)).code(), "unknown_key");
}

#[test]
fn with_a_shared_secret_nothing_but_hmac_is_believed() {
    let secret = Secret::from("the endpoint's secret, 32 bytes or more");
    let keys = KeySet::from_secrets([&secret]).unwrap();
    let hmac = policy().algorithms(HMAC).build().unwrap();
    for algorithm in HMAC {
        let token = SigningKey::from_secret(algorithm, secret.expose()).sign(&claims());
        assert_eq!(hmac.verify(token.as_bytes(), &keys, at(NOW)).unwrap().algorithm, algorithm);
        let by_a_stranger = SigningKey::generate(algorithm).sign(&claims());
        assert_eq!(refused_by(&hmac, by_a_stranger, &keys, at(NOW)).code(), "unknown_key");
    }
    for algorithm in asymmetric() {
        let token = crate::key_for(algorithm).sign(&claims());
        assert_eq!(refused_by(&hmac, token, &keys, at(NOW)).code(), "unknown_key", "{algorithm}");
    }
    let public_only = policy().build().unwrap();
    let token = SigningKey::from_secret(Algorithm::Hs256, secret.expose()).sign(&claims());
    assert_eq!(refused_by(&public_only, token, &keys, at(NOW)).code(), "algorithm_not_allowed");
}

#[test]
fn a_secret_changes_without_a_gap() {
    let (old, new, next) = (vec![6; 32], vec![7; 48], vec![8; 64]);
    let keys = KeySet::from_secrets([&Secret::from(old.clone()), &Secret::from(new.clone())]).unwrap();
    let hmac = policy().algorithms([Algorithm::Hs256]).build().unwrap();
    for secret in [old, new] {
        for key_id in [None, Some("whatever")] {
            let mut key = SigningKey::from_secret(Algorithm::Hs256, secret.clone());
            if let Some(key_id) = key_id {
                key = key.with_key_id(key_id);
            }
            let verified = hmac.verify(key.sign(&claims()).as_bytes(), &keys, at(NOW)).unwrap();
            assert_eq!(verified.key_id, None, "a secret has no id");
        }
    }
    let not_yet = SigningKey::from_secret(Algorithm::Hs256, next).sign(&claims());
    assert_eq!(refused_by(&hmac, not_yet, &keys, at(NOW)).code(), "unknown_key");
}

#[test]
fn a_policy_cannot_mix_secrets_and_public_keys() {
    for public in asymmetric() {
        for hmac in HMAC {
            policy().algorithms([public, hmac]).build().unwrap_err();
            policy().algorithms([hmac, public]).build().unwrap_err();
        }
    }
}
