//! Queued mode: one durable write, then the answer.

use std::time::Duration;

use idnow_webhooks_core::store::{Claim, EventState, EventStore, MemoryStore, SessionOrder};
use idnow_webhooks_core::{EventRouter, ReceiverError};
use idnow_webhooks_testkit::{FixedClock, Provider, SampleEvent, SigningKey};
use serde_json::{Value, json};

use crate::scripted::ScriptedStore;
use crate::{DEADLINE, codes, counting, runs};

#[tokio::test]
async fn an_event_is_stored_once_with_its_signed_text() {
    let clock = FixedClock::at("2026-01-08T08:35:39Z".parse().unwrap());
    let provider = Provider::new().with_clock(clock);
    let store = ScriptedStore::default();
    let receiver = provider.receiver().queued(store.clone()).build().unwrap();
    let event = SampleEvent::completed().set("note", "ü");
    assert_eq!(codes(&provider, &receiver, &event, 3).await, ["stored", "duplicate", "duplicate"]);

    let kept = &store.inserted()[0];
    assert_eq!(&*kept.id, event.event_id());
    assert_eq!(kept.name().as_deref(), Some("session.completed"));
    assert_eq!(kept.sequence, 2);
    assert_eq!(kept.session_id(), Some(event.session_id().to_string()));
    assert_eq!(kept.evidence, None);
    assert_eq!(serde_json::from_str::<Value>(kept.data()).unwrap(), event.with_attempt(1).data());
}

