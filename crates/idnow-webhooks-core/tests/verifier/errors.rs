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
#[expect(clippy::too_many_lines, reason = "one table")]
fn every_refusal_says_what_was_expected_and_seen() {
    let kid = SigningKey::shared().key_id().unwrap().to_owned();
    let other = SigningKey::shared_other();
    let other_kid = other.key_id().unwrap();
    let keys = SigningKey::shared().key_set();
    let narrow = policy().algorithms([Algorithm::Es256, Algorithm::Ps256]).build().unwrap();
    let young = policy().max_age(Duration::from_secs(10)).leeway(Duration::from_secs(5)).build().unwrap();
    let live = policy().expected_environment("live").build().unwrap();
    let flows = policy().expected_flow("one").expected_flow("two").build().unwrap();
    let (issuer, audience) = (Provider::ISSUER, Provider::AUDIENCE);
    let header = genuine().split('.').next().unwrap().to_owned();
    let cases = [
        (refused("x"), "malformed_token", "not a compact JWS: expected three segments separated by dots".to_owned()),
        (
            refused(format!("{header}=.e30.AA")),
            "malformed_token",
            "the token's header is not strict base64url without padding".into(),
        ),
        (refused("W10.e30.AA"), "malformed_token", "the token's header cannot be read: not a JSON object".into()),
        (
            refused_by(&narrow, genuine(), &keys, at(NOW)),
            "algorithm_not_allowed",
            "algorithm: expected one of [ES256, PS256], seen RS256; IDNOW_ALGORITHMS allows more".into(),
        ),
        (with(&json!({ "iss": null })), "unusable_claims", "claim `iss` is missing".into()),
        (
            with(&json!({ "iss": "https://evil.example\n" })),
            "wrong_issuer",
            format!(
                r#"issuer: expected one of [{issuer}], seen "https://evil.example\n"; IDNOW_ISSUER and IDNOW_ENVIRONMENT decide"#
            ),
        ),
        (
            with(&json!({ "aud": ["a", "b", "c", "d", "e", "f"] })),
            "wrong_audience",
            format!(
                r#"audience: expected one of [{audience}], seen ["a", "b", "c", "d", "e"]; IDNOW_AUDIENCE must be the endpoint's URL, letter for letter"#
            ),
        ),
        (
            with(&json!({ "iat": NOW - 190, "exp": NOW - 90 })),
            "expired",
            "time: expired 90 s ago, expected at most 60 s (IDNOW_LEEWAY_SECONDS): compare this machine's clock".into(),
        ),
        (
            with(&json!({ "iat": NOW + 61 })),
            "not_yet_valid",
            "time: `iat` is 61 s ahead, expected at most 60 s (IDNOW_LEEWAY_SECONDS): compare this machine's clock"
                .into(),
        ),
        (
            with(&json!({ "nbf": NOW + 100 })),
            "not_yet_valid",
            "time: `nbf` is 100 s ahead, expected at most 60 s (IDNOW_LEEWAY_SECONDS): compare this machine's clock"
                .into(),
        ),
        (
            with(&json!({ "exp": NOW + 86_401 })),
            "wrong_lifetime",
            "lifetime: expected 1 to 86400 s, seen 86401 s; IDNOW_MAX_LIFETIME_SECONDS allows more".into(),
        ),
        (
            refused_by(&young, genuine(), &keys, at(NOW + 16)),
            "too_old",
            "age: issued 16 s ago, expected at most 10 s (IDNOW_MAX_AGE_SECONDS) and 5 s (IDNOW_LEEWAY_SECONDS)"
                .into(),
        ),
        (
            refused_by(&live, genuine(), &keys, at(NOW)),
            "wrong_environment",
            r#"environment: expected "live", seen "staging"; IDNOW_EXPECTED_ENVIRONMENT decides"#.into(),
        ),
        (
            refused_by(&flows, genuine(), &keys, at(NOW)),
            "wrong_flow",
            r#"flow: expected one of [one, two], seen "bf8e2e27-2340-426f-a0bb-f1081e4a07ac"; IDNOW_EXPECTED_FLOWS decides"#
                .into(),
        ),
        (
            refused(other.sign(&claims())),
            "unknown_key",
            format!(r#"key: no usable "RS256" key with id "{other_kid}" verifies it, known ids are ["{kid}"]"#),
        ),
        (
            refused(other.clone().with_key_id(&kid).sign(&claims())),
            "false_signature",
            format!(r#"signature: does not hold under the "RS256" key with id "{kid}""#),
        ),
        (
            refused(SigningKey::generate(Algorithm::Es256).with_key_id(&kid).sign(&claims())),
            "wrong_algorithm",
            format!(r#"algorithm: the key with id "{kid}" does not sign with "ES256""#),
        ),
        (
            refused(other.clone().without_key_id().sign(&claims())),
            "unknown_key",
            format!(r#"key: no usable "RS256" key with id (none) verifies it, known ids are ["{kid}"]"#),
        ),
    ];
    for (error, code, text) in cases {
        assert_eq!(error.to_string(), text);
        assert_eq!(error.code(), code, "{text}");
    }
}

#[test]
fn what_a_stranger_wrote_is_cut_and_escaped() {
    let text = with(&json!({ "iss": "x".repeat(1000) })).to_string();
    assert!(text.contains(&format!("\"{}…\";", "x".repeat(200))), "{text}");
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

/// Whatever it says: it comes from anybody, and so tells nothing of a setting or a clock that would be wrong.
#[test]
fn only_a_token_whose_signature_holds_tells_anything() {
    let key = SigningKey::shared();
    let stranger = SigningKey::shared_other();
    let forger = stranger.clone().with_key_id(key.key_id().unwrap());
    for (changes, genuine) in [
        (json!({ "iat": NOW + 1000 }), "not_yet_valid"),
        (json!({ "nbf": NOW + 1000 }), "not_yet_valid"),
        (json!({ "exp": NOW - 1000, "iat": NOW - 2000 }), "expired"),
        (json!({ "exp": NOW + 1_000_000 }), "wrong_lifetime"),
        (json!({ "aud": "https://shop.example/" }), "wrong_audience"),
        (json!({ "iss": "https://evil.example/" }), "wrong_issuer"),
        (json!({ "iss": 7 }), "unusable_claims"),
        (json!({ "exp": null }), "unusable_claims"),
    ] {
        for (signer, code) in [(&key, genuine), (&forger, "false_signature"), (&stranger, "unknown_key")] {
            assert_eq!(refused(signer.sign(&claims_with(&changes))).code(), code, "{changes}");
        }
    }
    let token = stranger.sign(&claims());
    let (message, _) = token.rsplit_once('.').unwrap();
    assert_eq!(refused(format!("{message}.!!!")).code(), "malformed_token");
}

/// Which tells whether the refused event is most likely ours.
#[test]
fn a_mismatch_says_whether_the_flow_is_an_expected_one() {
    let flow = "bf8e2e27-2340-426f-a0bb-f1081e4a07ac";
    let keys = SigningKey::shared().key_set();
    let elsewhere = signed_claims(&claims_with(&json!({ "aud": "https://shop.example/" })));
    for (policy, expected) in
        [(policy().expected_flow(flow), true), (policy().expected_flow("x"), false), (policy(), false)]
    {
        let error = refused_by(&policy.build().unwrap(), &elsewhere, &keys, at(NOW));
        let VerifyError::Mismatch(mismatch) = error else { panic!("{error:?}") };
        assert_eq!(mismatch.is_expected_flow, expected);
    }
}
