//! With serde_json's `arbitrary_precision`, numbers reach a deserializer as maps. All numbers are still read.

use idnow_webhooks_both_backends::{NOW, claims, verify};
use idnow_webhooks_core::event::{Event, RawEvent, SessionCompleted};
use idnow_webhooks_core::keys::{Algorithm, KeySet};
use idnow_webhooks_core::{VerifiedToken, VerifyError};
use idnow_webhooks_testkit::{SampleEvent, SigningKey};
use serde_json::{Value, json};

/// Genuine claims with one more piece of text, signed as it stands.
fn verify_text(claims: &str) -> Result<VerifiedToken, VerifyError> {
    let key = SigningKey::shared();
    let header = json!({ "alg": "RS256", "kid": key.key_id() }).to_string();
    verify(&key.sign_raw(header.as_bytes(), claims.as_bytes()), &key.key_set(), Algorithm::Rs256)
}

fn with(name: &str, text: &str) -> Result<VerifiedToken, VerifyError> {
    let mut claims = claims();
    claims[name] = json!("placeholder");
    verify_text(&claims.to_string().replace("\"placeholder\"", text))
}

#[test]
fn the_feature_is_on() {
    let exact: Value = serde_json::from_str("0.10000000000000000000000000000000001").unwrap();
    assert_eq!(exact.to_string(), "0.10000000000000000000000000000000001");
}

#[test]
fn times_are_read_in_each_spelling_of_a_number() {
    for text in [
        "1767861339",
        "1767861339.0",
        "1767861339.999",
        "1.767861339e9",
        "1767861339000e-3",
        "17678613390E-1",
    ] {
        let verified = with("iat", text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(verified.issued_at.timestamp(), NOW, "{text}");
    }
    for text in [
        "1e999",
        "-1",
        "-0.5",
        "1e99999999999999999999",
        "9223372036854775808",
        "18446744073709551616",
        "253402300800",
        "\"1767861339\"",
        "{}",
        "[]",
        "true",
    ] {
        assert_eq!(with("exp", text).unwrap_err().code(), "unusable_claims", "{text}");
    }
}

/// The name under which `serde_json` hands a number on is an ordinary member in a document.
#[test]
fn a_number_in_disguise_is_refused() {
    for claim in ["iat", "exp", "nbf"] {
        for number in ["1767861339", "9999999999999999999999", "x", ""] {
            let disguised = json!({ "$serde_json::private::Number": number }).to_string();
            let result = with(claim, &disguised);
            assert_eq!(result.unwrap_err().code(), "unusable_claims", "{claim} {disguised}");
        }
    }
    let disguised = json!({ "$serde_json::private::Number": "7" }).to_string();
    for claim in ["iss", "aud"] {
        assert!(with(claim, &disguised).is_err(), "{claim}");
    }
    assert_eq!(with("sub", &disguised).unwrap().subject, None, "a subject that is no text plays no part");
}

#[test]
fn repeated_claims_are_still_found_and_what_nobody_reads_is_skipped() {
    let and = |more: &str| {
        let text = claims().to_string();
        verify_text(&format!("{},{more}}}", text.strip_suffix('}').unwrap()))
    };
    for more in [r#""exp":1"#, r#""\u0065xp":1.5"#, r#""data":{}"#] {
        assert_eq!(and(more).unwrap_err().code(), "unusable_claims", "{more}");
    }
    for more in [
        r#""x":{"a":1,"a":1}"#,
        r#""x":1.5,"x":1.5"#,
        r#""x":1e999"#,
        r#""x":[{"a":1.0},{"b":1e5,"\u0062":2}]"#,
        &format!("\"x\":{}1{}", "[".repeat(200), "]".repeat(200)),
    ] {
        and(more).unwrap();
    }
}

#[test]
fn members_of_events_are_read_as_text_or_number() {
    let event = SampleEvent::completed()
        .set("eventSequence", 7)
        .set("eventDeliverId", 3)
        .set("eventVersion", json!(1.0))
        .set("eventId", 42)
        .set("payload.flowId", json!(-5))
        .set("payload.lastStepId", json!(2.5))
        .set("payload.lastStepType", Value::Null)
        .set("note", json!({ "deep": [1, 2.5, -3e300] }));
    let text = event.data().to_string();
    let event: Event<SessionCompleted> = RawEvent::from_json(&text).unwrap().read().unwrap();
    assert_eq!((event.sequence, event.attempt(), &*event.id), (7, Some(3), "42"));
    assert_eq!(event.version.as_deref(), Some("1.0"));
    assert_eq!(event.payload.flow_id, "-5");
    assert_eq!(event.payload.last_step_id.as_deref(), Some("2.5"));
    assert_eq!(event.payload.last_step_type, None);
    assert_eq!(event.json(), text);

    for (member, value) in [
        ("eventSequence", json!(-1)),
        ("eventSequence", json!(1.5)),
        ("eventSequence", json!({ "$serde_json::private::Number": "x" })),
        ("eventId", json!({ "a": 1 })),
        ("eventId", json!([1])),
        ("eventId", json!(true)),
        ("payload.flowId", json!({})),
    ] {
        let event = SampleEvent::completed().set(member, value.clone());
        let read = RawEvent::from_json(&event.data().to_string()).and_then(|event| event.session());
        assert!(read.is_err(), "{member} {value}");
    }
}

#[test]
fn keys_are_read_with_numbers_beside_them() {
    let mut jwk = SigningKey::shared().jwk();
    jwk["iat"] = json!(1.5);
    jwk["nested"] = json!({ "a": [1, 2e300] });
    let keys = KeySet::from_jwks(json!({ "keys": [jwk], "version": 1.25 }).to_string().as_bytes()).unwrap();
    assert_eq!(keys.key_ids(), [SigningKey::shared().key_id().unwrap()]);
}
