//! Which key a token gets, and shared secrets.

use idnow_webhooks_core::Secret;
use idnow_webhooks_core::keys::{Algorithm, KeySet, KeySetError, VerificationKey};
use idnow_webhooks_testkit::SigningKey;
use serde_json::json;

use crate::{assert_verifies, changed, set_of};

#[test]
fn a_kid_must_match_exactly() {
    let key = SigningKey::shared().with_key_id("Key-1");
    let set = set_of(&[key.jwk()]);
    assert_verifies(&set, &key);
    for other in ["key-1", "Key-1 ", "Key-", ""] {
        assert!(set.candidates(Algorithm::Rs256, Some(other)).next().is_none(), "{other:?}");
    }
    let nameless = set_of(&[key.without_key_id().jwk()]);
    assert!(nameless.candidates(Algorithm::Rs256, Some("Key-1")).next().is_none());
    assert!(nameless.key_ids().is_empty());
}

#[test]
fn keys_with_one_id_are_all_candidates() {
    let old = SigningKey::shared().with_key_id("same");
    let new = SigningKey::shared_other().with_key_id("same");
    let set = set_of(&[old.jwk(), new.jwk()]);
    assert_eq!(set.key_ids(), ["same"]);
    let found: Vec<_> = set.candidates(Algorithm::Rs256, Some("same")).collect();
    assert_eq!(found.len(), 2);
    for key in [&old, &new] {
        let signature = key.sign_bytes(b"message");
        assert_eq!(found.iter().filter(|found| found.verifies(b"message", &signature)).count(), 1);
    }
}

#[test]
fn one_id_on_keys_of_two_types_is_no_ambiguity() {
    let rsa = SigningKey::shared().with_key_id("same");
    let curve = SigningKey::generate(Algorithm::Es256).with_key_id("same");
    let set = set_of(&[rsa.jwk(), curve.jwk()]);
    assert_verifies(&set, &rsa);
    assert_verifies(&set, &curve);
}

#[test]
fn without_a_kid_every_key_of_the_algorithm_may_be_meant() {
    let (one, two) = (SigningKey::shared(), SigningKey::shared_other().without_key_id());
    let set = set_of(&[one.jwk(), two.jwk()]);
    let ids: Vec<_> = set.candidates(Algorithm::Rs256, None).map(VerificationKey::key_id).collect();
    assert_eq!(ids, [one.key_id(), None]);

    let curve = SigningKey::generate(Algorithm::Es256);
    let set = set_of(&[one.jwk(), curve.jwk()]);
    let [found] = set.candidates(Algorithm::Rs256, None).collect::<Vec<_>>()[..] else { panic!("{set:?}") };
    assert_eq!(found.key_id(), one.key_id());
    assert!(set.candidates(Algorithm::EdDsa, None).next().is_none());
}

#[test]
fn the_algorithms_of_an_id_are_those_of_all_its_keys() {
    let rsa = SigningKey::shared().with_key_id("same");
    let curve = SigningKey::generate(Algorithm::Es256).with_key_id("same");
    let unbound = changed(&SigningKey::shared_other().with_key_id("any"), &json!({ "alg": null }));
    let set =
        set_of(&[curve.jwk(), rsa.jwk(), rsa.jwk(), unbound, json!({ "kid": "skipped", "kty": "AKP" })]);
    assert_eq!(set.algorithms_of("same"), [Algorithm::Rs256, Algorithm::Es256]);
    assert_eq!(set.algorithms_of("any"), Algorithm::ALL[..6]);
    assert!(set.algorithms_of("skipped").is_empty() && set.algorithms_of("unknown").is_empty());
    assert_eq!(set.key_ids(), ["any", "same"]);
}

#[test]
fn only_an_algorithm_that_no_key_of_the_id_fits_is_proof_of_forgery() {
    let bound = SigningKey::shared().with_key_id("bound");
    let unbound = changed(&SigningKey::shared().with_key_id("unbound"), &json!({ "alg": null }));
    let curve = SigningKey::generate(Algorithm::EdDsa).with_key_id("bound");
    let set = set_of(&[bound.jwk(), curve.jwk(), unbound]);
    for (key_id, algorithm, possible) in [
        ("bound", "RS256", true),
        ("bound", "EdDSA", true),
        ("bound", "PS256", false),
        ("bound", "ES256", false),
        ("bound", "HS256", false),
        ("bound", "none", false),
        ("bound", "RS1", false),
        ("unbound", "RS256", true),
        ("unbound", "PS512", true),
        ("unbound", "ES256", false),
        ("unbound", "HS256", false),
        ("unbound", "none", false),
        // Nobody here knows what that is, so nobody knows that it is not for this key.
        ("unbound", "RS1", true),
        ("unknown", "ES256", true),
        ("unknown", "none", true),
    ] {
        assert_eq!(set.could_have_signed(key_id, algorithm), possible, "{key_id} {algorithm}");
    }
}

