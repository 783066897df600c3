//! `jsonwebtoken`, with each of its backends named explicitly, as an independent judge of signatures.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use idnow_webhooks_both_backends::{claims, header, kit_key, their_key, theirs, verify};
use idnow_webhooks_core::keys::Algorithm;
use jsonwebtoken::crypto::{CryptoProvider, aws_lc, rust_crypto};
use jsonwebtoken::{DecodingKey, EncodingKey};

fn backends() -> [(&'static str, &'static CryptoProvider); 2] {
    [("aws-lc-rs", &aws_lc::DEFAULT_PROVIDER), ("RustCrypto", &rust_crypto::DEFAULT_PROVIDER)]
}

fn signed_by(backend: &CryptoProvider, key: &EncodingKey, algorithm: Algorithm) -> String {
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
    let header = serde_json::to_string(&header(algorithm)).unwrap();
    let message = format!("{}.{}", encode(header), encode(claims().to_string()));
    let signer = (backend.signer_factory)(&theirs(algorithm), key).unwrap();
    let signature = signer.try_sign(message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn believed_by(backend: &CryptoProvider, token: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let verifier = (backend.verifier_factory)(&theirs(algorithm), key).unwrap();
    verifier.verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).is_ok()
}

fn decoding_key(key: &idnow_webhooks_testkit::SigningKey) -> DecodingKey {
    DecodingKey::from_jwk(&serde_json::from_value(key.jwk()).unwrap()).unwrap()
}

#[test]
fn what_they_sign_we_verify() {
    for algorithm in Algorithm::ALL {
        let (key, keys) = their_key(algorithm);
        for (name, backend) in backends() {
            let token = signed_by(backend, &key, algorithm);
            let verified = verify(&token, &keys, algorithm)
                .unwrap_or_else(|error| panic!("{algorithm} {name}: {error}"));
            assert_eq!(verified.algorithm, algorithm);
            let (_, others) = their_key(algorithm);
            if !algorithm.is_hmac() {
                assert_eq!(
                    verify(&token, &others, algorithm).unwrap_err().code(),
                    "false_signature",
                    "{algorithm} {name}"
                );
            }
        }
    }
}

#[test]
fn what_we_sign_they_verify() {
    for algorithm in Algorithm::ALL {
        let key = kit_key(algorithm);
        let token = key.sign(&claims());
        let (good, other) = (decoding_key(&key), decoding_key(&other_key(algorithm)));
        for (name, backend) in backends() {
            assert!(believed_by(backend, &token, &good, algorithm), "{algorithm} {name}");
            assert!(!believed_by(backend, &token, &other, algorithm), "{algorithm} {name}");
        }
    }
}

fn other_key(algorithm: Algorithm) -> idnow_webhooks_testkit::SigningKey {
    use idnow_webhooks_testkit::SigningKey;
    if algorithm.name().starts_with(['R', 'P']) {
        SigningKey::shared_other().with_algorithm(algorithm)
    } else {
        SigningKey::generate(algorithm)
    }
}

/// Every signature that they refuse we refuse too, bit for bit.
#[test]
fn on_damaged_signatures_all_agree() {
    for algorithm in [
        Algorithm::Rs256,
        Algorithm::Ps256,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
        Algorithm::Hs256,
    ] {
        let key = kit_key(algorithm);
        let (token, keys, theirs) = (key.sign(&claims()), key.key_set(), decoding_key(&key));
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        for bit in (0..signature.len() * 8).step_by(7) {
            let mut damaged = signature.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(damaged));
            // A token made with a shared secret names no key, so it may be of another one.
            let expected = if algorithm.is_hmac() { "unknown_key" } else { "false_signature" };
            assert_eq!(verify(&token, &keys, algorithm).unwrap_err().code(), expected, "{algorithm} {bit}");
            for (name, backend) in backends() {
                assert!(!believed_by(backend, &token, &theirs, algorithm), "{algorithm} {name} {bit}");
            }
        }
    }
}