#[tokio::test]
async fn the_token_and_its_key_are_kept_when_that_is_wanted() {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let receiver = provider.receiver().queued(store.clone()).keep_evidence(true).build().unwrap();
    let token = provider.token(&SampleEvent::completed());
    assert_eq!(crate::post(&receiver, &[], token.clone()).await.code(), "stored");
    let kept = &store.inserted()[0];
    let evidence = kept.evidence.as_deref().unwrap();
    assert_eq!(evidence.token, token);
    let key: Value = serde_json::from_str(evidence.key.as_deref().unwrap()).unwrap();
    assert_eq!(key, SigningKey::shared().jwk());
    let stored = store.get(&kept.id).await.unwrap().unwrap();
    assert_eq!(stored.evidence.as_ref(), Some(evidence));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_kept_for_the_worker() {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let receiver = provider.receiver().queued(store.clone()).build().unwrap();
    let event = SampleEvent::completed().set("eventSequence", json!([2]));
    assert_eq!(codes(&provider, &receiver, &event, 2).await, ["stored", "duplicate"]);
    let kept = &store.inserted()[0];
    assert_eq!(&*kept.id, event.event_id());
    assert_eq!(kept.name().as_deref(), Some("session.completed"));
    assert_eq!(serde_json::from_str::<Value>(kept.data()).unwrap(), event.with_attempt(1).data());
    let claim = Claim { limit: 10, lease: Duration::from_secs(1), order: SessionOrder::Any };
    assert_eq!(store.claim(claim).await.unwrap()[0].data, kept.data());
}

/// Nothing genuine is without a place.
#[tokio::test]
async fn what_has_not_even_an_id_is_kept_by_its_content() {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let receiver = provider.receiver().queued(store.clone()).build().unwrap();
    let (base, deep) =
        (provider.claims(&SampleEvent::completed()), format!("{}{}", "[".repeat(5000), "]".repeat(5000)));
    for data in [
        "null",
        "[]",
        "\"x\"",
        "7",
        "1e400",
        "{}",
        r#"{"eventId":{"a":1}}"#,
        r#"{"eventId":""}"#,
        r#"{"eventId":"a\nb"}"#,
        r#"{"eventId":"\ud83d"}"#,
        r#"{"eventId":"a","eventId":"b"}"#,
        r#"{"eventId":"unreadable:0000"}"#,
        &deep,
    ] {
        let mut claims = base.clone();
        claims["data"] = json!(0);
        let header = json!({ "alg": "RS256", "kid": SigningKey::shared().key_id() }).to_string();
        let claims = claims.to_string().replace("\"data\":0", &format!("\"data\":{data}"));
        let token = SigningKey::shared().sign_raw(header.as_bytes(), claims.as_bytes());
        assert_eq!(crate::post(&receiver, &[], token.clone()).await.code(), "stored", "{data:.40}");
        assert_eq!(crate::post(&receiver, &[], token).await.code(), "duplicate", "{data:.40}");
        let event = store.inserted().pop().unwrap();
        assert!(event.id.starts_with("unreadable:"), "{}", event.id);
        assert_eq!(event.data(), data);
        assert_eq!(store.get(&event.id).await.unwrap().unwrap().state, EventState::Waiting);
    }
    // What the token says of its subject tells two apart.
    let token = provider.token_with(&SampleEvent::completed(), |claims| {
        claims["data"] = Value::Null;
        claims["sub"] = "another".into();
    });
    assert_eq!(crate::post(&receiver, &[], token).await.code(), "stored");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_acknowledged_before_it_is_safe() {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let receiver = provider.receiver().queued(store.clone()).answer_deadline(DEADLINE).build().unwrap();
    let event = SampleEvent::completed();
    store.fail_insert(true);
    assert_eq!(codes(&provider, &receiver, &event, 2).await, ["store_unavailable", "store_unavailable"]);
    let dead = event.clone().remove("payload");
    assert_eq!(codes(&provider, &receiver, &dead, 1).await, ["store_unavailable"]);
    store.fail_insert(false);
    store.hang(true);
    assert_eq!(codes(&provider, &receiver, &event, 1).await, ["deadline_exceeded"]);
    store.hang(false);
    assert_eq!(codes(&provider, &receiver, &event, 2).await, ["stored", "duplicate"]);

    let full = provider.receiver().queued(MemoryStore::with_capacity(1)).build().unwrap();
    assert_eq!(provider.deliver(&full, &SampleEvent::created()).await.code(), "stored");
    assert_eq!(provider.deliver(&full, &SampleEvent::created()).await.code(), "store_unavailable");
}

#[tokio::test]
async fn events_for_another_environment_are_stored_nowhere() {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let (router, count) = counting(|_| async { Ok(()) });
    let queued = provider.receiver().queued(store.clone()).expected_environment("live").build().unwrap();
    let inline = provider.receiver().handlers(router).expected_environment("live").build().unwrap();
    for environment in ["staging", "LIVE", "live ", "", "live\n", "liv"] {
        let event = SampleEvent::completed().with_environment(environment);
        for receiver in [&queued, &inline] {
            let outcome = provider.deliver(receiver, &event).await;
            assert_eq!(
                (outcome.status().as_u16(), outcome.code()),
                (503, "wrong_environment"),
                "{environment:?}"
            );
        }
    }
    assert!(store.inserted().is_empty());
    assert_eq!(runs(&count), 0);
    let event = SampleEvent::completed().with_environment("live");
    assert_eq!(provider.deliver(&queued, &event).await.code(), "stored");
    assert_eq!(provider.deliver(&inline, &event).await.code(), "handled");
}

#[tokio::test]
async fn events_with_new_names_are_stored_and_acknowledged_too() {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let queued = provider.receiver().queued(store.clone()).build().unwrap();
    let inline = provider.receiver().build().unwrap();
    for name in ["session.paused", "", "a.b.c", "session.completed "] {
        let event = SampleEvent::named(name);
        assert_eq!(provider.deliver(&queued, &event).await.code(), "stored", "{name}");
        assert_eq!(provider.deliver(&inline, &event).await.code(), "handled", "{name}");
    }
    assert_eq!(store.inserted().len(), 4);
}

#[tokio::test]
async fn what_belongs_to_inline_mode_is_not_silently_ignored() {
    let builder = || Provider::new().receiver().queued(MemoryStore::new());
    let handlers = EventRouter::new().on_any(|_| async { Ok(()) });
    let error = |builder: idnow_webhooks_core::ReceiverBuilder| builder.build().unwrap_err();
    assert_eq!(error(builder().handlers(handlers)), ReceiverError::Conflict("handlers"));
    assert_eq!(error(builder().store(MemoryStore::new())), ReceiverError::Conflict("store"));
    let runtime = tokio::runtime::Handle::current();
    assert_eq!(error(builder().runtime(runtime)), ReceiverError::Conflict("runtime"));
}
