//! The allow list of algorithms.

use idnow_webhooks_core::keys::Algorithm;
use idnow_webhooks_core::{MismatchKind, VerifyError};
use idnow_webhooks_testkit::{SigningKey, compact};
use serde_json::{Value, json};

use crate::NOW;
use crate::{
    asymmetric, at, claims, header_with, key_for, mismatch, policy, refused, refused_by, refused_form, signed,
};

#[test]
fn each_algorithm_is_believed_when_it_is_listed_and_only_then() {
    for algorithm in Algorithm::ALL {
        let key = key_for(algorithm);
        let (token, keys) = (key.sign(&claims()), key.key_set());
        let listed = policy().algorithms([algorithm]).build().unwrap();
        let verified = listed.verify(token.as_bytes(), &keys, at(NOW)).unwrap();
        assert_eq!(verified.algorithm, algorithm);

        let others: Vec<_> = Algorithm::ALL
            .into_iter()
            .filter(|other| *other != algorithm && other.is_hmac() == algorithm.is_hmac())
            .collect();
        let unlisted = policy().algorithms(others.clone()).build().unwrap();
        let error = refused_by(&unlisted, &token, &keys, at(NOW));
        assert_eq!(mismatch(error), MismatchKind::Algorithm { expected: others, seen: algorithm });
        // What is not signed by the key tells nothing, whatever it names.
        let (message, _) = token.rsplit_once('.').unwrap();
        let code = refused_by(&unlisted, format!("{message}.AAAA"), &keys, at(NOW)).code();
        assert_eq!(code, if algorithm.is_hmac() { "unknown_key" } else { "false_signature" }, "{algorithm}");
    }
}

#[test]
fn rs256_alone_is_the_default() {
    let verifier = policy().build().unwrap();
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| *algorithm != Algorithm::Rs256) {
        let key = key_for(algorithm);
        let error = refused_by(&verifier, key.sign(&claims()), &key.key_set(), at(NOW));
        assert_eq!(error.code(), "algorithm_not_allowed", "{algorithm}");
    }
}

/// Neither without a signature, nor with a genuine one over the strange header.
#[test]
fn none_and_its_disguises_are_no_algorithms() {
    let everything = policy().algorithms(asymmetric()).build().unwrap();
    let keys = SigningKey::shared().key_set();
    for name in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "NonE",
        " none",
        "none ",
        "none\0",
        "",
        " ",
        "\0",
        "null",
        "rs256",
        "Rs256",
        "RS256 ",
        " RS256",
        "RS256\0",
        "RS-256",
        "RS256,none",
        "RS1",
        "RS2560",
        "ES256K",
        "ES512",
        "Ed25519",
        "Ed448",
        "EDDSA",
        "dir",
        "RSA-OAEP",
        "HS256",
        "HS384",
        "HS512",
        "hs256",
        "ＲＳ256",
    ] {
        let header = header_with(&json!({ "alg": name })).to_string();
        let error = refused_by(&everything, signed(&header, &claims().to_string()), &keys, at(NOW));
        let VerifyError::Algorithm { algorithm: seen, .. } = error else { panic!("{name:?}: {error:?}") };
        assert_eq!(seen.to_string(), format!("\"{}\"", name.escape_debug()));
        let unsigned = compact(&header, claims().to_string(), "");
        assert_eq!(refused_by(&everything, unsigned, &keys, at(NOW)).code(), "wrong_algorithm", "{name:?}");
    }
}

#[test]
fn an_algorithm_that_is_missing_or_no_text_makes_no_token() {
    for value in [
        Value::Null,
        json!(true),
        json!(256),
        json!(["RS256"]),
        json!({ "RS256": "RS256" }),
        json!({ "name": "RS256" }),
    ] {
        let header = header_with(&json!({ "alg": value })).to_string();
        refused_form(signed(&header, &claims().to_string()));
    }
    let without = json!({ "kid": SigningKey::shared().key_id(), "typ": "JWT" }).to_string();
    refused_form(signed(&without, &claims().to_string()));
    refused_form(signed("{}", &claims().to_string()));
    refused_form(compact("{}", claims().to_string(), ""));
}

/// The header names one algorithm, and the key signs with another.
#[test]
fn a_signature_of_another_algorithm_does_not_hold() {
    let verifier = policy().algorithms(asymmetric()).build().unwrap();
    let mut jwk = SigningKey::shared().jwk();
    jwk.as_object_mut().unwrap().remove("alg");
    let jwks = json!({ "keys": [jwk] }).to_string();
    let keys = idnow_webhooks_core::keys::KeySet::from_jwks(jwks.as_bytes()).unwrap();
    let rsa: Vec<_> = asymmetric().filter(|algorithm| algorithm.name().starts_with(['R', 'P'])).collect();
    for named in &rsa {
        for signing in &rsa {
            let key = SigningKey::shared().with_algorithm(*signing);
            let header = header_with(&json!({ "alg": named.name() })).to_string();
            let token = key.sign_raw(header.as_bytes(), claims().to_string().as_bytes());
            if named == signing {
                verifier.verify(token.as_bytes(), &keys, at(NOW)).unwrap();
            } else {
                let error = refused_by(&verifier, &token, &keys, at(NOW));
                assert_eq!(error.code(), "false_signature", "{named} signed as {signing}");
            }
        }
    }
}

#[test]
fn a_listed_algorithm_is_refused_where_the_key_names_another() {
    let verifier = policy().algorithms(asymmetric()).build().unwrap();
    let keys = SigningKey::shared().key_set();
    for algorithm in asymmetric().filter(|algorithm| *algorithm != Algorithm::Rs256) {
        let key = key_for(algorithm).with_key_id(SigningKey::shared().key_id().unwrap());
        let error = refused_by(&verifier, key.sign(&claims()), &keys, at(NOW));
        assert_eq!(error.code(), "wrong_algorithm", "{algorithm}: {error:?}");
    }
    assert_eq!(refused(SigningKey::shared_other().sign(&claims())).code(), "unknown_key");
}