#[test]
fn a_token_that_names_an_entry_that_was_left_out_is_not_proven_false() {
    let good = SigningKey::shared().with_key_id("same");
    let curve = SigningKey::generate(Algorithm::Es256).with_key_id("same");
    for unusable in [
        changed(&curve, &json!({ "crv": "P-521", "alg": "ES512" })),
        changed(&curve, &json!({ "use": "enc" })),
        changed(&curve, &json!({ "kty": 1 })),
        changed(&good, &json!({ "n": "AQAB" })),
    ] {
        let set = set_of(&[good.jwk(), unusable.clone()]);
        assert_eq!(set.skipped_with("same").map(|key| key.index).collect::<Vec<_>>(), [1], "{unusable}");
        assert_verifies(&set, &good);
        for algorithm in ["RS256", "ES256", "ES512", "none"] {
            assert!(set.could_have_signed("same", algorithm), "{unusable} {algorithm}");
        }
    }
    let set = set_of(&[good.jwk()]);
    assert!(set.skipped_with("same").next().is_none() && !set.could_have_signed("same", "ES256"));
}

/// The cost of a lookup must not grow with the set, whose keys a token can name without a signature.
#[test]
fn each_of_a_thousand_keys_is_found() {
    let key = SigningKey::generate(Algorithm::EdDsa);
    let jwks: Vec<_> = (0..1_000).map(|number| key.clone().with_key_id(number.to_string()).jwk()).collect();
    let set = set_of(&jwks);
    assert_eq!((set.len(), set.keys().count()), (1_000, 1_000));
    for number in 0..1_000 {
        let key_id = number.to_string();
        let [found] = set.candidates(Algorithm::EdDsa, Some(&key_id)).collect::<Vec<_>>()[..] else {
            panic!("{key_id}")
        };
        assert_eq!(found.key_id(), Some(&*key_id));
    }
    let first: Vec<_> = set.candidates(Algorithm::EdDsa, None).take(8).map(VerificationKey::key_id).collect();
    assert_eq!(first, ["0", "1", "2", "3", "4", "5", "6", "7"].map(Some), "the order of the document");
}

#[test]
fn secrets_verify_hmac_whatever_the_kid_says() {
    let old = Secret::from("0123456789abcdef0123456789abcdef");
    let set = KeySet::from_secrets([&old]).unwrap();
    for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
        let signature = SigningKey::from_secret(algorithm, old.expose()).sign_bytes(b"message");
        for key_id in [None, Some("anything")] {
            let [key] = set.candidates(algorithm, key_id).collect::<Vec<_>>()[..] else { panic!("{set:?}") };
            assert!(key.verifies(b"message", &signature));
            assert!(!key.verifies(b"message", &signature[..signature.len() - 1]));
            assert!(!key.verifies(b"massage", &signature));
        }
    }
}

#[test]
fn during_a_change_both_secrets_are_candidates() {
    let (old, new) = (Secret::from(vec![6; 32]), Secret::from(vec![7; 64]));
    let set = KeySet::from_secrets([&old, &new]).unwrap();
    let found: Vec<_> = set.candidates(Algorithm::Hs256, None).collect();
    assert_eq!(found.len(), 2);
    for secret in [&old, &new] {
        let signature = SigningKey::from_secret(Algorithm::Hs256, secret.expose()).sign_bytes(b"message");
        assert_eq!(found.iter().filter(|found| found.verifies(b"message", &signature)).count(), 1);
    }
}

#[test]
fn secrets_and_public_keys_never_stand_in_for_each_other() {
    let secrets = KeySet::from_secrets([&Secret::from(vec![1; 32])]).unwrap();
    for algorithm in Algorithm::ALL {
        let found = secrets.candidates(algorithm, None).next().is_some();
        assert_eq!(found, algorithm.is_hmac(), "{algorithm}");
    }
    let public = SigningKey::shared().key_set();
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| algorithm.is_hmac()) {
        assert!(public.candidates(algorithm, None).next().is_none(), "{algorithm}");
    }
}

#[test]
fn a_short_or_missing_secret_is_refused() {
    for bytes in [0, 1, 31] {
        let (good, short) = (Secret::from(vec![1; 32]), Secret::from(vec![1; bytes]));
        let result = KeySet::from_secrets([&good, &short]);
        let Err(error @ KeySetError::SecretTooShort(_)) = result else { panic!("{result:?}") };
        assert_eq!(
            error.to_string(),
            format!("the shared secret has {bytes} bytes, at least 32 are required (RFC 7518, section 3.2)")
        );
    }
    assert!(matches!(KeySet::from_secrets([]), Err(KeySetError::NoSecret)));
}

#[test]
fn debug_output_shows_no_key_material() {
    let secret = Secret::from("hunter2-hunter2-hunter2-hunter2-");
    let secrets = KeySet::from_secrets([&secret]).unwrap();
    let published = SigningKey::generate(Algorithm::Hs256).with_key_id("leaked");
    let public = set_of(&[SigningKey::shared().with_key_id("kept").jwk(), published.jwk()]);
    let found: Vec<_> = public.candidates(Algorithm::Rs256, Some("kept")).collect();
    assert_eq!(found.len(), 1);
    let shown = format!("{secret:?} {secrets:?} {public:?} {found:?}");
    assert!(shown.contains("kept") && shown.contains("leaked"), "{shown}");
    let text = |key: &SigningKey, member: &str| key.jwk()[member].as_str().unwrap().to_owned();
    // `104, 117, 110` is how a derived `Debug` of bytes would begin to spell the secret.
    for material in ["hunter2", "104, 117, 110", &text(&SigningKey::shared(), "n"), &text(&published, "k")] {
        assert!(!shown.contains(material), "{material} in {shown}");
    }
}
