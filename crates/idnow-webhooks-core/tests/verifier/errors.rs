//! Each refusal explains itself in one line: the check, what was expected, what was seen, by how much.

use std::time::Duration;

use idnow_webhooks_core::VerifyError;
use idnow_webhooks_core::keys::Algorithm;
use idnow_webhooks_testkit::{Provider, SigningKey};
use serde_json::{Value, json};

use crate::{NOW, at, claims, claims_with, genuine, policy, refused, refused_by, signed_claims};

fn with(changes: &Value) -> VerifyError {
    refused(signed_claims(&claims_with(changes)))
}

#[test]
fn every_refusal_says_what_was_expected_and_seen() {
    let kid = SigningKey::shared().key_id().unwrap().to_owned();
    let other = SigningKey::shared_other();
    let other_kid = other.key_id().unwrap();
    let keys = SigningKey::shared().key_set();
    let narrow = policy().algorithms([Algorithm::Es256, Algorithm::Ps256]).build().unwrap();
    let young = policy().max_age(Duration::from_secs(10)).leeway(Duration::from_secs(5)).build().unwrap();
    let (issuer, audience) = (Provider::ISSUER, Provider::AUDIENCE);
    let header = genuine().split('.').next().unwrap().to_owned();
    let cases = [
        (refused("x"), "form", "not a compact JWS: expected three segments separated by dots".to_owned()),
        (
            refused(format!("{header}.e30=.AA")),
            "form",
            "the token's claims is not strict base64url without padding".into(),
        ),
        (
            refused(format!("{header}.e30.{}", "A".repeat(2000))),
            "form",
            "the token's signature is too long".into(),
        ),
        (
            refused(format!("{header}.W10.AA")),
            "form",
            "the token's claims cannot be read: expected an object, at column 1".into(),
        ),
        (
            refused_by(&narrow, genuine(), &keys, at(NOW)),
            "algorithm",
            "algorithm: expected one of [ES256, PS256], seen \"RS256\"".into(),
        ),
        (with(&json!({ "iss": null })), "claim", "claim `iss` is missing".into()),
        (
            with(&json!({ "iss": "https://evil.example\n" })),
            "issuer",
            format!(r#"issuer: expected one of [{issuer}], seen "https://evil.example\n""#),
        ),
        (
            with(&json!({ "aud": ["a", "b", "c", "d", "e", "f"] })),
            "audience",
            format!(r#"audience: expected one of [{audience}], seen ["a", "b", "c", "d", "e"]"#),
        ),
        (with(&json!({ "exp": NOW - 90 })), "expiry", "expired 90 s ago, leeway is 60 s".into()),
        (
            with(&json!({ "iat": NOW + 61 })),
            "not_yet",
            "issued 61 s in the future, leeway is 60 s: compare the clocks".into(),
        ),
        (
            with(&json!({ "nbf": NOW + 100 })),
            "not_yet",
            "valid only in 100 s, leeway is 60 s: compare the clocks".into(),
        ),
        (
            with(&json!({ "exp": NOW + 86_401 })),
            "lifetime",
            "lives for 86401 s, expected 1 to 86400 s".into(),
        ),
        (
            refused_by(&young, genuine(), &keys, at(NOW + 16)),
            "age",
            "issued 16 s ago, at most 10 s are accepted, leeway is 5 s".into(),
        ),
        (
            refused(other.sign(&claims())),
            "key",
            format!(r#"key: no RS256 key with id "{other_kid}", known ids are ["{kid}"]"#),
        ),
        (
            refused(other.clone().with_key_id(&kid).sign(&claims())),
            "signature",
            format!(r#"signature: does not hold under the RS256 key with id "{kid}""#),
        ),
        (
            refused(other.clone().without_key_id().sign(&claims())),
            "key",
            format!(r#"key: no RS256 key with id (none), known ids are ["{kid}"]"#),
        ),
    ];
    for (error, check, text) in cases {
        assert_eq!(error.to_string(), text);
        assert_eq!(error.check(), check, "{text}");
    }
}

#[test]
fn what_a_stranger_wrote_is_cut_and_escaped() {
    let text = with(&json!({ "iss": "x".repeat(1000) })).to_string();
    assert!(text.ends_with(&format!("\"{}…\"", "x".repeat(200))), "{text}");
    let exact = with(&json!({ "iss": "x".repeat(200) })).to_string();
    assert!(!exact.contains('…'), "{exact}");
    for nasty in [
        "\u{1b}]0;title\u{7}",
        "\u{202e}gnp.exe",
        "\u{2066}",
        "a\u{85}b",
        "\u{2028}\u{2029}",
        "\u{feff}",
        "\"quoted\"",
    ] {
        let text = with(&json!({ "iss": nasty })).to_string();
        assert!(!text.contains(nasty), "{text:?}");
    }
}

/// Cheap checks come first: a forgery that is also stale must not cost a signature, nor a look at the keys.
#[test]
fn a_token_that_fails_anyway_never_asks_for_keys() {
    let stranger = SigningKey::shared_other();
    for changes in [
        json!({ "exp": NOW - 1000, "iat": NOW - 2000 }),
        json!({ "aud": "https://shop.example/" }),
        json!({ "iss": "https://evil.example/" }),
        json!({ "exp": NOW + 1_000_000 }),
    ] {
        let error = refused(stranger.sign(&claims_with(&changes)));
        assert!(!matches!(error, VerifyError::UnknownKey { .. }), "{changes}: {error}");
    }
    let token = stranger.sign(&claims());
    let (message, _) = token.rsplit_once('.').unwrap();
    let error = refused(format!("{message}.!!!"));
    assert_eq!(error.check(), "form", "{error}");
}

/// It alone is worth another attempt, and a look at the clocks.
#[test]
fn only_a_genuine_token_is_too_early() {
    let key = SigningKey::shared();
    let stranger = SigningKey::shared_other();
    let forger = stranger.clone().with_key_id(key.key_id().unwrap());
    for changes in [json!({ "iat": NOW + 1000 }), json!({ "nbf": NOW + 1000 })] {
        for (signer, check) in [(&key, "not_yet"), (&forger, "signature"), (&stranger, "key")] {
            assert_eq!(refused(signer.sign(&claims_with(&changes))).check(), check, "{changes}");
        }
    }
}
