use idnow_webhooks_core::keys::{Algorithm, KeySet};
use idnow_webhooks_testkit::SigningKey;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::any_json;

const MEMBERS: [&str; 12] =
    ["kty", "use", "key_ops", "alg", "kid", "crv", "n", "e", "x", "y", "d", "unknown"];

/// Everything that is asked of a set, of any set.
fn ask(set: &KeySet) {
    let shown = format!("{set:?}");
    for skipped in set.skipped() {
        assert!(!skipped.reason.to_string().is_empty(), "{shown}");
        if let Some(key_id) = &skipped.key_id {
            assert!(set.skipped_with(key_id).any(|found| found == skipped), "{shown}");
            assert!(
                set.could_have_signed(key_id, "RS256") && set.could_have_signed(key_id, "none"),
                "{shown}"
            );
        }
    }
    for algorithm in Algorithm::ALL {
        for key_id in set.key_ids().into_iter().map(Some).chain([None, Some("")]) {
            for key in set.candidates(algorithm, key_id) {
                assert!(!algorithm.is_hmac(), "a secret from a key set document");
                assert_eq!(key.algorithm(), algorithm);
                assert!(key_id.is_none() || key.key_id() == key_id);
                assert!(!key.verifies(b"message", b"signature"));
                assert!(key.key_id().is_none_or(|key_id| {
                    set.algorithms_of(key_id).contains(&algorithm)
                        && set.could_have_signed(key_id, algorithm.name())
                }));
            }
        }
    }
}

fn keys() -> [SigningKey; 3] {
    [SigningKey::shared(), SigningKey::generate(Algorithm::Es256), SigningKey::generate(Algorithm::EdDsa)]
}

proptest! {
    #[test]
    fn any_document_is_read_or_refused(bytes: Vec<u8>, value in any_json()) {
        if let Ok(set) = KeySet::from_jwks(&bytes) {
            ask(&set);
        }
        for document in [value.clone(), json!({ "keys": value }), json!({ "keys": [value] })] {
            if let Ok(set) = KeySet::from_jwks(document.to_string().as_bytes()) {
                prop_assert!(set.is_empty(), "{}", document);
                ask(&set);
            }
        }
    }

    #[test]
    fn a_changed_key_leaves_its_neighbour_alone(
        which in 0_usize..3,
        name in prop::sample::select(&MEMBERS[..]),
        value in any_json(),
    ) {
        let mut jwk = keys()[which].jwk();
        jwk[name] = value;
        let good = SigningKey::shared_other();
        let document = json!({ "keys": [jwk, good.jwk()] }).to_string();
        let set = KeySet::from_jwks(document.as_bytes()).unwrap();
        ask(&set);
        let signature = good.sign_bytes(b"message");
        let mut found = set.candidates(Algorithm::Rs256, good.key_id());
        prop_assert!(found.any(|key| key.verifies(b"message", &signature)));
    }

    #[test]
    fn material_of_any_bytes_makes_a_key_or_a_reason(
        kind in prop::sample::select(vec!["RSA", "P-256", "P-384", "Ed25519"]),
        one in prop::collection::vec(any::<u8>(), 0..1100),
        two in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let (one, two) = (URL_SAFE_NO_PAD.encode(one), URL_SAFE_NO_PAD.encode(two));
        let jwk: Value = match kind {
            "RSA" => json!({ "kty": "RSA", "n": one, "e": two, "kid": "k" }),
            "Ed25519" => json!({ "kty": "OKP", "crv": kind, "x": two, "kid": "k" }),
            _ => json!({ "kty": "EC", "crv": kind, "x": two, "y": two, "kid": "k" }),
        };
        let set = KeySet::from_jwks(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
        prop_assert_eq!(set.is_empty(), set.skipped().len() == 1);
        ask(&set);
    }
}
