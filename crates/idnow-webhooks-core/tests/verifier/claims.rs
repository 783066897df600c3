//! `iss` and `aud`: whom a token is from, and whom it is for.

use idnow_webhooks_core::{ClaimsError, MismatchKind};
use idnow_webhooks_testkit::{Provider, SigningKey};
use serde_json::{Value, json};

use crate::{
    NOW, at, claims_with, claims_without, mismatch, policy, refused, signed_claims, unusable, verify,
};

fn with(changes: &Value) -> String {
    signed_claims(&claims_with(changes))
}

#[test]
fn each_required_claim_is_missed() {
    for name in ["iss", "aud", "iat", "exp"] {
        assert_eq!(unusable(signed_claims(&claims_without(name))), ClaimsError::Missing(name));
        assert_eq!(unusable(with(&json!({ name: null }))), ClaimsError::Missing(name), "null");
    }
    for name in ["sub", "data"] {
        verify(signed_claims(&claims_without(name))).unwrap();
    }
    assert!(matches!(unusable(signed_claims(&json!({}))), ClaimsError::Missing(_)));
}

#[test]
fn an_issuer_is_one_text_and_compared_exactly() {
    let issuer = Provider::ISSUER;
    for name in [
        String::new(),
        format!("{issuer}/"),
        format!("{issuer} "),
        format!(" {issuer}"),
        format!("{issuer}\0"),
        issuer.to_uppercase(),
        issuer.replace("https", "http"),
        format!("{issuer}.attacker.example"),
        format!("https://attacker.example/{issuer}"),
        issuer[..issuer.len() - 1].to_owned(),
        format!("{issuer}\nforged log line"),
        "i".repeat(50_000),
    ] {
        let kind = mismatch(refused(with(&json!({ "iss": name }))));
        let MismatchKind::Issuer { expected, .. } = kind else { panic!("{kind:?}") };
        assert_eq!(expected, [issuer]);
    }
    for value in
        [json!([issuer]), json!([issuer, "x"]), json!({ "iss": issuer }), json!(7), json!(true), json!([])]
    {
        assert_eq!(unusable(with(&json!({ "iss": value }))), ClaimsError::Mistyped("iss"));
    }
}

#[test]
fn an_audience_is_a_text_or_an_array_of_texts() {
    let audience = Provider::AUDIENCE;
    for value in [
        json!(audience),
        json!([audience]),
        json!(["https://shop.example/", audience]),
        json!([audience, audience]),
        json!(vec![audience; 1000]),
    ] {
        verify(with(&json!({ "aud": value }))).unwrap();
    }
    for value in [
        json!(""),
        json!([]),
        json!([""]),
        json!(["https://shop.example/"]),
        json!(format!("{audience}/")),
        json!(format!("{audience}?x=1")),
        json!(format!(" {audience}")),
        json!(audience.to_uppercase()),
        json!([audience.to_uppercase(), format!("{audience}#")]),
        json!(&audience[..audience.len() - 1]),
        json!(audience.chars().map(String::from).collect::<Vec<_>>()),
        json!("a".repeat(50_000)),
        json!(vec!["a"; 10_000]),
    ] {
        let kind = mismatch(refused(with(&json!({ "aud": value }))));
        let MismatchKind::Audience { expected, seen } = kind else { panic!("{kind:?}") };
        assert_eq!(expected, [audience]);
        assert!(seen.len() <= 5);
    }
    for value in [
        json!([[audience]]),
        json!([audience, null]),
        json!([null, audience]),
        json!([audience, 7]),
        json!([audience, {}]),
        json!({ "aud": audience }),
        json!({ audience: true }),
        json!({ "0": audience }),
        json!(7),
        json!(true),
    ] {
        assert_eq!(unusable(with(&json!({ "aud": value }))), ClaimsError::Mistyped("aud"));
    }
}

#[test]
fn several_issuers_and_audiences_may_be_expected() {
    let verifier =
        policy().issuer("https://second.example").audience("https://second.example/hook").build().unwrap();
    let keys = SigningKey::shared().key_set();
    let verify = |changes: &Value| verifier.verify(with(changes).as_bytes(), &keys, at(NOW));
    verify(&json!({})).unwrap();
    let second =
        verify(&json!({ "iss": "https://second.example", "aud": ["https://second.example/hook"] })).unwrap();
    assert_eq!(second.issuer, "https://second.example");
    let kind = mismatch(verify(&json!({ "iss": "https://third.example" })).unwrap_err());
    let MismatchKind::Issuer { expected, seen } = &kind else { panic!("{kind:?}") };
    assert_eq!(expected.len(), 2);
    assert_eq!(seen.to_string(), "\"https://third.example\"");
    // An issuer is no audience, nor the other way round.
    assert_eq!(verify(&json!({ "aud": Provider::ISSUER })).unwrap_err().code(), "wrong_audience");
    assert_eq!(verify(&json!({ "iss": Provider::AUDIENCE })).unwrap_err().code(), "wrong_issuer");
}

#[test]
fn a_subject_is_a_text_or_absent() {
    assert_eq!(verify(with(&json!({ "sub": "x" }))).unwrap().subject.as_deref(), Some("x"));
    assert_eq!(verify(with(&json!({ "sub": null }))).unwrap().subject, None);
    assert_eq!(verify(with(&json!({ "sub": 7 }))).unwrap().subject, None);
    assert_eq!(verify(with(&json!({ "sub": { "id": [7] } }))).unwrap().subject, None);
}

/// A policy that names nobody would believe everybody.
#[test]
fn a_policy_without_a_name_cannot_be_built() {
    use idnow_webhooks_core::{PolicyError, Verifier};
    let missing = |builder: idnow_webhooks_core::VerifierBuilder| builder.build().unwrap_err();
    assert_eq!(missing(Verifier::builder().audience("a")), PolicyError::Missing("issuer"));
    assert_eq!(missing(Verifier::builder().issuer("i")), PolicyError::Missing("audience"));
    assert_eq!(missing(policy().issuer(" ")), PolicyError::Missing("issuer"));
    assert_eq!(missing(policy().audience("")), PolicyError::Missing("audience"));
    assert_eq!(missing(policy().algorithms([])), PolicyError::NoAlgorithm);
    assert_eq!(
        missing(Verifier::builder().issuer("i")).to_string(),
        "`audience` is not set, or empty: a token is believed only if it names one that is expected, so give at \
         least one"
    );
}
