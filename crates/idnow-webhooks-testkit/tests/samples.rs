//! Samples have the documented shape, and the provider wraps them as documented.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends with a panic, also in its helpers"
)]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use idnow_webhooks_testkit::{FixedClock, PUBLISHED_EXAMPLE, Provider, SampleEvent, SigningKey};
use serde_json::{Value, json};

fn claims_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn each_event_has_the_documented_members_and_types() {
    let published = SampleEvent::published().data();
    let cases = [
        (SampleEvent::created(), "session.created", "CREATED", "1"),
        (SampleEvent::completed(), "session.completed", "COMPLETED", "2"),
        (SampleEvent::expired(), "session.expired", "EXPIRED", "2"),
        (SampleEvent::aborted(), "session.aborted", "ABORTED", "2"),
        (SampleEvent::error(), "session.error", "ERROR", "2"),
    ];
    for (event, name, status, sequence) in cases {
        let data = event.data();
        assert_eq!(members(&data), members(&published), "{name}");
        assert_eq!(event.name(), name);
        assert_eq!(data["eventName"], name);
        assert_eq!(data["eventVersion"], "1.0");
        assert_eq!(data["eventSequence"], sequence, "{name}");
        assert_eq!(data["eventDeliverId"], "1");
        assert_eq!(data["environment"], "staging");
        assert_eq!(data["payload"]["sessionStatus"], status);
        assert!(uuid::Uuid::try_parse(event.event_id()).is_ok());
        assert!(uuid::Uuid::try_parse(event.session_id()).is_ok());
        assert!(uuid::Uuid::try_parse(data["payload"]["flowId"].as_str().unwrap()).is_ok());
        let created_at = data["createdAt"].as_str().unwrap();
        assert_eq!(created_at.len(), "2026-01-08T08:35:37.581Z".len());
        assert!(created_at.parse::<DateTime<Utc>>().is_ok() && created_at.ends_with('Z'), "{created_at}");
        if name == "session.created" {
            assert_eq!(members(&data["payload"]), ["flowId", "sessionId", "sessionStatus"]);
        } else {
            assert_eq!(members(&data["payload"]), members(&published["payload"]), "{name}");
            assert_eq!(data["payload"]["lastStepStatus"], status);
        }
    }
}

#[test]
fn each_sample_is_an_event_of_its_own() {
    let (one, two) = (SampleEvent::completed(), SampleEvent::completed());
    assert_ne!(one.event_id(), two.event_id());
    assert_ne!(one.session_id(), two.session_id());
    assert_eq!(one.clone(), one);
}

#[test]
fn an_unknown_name_is_kept() {
    let event = SampleEvent::named("session.paused");
    assert_eq!(event.data()["eventName"], "session.paused");
    assert_eq!(event.data()["payload"]["sessionStatus"], "RUNNING");
    assert_eq!(event.data()["payload"].get("lastStepId"), None);
}

#[test]
fn setters_change_what_they_name() {
    let event = SampleEvent::expired()
        .with_event_id("e")
        .with_session_id("s")
        .with_flow_id("f")
        .with_sequence(7)
        .with_attempt(3)
        .with_environment("live")
        .with_created_at("2026-02-03T04:05:06Z".parse().unwrap())
        .with_status("PAUSED")
        .with_last_step("ID-1", "DOC", "FAILED");
    assert_eq!(
        event.data(),
        json!({
            "eventId": "e",
            "eventName": "session.expired",
            "eventVersion": "1.0",
            "eventSequence": "7",
            "eventDeliverId": "3",
            "createdAt": "2026-02-03T04:05:06.000Z",
            "environment": "live",
            "payload": {
                "flowId": "f",
                "sessionId": "s",
                "sessionStatus": "PAUSED",
                "lastStepId": "ID-1",
                "lastStepType": "DOC",
                "lastStepStatus": "FAILED",
            },
        })
    );
}

