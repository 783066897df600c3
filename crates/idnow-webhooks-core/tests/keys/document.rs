//! The document around the keys, and what is not a key at all.

use std::error::Error as _;

use idnow_webhooks_core::keys::{Algorithm, KeySet, KeySetError, UnusableKey};
use idnow_webhooks_testkit::SigningKey;
use serde_json::json;

use crate::{assert_verifies, changed, reason, reason_after, set_of};

#[test]
fn an_entry_that_is_no_jwk_is_left_out() {
    let curve = SigningKey::generate(Algorithm::Es256);
    let n = SigningKey::shared().jwk()["n"].clone();
    let entries = [
        json!(null),
        json!(7),
        json!("key"),
        json!([]),
        // The members of a key in an order that serde would take for a key.
        json!(["RSA", "sig", null, "RS256", "positional", null, n, "AQAB", null, null, null, null]),
        json!({}),
        changed(&SigningKey::shared(), &json!({ "kty": null })),
        changed(&SigningKey::shared(), &json!({ "kty": 1 })),
        changed(&SigningKey::shared(), &json!({ "kid": 1 })),
        changed(&SigningKey::shared(), &json!({ "key_ops": "verify" })),
        changed(&SigningKey::shared(), &json!({ "n": null })),
        changed(&SigningKey::shared(), &json!({ "e": null })),
        changed(&SigningKey::shared(), &json!({ "e": 65537 })),
        changed(&curve, &json!({ "crv": null })),
        changed(&curve, &json!({ "y": null })),
        changed(&SigningKey::generate(Algorithm::EdDsa), &json!({ "x": null })),
    ];
    for entry in entries {
        let reason = reason(&entry);
        assert!(matches!(reason, UnusableKey::Malformed(_)), "{entry}: {reason:?}");
    }
    for (member, message) in [("n", "not a JWK: `n` is missing"), ("e", "not a JWK: `e` is missing")] {
        assert_eq!(reason_after(&json!({ member: null })).to_string(), message);
    }
}

