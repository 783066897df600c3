//! Which key a token gets, and shared secrets.

use idnow_webhooks_core::Secret;
use idnow_webhooks_core::keys::{Algorithm, KeySet, KeySetError, VerificationKey};
use idnow_webhooks_testkit::SigningKey;

use crate::{assert_verifies, set_of};

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
