//! What the kit signs, the core verifies.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends with a panic, also in its helpers"
)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use idnow_webhooks_core::keys::{Algorithm, KeySet};
use idnow_webhooks_testkit::{SigningKey, compact};
use serde_json::{Value, json};

fn parts(token: &str) -> (&str, Value, Value, Vec<u8>) {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let json = |part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (message, json(header), json(payload), URL_SAFE_NO_PAD.decode(signature).unwrap())
}

fn verifies(
    set: &KeySet,
    algorithm: Algorithm,
    key_id: Option<&str>,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let found: Vec<_> = set.candidates(algorithm, key_id).collect();
    let [key] = found[..] else { panic!("expected one key for {algorithm}, found {found:?}") };
    key.verifies(message, signature)
}

#[test]
fn every_algorithm_signs_what_the_core_verifies() {
    let rsa = SigningKey::shared();
    for algorithm in Algorithm::ALL {
        // One RSA key for all of its algorithms, as making one is slow in a debug build.
        let rsa_family = algorithm.name().starts_with(['R', 'P']);
        let key =
            if rsa_family { rsa.clone().with_algorithm(algorithm) } else { SigningKey::generate(algorithm) };
        assert_eq!(key.algorithm(), algorithm);
        let claims = json!({ "iss": "https://issuer.example", "text": "ü" });
        let token = key.sign(&claims);
        let (message, header, payload, signature) = parts(&token);
        assert_eq!(header, json!({ "alg": algorithm.name(), "kid": key.key_id(), "typ": "JWT" }));
        assert_eq!(payload, claims);
        let set = key.key_set();
        assert!(verifies(&set, algorithm, key.key_id(), message.as_bytes(), &signature), "{algorithm}");
        let mut tampered = message.to_owned().into_bytes();
        tampered[message.len() - 1] ^= 1;
        assert!(!verifies(&set, algorithm, key.key_id(), &tampered, &signature), "{algorithm}");
        let mut flipped = signature.clone();
        flipped[0] ^= 1;
        assert!(!verifies(&set, algorithm, key.key_id(), message.as_bytes(), &flipped), "{algorithm}");
    }
}

#[test]
fn every_generated_key_makes_a_usable_key_set_with_its_id() {
    for algorithm in [Algorithm::Ps256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa] {
        let key = SigningKey::generate(algorithm);
        let jwks = key.jwks();
        assert_eq!(jwks["keys"][0], key.jwk());
        assert_eq!(key.jwk()["use"], "sig");
        assert_eq!(key.jwk()["alg"], algorithm.name());
        assert_eq!(key.jwk().get("d"), None, "the private part must stay private");
        let set = KeySet::from_jwks(jwks.to_string().as_bytes()).unwrap();
        assert!(set.skipped().is_empty(), "{:?}", set.skipped());
        assert_eq!(set.key_ids(), [key.key_id().unwrap()]);
    }
}

#[test]
fn keys_differ_and_shared_keys_do_not() {
    assert_ne!(SigningKey::shared().jwk(), SigningKey::shared_other().jwk());
    assert_ne!(SigningKey::shared().key_id(), SigningKey::shared_other().key_id());
    assert_eq!(SigningKey::shared().jwk(), SigningKey::shared().jwk());
    assert_ne!(
        SigningKey::generate(Algorithm::EdDsa).jwk()["x"],
        SigningKey::generate(Algorithm::EdDsa).jwk()["x"]
    );
}

#[test]
fn the_key_id_is_free() {
    let key = SigningKey::generate(Algorithm::EdDsa).with_key_id("2026-01");
    assert_eq!(key.key_id(), Some("2026-01"));
    assert_eq!(key.jwk()["kid"], "2026-01");
    assert_eq!(parts(&key.sign(&json!({}))).1["kid"], "2026-01");
    let key = key.without_key_id();
    assert_eq!(key.key_id(), None);
    assert_eq!(key.jwk().get("kid"), None);
    assert_eq!(parts(&key.sign(&json!({}))).1, json!({ "alg": "EdDSA", "typ": "JWT" }));
}

#[test]
fn a_shared_secret_signs_and_has_no_id() {
    let secret = "0123456789abcdef0123456789abcdef";
    let key = SigningKey::from_secret(Algorithm::Hs384, secret);
    assert_eq!(key.key_id(), None);
    let token = key.sign(&json!({}));
    let (message, header, _, signature) = parts(&token);
    assert_eq!(header["alg"], "HS384");
    assert!(verifies(&key.key_set(), Algorithm::Hs384, None, message.as_bytes(), &signature));
    assert_eq!(key.jwk()["kty"], "oct");
    assert_eq!(key.jwk()["k"], URL_SAFE_NO_PAD.encode(secret));
}

#[test]
fn hostile_tokens_carry_exactly_what_was_asked_for() {
    let key = SigningKey::generate(Algorithm::EdDsa);
    let token = key.sign_raw(b"not json", &[0xff, 0x00]);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    assert_eq!(URL_SAFE_NO_PAD.decode(header).unwrap(), b"not json");
    assert_eq!(URL_SAFE_NO_PAD.decode(payload).unwrap(), [0xff, 0x00]);
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(verifies(&key.key_set(), Algorithm::EdDsa, key.key_id(), message.as_bytes(), &signature));
    assert_eq!(compact(b"not json", [0xff, 0x00], &signature), token);
    assert_eq!(compact("", "", ""), "..");
}

#[test]
fn public_keys_come_as_der_and_pem() {
    for key in
        [SigningKey::shared(), SigningKey::generate(Algorithm::Es256), SigningKey::generate(Algorithm::EdDsa)]
    {
        let der = key.public_key_der();
        assert_eq!(der[0], 0x30, "SubjectPublicKeyInfo is a sequence");
        let pem = key.public_key_pem();
        let lines: Vec<_> = pem.lines().collect();
        let [first, inner @ .., last] = lines.as_slice() else { panic!("{pem}") };
        assert_eq!((*first, *last), ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"));
        assert!(inner.iter().all(|line| (1..=64).contains(&line.len())), "{pem}");
        let decoded = base64::engine::general_purpose::STANDARD.decode(inner.concat()).unwrap();
        assert_eq!(decoded, der);
    }
    let der = SigningKey::shared().public_key_der();
    let modulus = URL_SAFE_NO_PAD.decode(SigningKey::shared().jwk()["n"].as_str().unwrap()).unwrap();
    assert_eq!(modulus.len(), 256);
    assert!(der.windows(modulus.len()).any(|window| window == modulus), "the DER holds the modulus");
}

#[test]
fn debug_output_shows_no_key() {
    let key = SigningKey::from_secret(Algorithm::Hs256, "hunter2-hunter2").with_key_id("a");
    assert_eq!(format!("{key:?}"), r#"SigningKey { key_id: Some("a"), algorithm: Hs256, .. }"#);
}

#[test]
#[should_panic(expected = "a key for RS256 cannot sign with ES256")]
fn an_algorithm_that_does_not_fit_is_refused() {
    let _ = SigningKey::shared().with_algorithm(Algorithm::Es256);
}

#[test]
#[should_panic(expected = "RS256 does not use a shared secret")]
fn a_secret_for_a_public_key_algorithm_is_refused() {
    let _ = SigningKey::from_secret(Algorithm::Rs256, "secret");
}

#[test]
#[should_panic(expected = "cannot make an RSA key of 1024 bits")]
fn an_rsa_size_out_of_reach_is_refused() {
    let _ = SigningKey::generate_rsa(1024);
}