#[test]
fn a_repeated_member_of_a_key_is_no_jwk() {
    let jwk = SigningKey::shared().jwk().to_string();
    let text = format!(r#"{{"keys":[{{"kid":"first",{}]}}"#, &jwk[1..]);
    let set = KeySet::from_jwks(text.as_bytes()).unwrap();
    assert!(set.is_empty());
    assert!(matches!(set.skipped()[0].reason, UnusableKey::Malformed(_)), "{:?}", set.skipped());
    // Whichever was meant.
    for key_id in ["first", SigningKey::shared().key_id().unwrap()] {
        assert_eq!(set.skipped_with(key_id).map(|key| key.index).collect::<Vec<_>>(), [0], "{key_id}");
    }
}

#[test]
fn skipped_entries_name_their_place_and_their_id() {
    let key = SigningKey::shared();
    let set = set_of(&[
        key.jwk(),
        changed(&key, &json!({ "kid": "for-encryption", "use": "enc" })),
        json!({ "kty": "AKP" }),
    ]);
    let skipped: Vec<_> =
        set.skipped().iter().map(|key| (key.index, key.key_id.as_deref(), key.reason.clone())).collect();
    let expected =
        [(1, Some("for-encryption"), UnusableKey::NotForSignatures), (2, None, UnusableKey::UnsupportedType)];
    assert_eq!(skipped, expected);
    assert!(!set.is_empty());
}

#[test]
fn unknown_members_of_document_and_key_change_nothing() {
    let key = SigningKey::shared();
    let jwk = changed(&key, &json!({ "x5c": ["AAAA"], "x5t": "a", "issued": { "at": 1 } }));
    let text = json!({ "keys": [jwk], "issuer": "https://issuer.example" }).to_string();
    assert_verifies(&KeySet::from_jwks(text.as_bytes()).unwrap(), &key);
}

#[test]
fn a_text_that_is_no_jwks_is_refused() {
    let texts: [&[u8]; 12] = [
        b"",
        b"[]",
        // A serde struct may also be read from an array of its members; a JWKS may not.
        b"[[]]",
        b"{}",
        b"null",
        b"{\"keys\": null}",
        b"{\"keys\": {}}",
        b"{\"keys\": []} x",
        b"{\"keys\": [}",
        b"{\"keys\": [], \"keys\": []}",
        b"<!doctype html>",
        b"{\"keys\": [\"\xff\"]}",
    ];
    for text in texts {
        let result = KeySet::from_jwks(text);
        let shown = String::from_utf8_lossy(text);
        let Err(error @ KeySetError::Malformed(_)) = result else { panic!("{shown}: {result:?}") };
        assert_eq!(error.to_string(), "not a JWKS document (a JSON object with an array `keys`)");
        assert!(error.source().is_some());
    }
}

#[test]
fn deep_nesting_is_no_crash() {
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let unfinished = format!(r#"{{"keys":[{open}"#);
    assert!(matches!(KeySet::from_jwks(unfinished.as_bytes()), Err(KeySetError::Malformed(_))));

    let key = SigningKey::shared();
    let jwk = key.jwk().to_string();
    let deep_member = format!(r#"{{"deep":{open}{close},{}"#, &jwk[1..]);
    let deep_entry = format!(r#"{{"keys":[{open}{close},{deep_member}]}}"#);
    let set = KeySet::from_jwks(deep_entry.as_bytes()).unwrap();
    assert_verifies(&set, &key);
    assert_eq!(set.skipped().len(), 1);
}

#[test]
fn an_empty_set_is_empty() {
    let set = set_of(&[]);
    assert!(set.is_empty() && set.skipped().is_empty() && set.key_ids().is_empty());
    for algorithm in Algorithm::ALL {
        assert!(set.candidates(algorithm, None).next().is_none(), "{algorithm}");
    }
}

#[test]
fn the_number_of_entries_is_bounded() {
    let key = SigningKey::generate(Algorithm::EdDsa);
    let set = set_of(&vec![key.jwk(); 1_000]);
    assert_eq!((set.len(), set.key_ids().len()), (1_000, 1));
    let text = json!({ "keys": vec![json!({}); 1_001] }).to_string();
    let Err(error @ KeySetError::TooManyKeys(1_001)) = KeySet::from_jwks(text.as_bytes()) else {
        panic!("1,001 keys were accepted")
    };
    assert_eq!(error.to_string(), "the key set has 1001 entries, more than 1000");
}

#[test]
fn one_byte_order_mark_in_front_changes_nothing() {
    let key = SigningKey::shared();
    let text = json!({ "keys": [key.jwk()] }).to_string();
    for marked in [format!("\u{feff}{text}"), format!("\u{feff}\r\n {text}")] {
        assert_verifies(&KeySet::from_jwks(marked.as_bytes()).unwrap(), &key);
    }
    for wrong in [
        format!("\u{feff}\u{feff}{text}"),
        format!(" \u{feff}{text}"),
        "\u{feff}".into(),
        "\u{feff}[[]]".into(),
    ] {
        let result = KeySet::from_jwks(wrong.as_bytes());
        assert!(matches!(result, Err(KeySetError::Malformed(_))), "{wrong:.20}: {result:?}");
    }
}

#[test]
fn the_id_of_an_entry_is_known_however_wrong_the_rest_is() {
    for entry in [
        r#"{"kid":"1","kty":7}"#,
        r#"{"kty":{"deep":[]},"kid":"1"}"#,
        r#"{"kid":"1"}"#,
        r#"{"kty":"RSA","n":"\ud800","kid":"1"}"#,
        r#"{"\ud800":0,"kid":"1","n":1}"#,
        r#"{"kty":"RSA","kty":"RSA","\u006bid":"\u0031"}"#,
        r#"{"kid":{},"kid":"1"}"#,
    ] {
        let set = KeySet::from_jwks(format!(r#"{{"keys":[{entry}]}}"#).as_bytes()).unwrap();
        let [skipped] = set.skipped() else { panic!("{entry}: {set:?}") };
        assert_eq!(skipped.key_id.as_deref(), Some("1"), "{entry}");
        assert!(matches!(skipped.reason, UnusableKey::Malformed(_)), "{entry}: {skipped:?}");
        assert_eq!(set.skipped_with("1").count(), 1, "{entry}");
    }
    for entry in [r#"{"kid":1}"#, r#"{"kid":"\ud800"}"#, r#"["kid","1"]"#, r#"{"a":{"kid":"1"}}"#, "7"] {
        let set = KeySet::from_jwks(format!(r#"{{"keys":[{entry}]}}"#).as_bytes()).unwrap();
        assert_eq!(set.skipped()[0].key_id, None, "{entry}");
    }
}

#[test]
fn a_malformed_key_does_not_leak_into_its_reason() {
    let jwk = changed(&SigningKey::shared(), &json!({ "kid": { "k": "c2VjcmV0" } }));
    let reason = reason(&jwk);
    assert!(!format!("{reason:?} {reason}").contains("c2VjcmV0"), "{reason:?}");
}
