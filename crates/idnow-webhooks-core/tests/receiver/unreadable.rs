//! Inline mode and genuine deliveries that cannot be read.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use idnow_webhooks_core::event::{Event, SessionCompleted, Unreadable};
use idnow_webhooks_core::{EventRouter, HandlerError};
use idnow_webhooks_testkit::{Provider, SampleEvent};
use serde_json::{Value, json};

use crate::{DEADLINE, LIMIT, post};

type Seen = Arc<Mutex<Vec<(Option<String>, String)>>>;

fn noting(seen: &Seen) -> EventRouter {
    let seen = Arc::clone(seen);
    EventRouter::new().on(|_: Event<SessionCompleted>| async { panic!("not to be called") }).on_unreadable(
        move |event: Unreadable| {
            seen.lock().unwrap().push((event.event_id.clone(), event.json().to_owned()));
            async { Ok(()) }
        },
    )
}

#[tokio::test]
async fn the_handler_for_them_gets_the_signed_text() {
    let provider = Provider::new();
    let seen = Seen::default();
    let receiver = provider.receiver().handlers(noting(&seen)).build().unwrap();
    let envelope = SampleEvent::completed().set("createdAt", "yesterday");
    let payload = SampleEvent::completed().set("payload.sessionId", "no uuid");
    for event in [&envelope, &payload] {
        assert_eq!(provider.deliver(&receiver, event).await.code(), "handled");
        let (id, text) = seen.lock().unwrap().pop().unwrap();
        assert_eq!(id.as_deref(), Some(event.event_id()));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), event.data());
    }
    let token = provider.token_with(&envelope, |claims| drop(claims.remove("data")));
    assert_eq!(post(&receiver, &[], token).await.code(), "handled");
    assert_eq!(seen.lock().unwrap().pop().unwrap(), (None, "null".to_owned()));
}

#[tokio::test]
async fn without_one_the_provider_is_asked_to_keep_them() {
    let provider = Provider::new();
    let router = EventRouter::new().on(|_: Event<SessionCompleted>| async { Ok(()) });
    let receiver = provider.receiver().handlers(router).build().unwrap();
    for event in
        [SampleEvent::completed().remove("payload"), SampleEvent::completed().set("payload", json!([]))]
    {
        let outcome = provider.deliver(&receiver, &event).await;
        assert_eq!((outcome.status().as_u16(), outcome.code()), (503, "event_unreadable"));
    }
    // An update of this software reads it: nothing has been remembered that would stop it.
    let event = SampleEvent::completed();
    let broken = event.clone().set("payload.sessionId", 7);
    assert_eq!(provider.deliver(&receiver, &broken).await.code(), "event_unreadable");
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "handled");
}

#[tokio::test(start_paused = true)]
async fn its_failures_are_answered_like_any_other() {
    let provider = Provider::new();
    let event = SampleEvent::completed().remove("payload");
    let answer = async |router: EventRouter| {
        let receiver = provider
            .receiver()
            .handlers(router)
            .answer_deadline(DEADLINE)
            .handler_limit(LIMIT)
            .build()
            .unwrap();
        provider.deliver(&receiver, &event).await.code()
    };
    let router = EventRouter::new;
    assert_eq!(
        answer(router().on_unreadable(|_| async { Err(HandlerError::retry("x")) })).await,
        "handler_failed"
    );
    assert_eq!(
        answer(router().on_unreadable(|_| async { Err(HandlerError::permanent("x")) })).await,
        "handler_refused"
    );
    assert_eq!(answer(router().on_unreadable(|_| async { panic!("on purpose") })).await, "handler_failed");
    let hangs = router().on_unreadable(|_| async {
        tokio::time::sleep(Duration::from_secs(10_000)).await;
        Ok(())
    });
    assert_eq!(answer(hangs).await, "deadline_exceeded");
}
