//! The example that the provider publishes, as printed there.

use idnow_webhooks_core::event::{Event, SessionCompleted, SessionStatus};
use idnow_webhooks_core::keys::Algorithm;
use idnow_webhooks_core::{MismatchKind, Verifier};
use idnow_webhooks_testkit::{PUBLISHED_EXAMPLE, SigningKey};
use serde_json::Value;

use crate::{at, mismatch};

const ISSUER: &str = "https://auth.dev1.platform.idnow.dev/oidc";
const AUDIENCE: &str = "https://webhook.site/d076d490-8424-4c85-8904-5d1801c7909e";
const IAT: i64 = 1_767_861_339;
const EXP: i64 = 1_767_864_939;

/// Signs the text itself: not one byte of it is written anew.
fn token(key: &SigningKey) -> String {
    let header = format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{}"}}"#, key.key_id().unwrap());
    key.sign_raw(header.as_bytes(), PUBLISHED_EXAMPLE.as_bytes())
}

fn verifier(issuer: &str, audience: &str) -> Verifier {
    Verifier::builder().issuer(issuer).audience(audience).build().unwrap()
}

#[test]
fn every_member_is_read_as_printed() {
    let key = SigningKey::shared();
    let verified =
        verifier(ISSUER, AUDIENCE).verify(token(&key).as_bytes(), &key.key_set(), at(IAT + 1)).unwrap();
    assert_eq!(verified.issuer, ISSUER);
    assert_eq!(verified.subject.as_deref(), Some("61a51c5b-480d-4f47-8334-34b0ba7ae0be"));
    assert_eq!(verified.issued_at, at(IAT));
    assert_eq!(verified.expires_at, at(EXP));
    assert_eq!(verified.key_id.as_deref(), key.key_id());
    assert_eq!(verified.algorithm, Algorithm::Rs256);

    let event: Event<SessionCompleted> = verified.event().unwrap().read().unwrap();
    assert_eq!(event.id, "61a51c5b-480d-4f47-8334-34b0ba7ae0be");
    assert_eq!(event.name, "session.completed");
    assert_eq!(event.version.as_deref(), Some("1.0"));
    assert_eq!(event.sequence, 2);
    assert_eq!(event.deliver_id.as_deref(), Some("1"));
    assert_eq!(event.attempt(), Some(1));
    assert_eq!(event.created_at.unwrap().to_rfc3339(), "2026-01-08T08:35:37.581+00:00");
    assert_eq!(event.environment, "staging");
    assert_eq!(event.payload.flow_id, "bf8e2e27-2340-426f-a0bb-f1081e4a07ac");
    assert_eq!(event.payload.session_id.to_string(), "fe1941c2-bc45-4142-b516-fa0fc9fd7754");
    assert_eq!(event.payload.session_status, SessionStatus::Completed);
    assert!(event.payload.session_status.is_final());
    assert_eq!(event.payload.last_step_id.as_deref(), Some("END-ACCEPT"));
    assert_eq!(event.payload.last_step_type.as_deref(), Some("END"));
    assert_eq!(event.payload.last_step_status.as_deref(), Some("COMPLETED"));

    assert!(PUBLISHED_EXAMPLE.contains(event.json()), "the text of `data` was changed");
    let printed: Value = serde_json::from_str(PUBLISHED_EXAMPLE).unwrap();
    assert_eq!(serde_json::from_str::<Value>(event.json()).unwrap(), printed["data"]);
    assert_eq!(verified.json(), event.json());
}

#[test]
fn it_is_believed_for_its_hour_only_and_by_its_own_receiver_only() {
    let key = SigningKey::shared();
    let (token, keys) = (token(&key), key.key_set());
    let exact = verifier(ISSUER, AUDIENCE);
    exact.verify(token.as_bytes(), &keys, at(EXP)).unwrap();
    let late = exact.verify(token.as_bytes(), &keys, at(EXP + 60)).unwrap_err();
    assert_eq!(mismatch(late), MismatchKind::Expired { seconds_ago: 60, leeway: 60 });

    for (issuer, audience, code) in [
        ("https://auth.eu.platform.idnow.io/oidc", AUDIENCE, "wrong_issuer"),
        ("https://auth.dev1.platform.idnow.dev/oidc/", AUDIENCE, "wrong_issuer"),
        (ISSUER, "https://webhook.site/", "wrong_audience"),
        (ISSUER, "https://webhook.site/D076D490-8424-4C85-8904-5D1801C7909E", "wrong_audience"),
    ] {
        let error = verifier(issuer, audience).verify(token.as_bytes(), &keys, at(IAT)).unwrap_err();
        assert_eq!(error.code(), code, "{issuer} {audience}");
    }
}