#[test]
fn paths_reach_everything() {
    let event = SampleEvent::created()
        .set("eventSequence", 1)
        .set("new.deep.member", json!([1, 2]))
        .set("eventVersion.major", 2)
        .remove("payload.flowId")
        .remove("payload.nothing")
        .remove("nothing.at.all")
        .remove("eventDeliverId.not.an.object")
        .remove("environment");
    let data = event.data();
    assert_eq!(data["eventSequence"], 1);
    assert_eq!(data["new"], json!({ "deep": { "member": [1, 2] } }));
    assert_eq!(data["eventVersion"], json!({ "major": 2 }));
    assert_eq!(members(&data["payload"]), ["sessionId", "sessionStatus"]);
    assert_eq!(data["eventDeliverId"], "1");
    assert_eq!(data.get("environment"), None);
    assert_eq!(event.set("eventId", 5).event_id(), "");
}

#[test]
fn a_session_is_created_then_completed() {
    let [created, completed] = SampleEvent::session("fe1941c2-bc45-4142-b516-fa0fc9fd7754");
    assert_eq!((created.name(), completed.name()), ("session.created", "session.completed"));
    for (event, sequence) in [(&created, "1"), (&completed, "2")] {
        assert_eq!(event.session_id(), "fe1941c2-bc45-4142-b516-fa0fc9fd7754");
        assert_eq!(event.data()["eventSequence"], sequence);
    }
    assert_eq!(created.data()["payload"]["flowId"], completed.data()["payload"]["flowId"]);
    assert_ne!(created.event_id(), completed.event_id());
}

#[test]
fn the_published_example_is_reproduced_claim_by_claim() {
    let printed: Value = serde_json::from_str(PUBLISHED_EXAMPLE).unwrap();
    assert_eq!(SampleEvent::published().data(), printed["data"]);
    assert_eq!(SampleEvent::published().event_id(), "61a51c5b-480d-4f47-8334-34b0ba7ae0be");

    let issued_at = DateTime::from_timestamp(1_767_861_339, 0).unwrap();
    let provider = Provider::new()
        .with_audience("https://webhook.site/d076d490-8424-4c85-8904-5d1801c7909e")
        .with_clock(FixedClock::at(issued_at));
    assert_eq!(provider.claims(&SampleEvent::published()), printed);
    assert_eq!(claims_of(&provider.token(&SampleEvent::published())), printed);
}

#[test]
fn the_provider_signs_with_its_key_and_its_settings() {
    let clock = FixedClock::at(DateTime::from_timestamp(1_000, 999_000_000).unwrap());
    let key = SigningKey::shared_other();
    let provider = Provider::new()
        .with_key(key.clone())
        .with_issuer("https://issuer.example")
        .with_audience("https://audience.example")
        .with_lifetime(Duration::from_secs(60))
        .with_clock(clock.clone());
    let event = SampleEvent::created();
    let token = provider.token(&event);
    let expected = json!({
        "iss": "https://issuer.example",
        "aud": "https://audience.example",
        "iat": 1_000,
        "exp": 1_060,
        "sub": event.event_id(),
        "data": event.data(),
    });
    assert_eq!(claims_of(&token), expected);
    assert_eq!(
        (provider.issuer(), provider.audience()),
        ("https://issuer.example", "https://audience.example")
    );

    let (message, signature) = token.rsplit_once('.').unwrap();
    let keys = provider.key().key_set();
    let found: Vec<_> = keys.candidates(key.algorithm(), key.key_id()).collect();
    let [found] = found[..] else { panic!("not one key: {found:?}") };
    assert!(found.verifies(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()));

    clock.advance(Duration::from_secs(5));
    assert_eq!(claims_of(&provider.token(&event))["iat"], 1_005);
}

#[test]
fn claims_can_be_changed_before_signing() {
    let provider = Provider::new();
    let event = SampleEvent::created();
    let token = provider.token_with(&event, |claims| {
        claims.remove("iat");
        claims["aud"] = json!(["a", "b"]);
    });
    let claims = claims_of(&token);
    assert_eq!(claims.get("iat"), None);
    assert_eq!(claims["aud"], json!(["a", "b"]));
    assert_eq!(claims["data"], event.data());
}

#[test]
fn the_longest_lifetime_does_not_overflow() {
    let provider = Provider::new().with_lifetime(Duration::MAX);
    assert_eq!(provider.claims(&SampleEvent::created())["exp"], i64::MAX);
}
