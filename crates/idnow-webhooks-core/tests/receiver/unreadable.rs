//! Inline mode and genuine deliveries that cannot be read.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use idnow_webhooks_core::event::{Event, SessionAborted, SessionCompleted, Unreadable};
use idnow_webhooks_core::{EventRouter, HandlerError, HandlerResult, Head, Refusal};
use idnow_webhooks_testkit::{Provider, SampleEvent};
use serde_json::{Value, json};

use crate::scripted::ScriptedStore;
use crate::{DEADLINE, LIMIT, codes, headers, post, runs, whole};

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
    let envelope = SampleEvent::completed().set("eventSequence", "second");
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

/// A router that counts the runs of its handler for unreadable events.
fn counting<R>(result: impl Fn(usize) -> R + Clone + Send + Sync + 'static) -> (EventRouter, Arc<AtomicUsize>)
where
    R: Future<Output = HandlerResult> + Send + 'static,
{
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&runs);
    let router = EventRouter::new()
        .on_unreadable(move |_: Unreadable| result(counter.fetch_add(1, Ordering::SeqCst) + 1));
    (router, runs)
}

#[tokio::test]
async fn one_with_an_id_is_handled_once() {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let (router, count) = counting(|_| async { Ok(()) });
    let receiver = provider.receiver().handlers(router).store(store.clone()).build().unwrap();
    let event = SampleEvent::completed().remove("payload");
    assert_eq!(codes(&provider, &receiver, &event, 3).await, ["handled", "duplicate", "duplicate"]);
    assert_eq!(runs(&count), 1);
    assert_eq!(store.ended(), [("complete", String::new())]);
}

#[tokio::test]
async fn one_with_an_id_is_handled_again_after_a_failure_unless_it_was_for_good() {
    let provider = Provider::new();
    let event = SampleEvent::completed().set("eventSequence", "second");
    let (router, count) =
        counting(|run| async move { if run == 1 { Err(HandlerError::retry("not now")) } else { Ok(()) } });
    let receiver = provider.receiver().handlers(router).build().unwrap();
    assert_eq!(codes(&provider, &receiver, &event, 3).await, ["handler_failed", "handled", "duplicate"]);
    assert_eq!(runs(&count), 2);

    let (router, count) = counting(|_| async { Err(HandlerError::permanent("never")) });
    let receiver = provider.receiver().handlers(router).build().unwrap();
    assert_eq!(codes(&provider, &receiver, &event, 2).await, ["handler_refused", "handler_refused"]);
    assert_eq!(runs(&count), 1);
}

#[tokio::test(start_paused = true)]
async fn one_with_an_id_is_handled_by_one_attempt_at_a_time() {
    let provider = Provider::new();
    let (router, count) = counting(|_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    });
    let receiver = provider.receiver().handlers(router).build().unwrap();
    let event = SampleEvent::completed().remove("eventName");
    let (first, second) =
        tokio::join!(provider.deliver(&receiver, &event), provider.deliver(&receiver, &event));
    assert_eq!((first.code(), second.code()), ("handled", "in_progress"));
    assert_eq!(runs(&count), 1);
}

/// It is recognised by its whole content.
#[tokio::test]
async fn one_without_an_id_is_handled_once() {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let (router, count) = counting(|_| async { Ok(()) });
    let receiver = provider.receiver().handlers(router).store(store.clone()).build().unwrap();
    for event in [SampleEvent::completed().remove("eventId"), SampleEvent::completed().set("eventId", "a\nb")]
    {
        assert_eq!(provider.deliver(&receiver, &event).await.code(), "handled");
        assert_eq!(provider.deliver(&receiver, &event).await.code(), "duplicate");
    }
    assert_eq!(runs(&count), 2);
    assert_eq!(store.ended().len(), 2);
}

#[tokio::test]
async fn the_environment_is_checked_as_far_as_it_can_be_read() {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let (router, count) = counting(|_| async { Ok(()) });
    let inline = provider.receiver().handlers(router).expected_environment("live").build().unwrap();
    let queued = provider.receiver().queued(store.clone()).expected_environment("live").build().unwrap();
    let broken = || SampleEvent::completed().remove("payload");
    let foreign =
        [broken().with_environment("staging"), broken().with_environment("staging").remove("eventId")];
    for event in foreign {
        for receiver in [&inline, &queued] {
            let outcome = provider.deliver(receiver, &event).await;
            assert_eq!((outcome.status().as_u16(), outcome.code()), (503, "wrong_environment"));
        }
    }
    assert_eq!(runs(&count), 0);
    assert!(store.inserted().is_empty());
    for event in [
        broken().with_environment("live"),
        broken().remove("environment"),
        broken().set("environment", json!([])),
    ] {
        assert_eq!(provider.deliver(&inline, &event).await.code(), "handled");
        assert_eq!(provider.deliver(&queued, &event).await.code(), "stored");
    }
    assert_eq!(runs(&count), 3);
}

/// A session that was aborted must never pass for one that was completed.
#[tokio::test]
async fn a_verified_event_is_not_read_under_another_name() {
    let provider = Provider::new();
    let receiver = provider.receiver().build().unwrap();
    let headers = headers(&[]);
    let token = || whole(provider.token(&SampleEvent::aborted()));
    let head = || Head { method: &Method::POST, headers: &headers, peer: None };
    let refusal = receiver.verify_as::<SessionCompleted, _, _, _>(head(), token()).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unreadable(_)), "{refusal}");
    assert_eq!((refusal.status().as_u16(), refusal.code()), (503, "event_unreadable"));
    assert!(refusal.to_string().contains("session.aborted"), "{refusal}");
    receiver.verify_as::<SessionAborted, _, _, _>(head(), token()).await.unwrap();
}

#[tokio::test]
async fn one_that_its_handler_refuses_for_good_is_refused_for_good() {
    let provider = Provider::new();
    let router = EventRouter::new().on_unreadable(|event| async { Err(HandlerError::permanent(event)) });
    let receiver = provider.receiver().handlers(router).build().unwrap();
    let event = SampleEvent::completed().remove("payload");
    assert_eq!(codes(&provider, &receiver, &event, 2).await, ["handler_refused", "handler_refused"]);
    assert_eq!(codes(&provider, &receiver, &event.remove("eventId"), 1).await, ["handler_refused"]);
}
