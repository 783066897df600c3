//! Handlers that end when the answer has been given, or when nobody waits for one any more.

use std::time::Duration;

use futures_util::FutureExt;
use idnow_webhooks_core::{EventRouter, HandlerError, HandlerResult, Receiver};
use idnow_webhooks_testkit::{Provider, SampleEvent};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, timeout};
use tracing::Level;

use crate::capture::Capture;
use crate::scripted::ScriptedStore;
use crate::{DEADLINE, LIMIT, counting, runs};

/// How long the handlers here take.
const SLOW: Duration = Duration::from_secs(6);

fn slow(result: fn() -> HandlerResult) -> EventRouter {
    counting(move |_| async move {
        sleep(SLOW).await;
        result()
    })
    .0
}

fn receiver(provider: &Provider, router: EventRouter, store: &ScriptedStore) -> Receiver {
    let builder = provider.receiver().handlers(router).store(store.clone());
    builder.answer_deadline(DEADLINE).handler_limit(LIMIT).build().unwrap()
}

/// What failed for good must never be acknowledged, whoever heard of the failure.
#[tokio::test(start_paused = true)]
async fn a_failure_for_good_is_answered_so_whenever_it_happened() {
    let provider = Provider::new();
    let (router, count) = counting(|_| async {
        sleep(SLOW).await;
        Err(HandlerError::permanent("no such customer"))
    });
    let receiver = receiver(&provider, router, &ScriptedStore::default());
    let (answered, abandoned) = (SampleEvent::completed(), SampleEvent::completed());
    assert_eq!(provider.deliver(&receiver, &answered).await.code(), "deadline_exceeded");
    timeout(DEADLINE / 2, provider.deliver(&receiver, &abandoned)).await.unwrap_err();
    sleep(SLOW).await;
    for event in [&answered, &abandoned, &answered, &abandoned] {
        let outcome = provider.deliver(&receiver, event).await;
        assert_eq!((outcome.status().as_u16(), outcome.code()), (422, "handler_refused"));
    }
    assert_eq!(runs(&count), 2);
}

#[tokio::test(start_paused = true)]
async fn an_end_after_the_answer_is_logged_where_its_delivery_was() {
    let (capture, _guard) = Capture::start();
    let provider = Provider::new();
    for (result, store_fails, level, code, reason) in [
        ((|| Ok(())) as fn() -> HandlerResult, false, Level::INFO, "handled", None),
        (|| Err(HandlerError::retry("not now")), false, Level::ERROR, "handler_failed", Some("not now")),
        (|| Err(HandlerError::permanent("never")), false, Level::ERROR, "handler_refused", Some("never")),
        (|| panic!("a bug"), false, Level::ERROR, "handler_failed", Some("a bug")),
        (|| Ok(()), true, Level::ERROR, "store_unavailable", Some("disk full")),
    ] {
        let store = ScriptedStore::default();
        store.fail_end(store_fails);
        let receiver = receiver(&provider, slow(result), &store);
        for client_waits in [true, false] {
            let event = SampleEvent::completed();
            let delivery = provider.deliver(&receiver, &event);
            let patience = if client_waits { DEADLINE * 2 } else { DEADLINE / 2 };
            assert_eq!(timeout(patience, delivery).await.is_ok(), client_waits);
            let (_, fields) = capture.only();
            assert_eq!(fields["outcome"], if client_waits { "deadline_exceeded" } else { "client_gone" });
            assert_eq!(fields["event_id"], event.event_id());

            sleep(SLOW).await;
            let events = capture.take();
            let [late] = &events[..] else { panic!("expected one event, not {events:?}") };
            assert_eq!((late.level, &*late.fields["late"]), (level, code));
            assert_eq!(late.span, Some("idnow_webhook"), "it belongs to the delivery");
            assert!(!late.fields.contains_key("outcome"), "no delivery was answered: {late:?}");
            match reason {
                Some(reason) => assert!(late.fields["reason"].contains(reason), "{late:?}"),
                None => assert!(!late.fields.contains_key("reason"), "{late:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_ends_in_time_is_not_late() {
    let (capture, _guard) = Capture::start();
    let provider = Provider::new();
    let router = counting(|_| async {
        sleep(DEADLINE / 2).await;
        Ok(())
    });
    let receiver = receiver(&provider, router.0, &ScriptedStore::default());
    assert_eq!(provider.deliver(&receiver, &SampleEvent::completed()).await.code(), "handled");
    sleep(LIMIT).await;
    assert_eq!(capture.only().1["outcome"], "handled");
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_waits_for_the_handlers_that_still_run() {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let receiver = receiver(&provider, slow(|| Ok(())), &store);
    assert_eq!(receiver.idle().now_or_never(), Some(()), "nothing runs yet");

    let started = Instant::now();
    let (answered, abandoned) = (SampleEvent::completed(), SampleEvent::completed());
    assert_eq!(provider.deliver(&receiver, &answered).await.code(), "deadline_exceeded");
    timeout(DEADLINE / 2, provider.deliver(&receiver, &abandoned)).await.unwrap_err();
    let stopping = async {
        receiver.idle().await;
        (started.elapsed(), store.ended().len())
    };
    let meanwhile = async {
        tokio::task::yield_now().await;
        let outcome = provider.deliver(&receiver, &SampleEvent::created()).await;
        (outcome.status().as_u16(), outcome.code())
    };
    let (stopped, meanwhile) = tokio::join!(stopping, meanwhile);
    assert_eq!(stopped, (DEADLINE + SLOW, 2), "both have ended, and were noted");
    assert_eq!(meanwhile, (503, "overloaded"));
    assert_eq!(receiver.idle().now_or_never(), Some(()));
    assert_eq!(provider.deliver(&receiver, &answered).await.code(), "duplicate", "it takes events again");
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_is_called_off_changes_nothing() {
    let provider = Provider::new();
    let receiver = receiver(&provider, slow(|| Ok(())), &ScriptedStore::default());
    let event = SampleEvent::completed();
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "deadline_exceeded");
    timeout(DEADLINE / 2, receiver.idle()).await.unwrap_err();
    let other = provider.deliver(&receiver, &SampleEvent::created()).await;
    assert_eq!(other.code(), "deadline_exceeded", "its handler runs");
    sleep(SLOW).await;
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "duplicate");
}

/// The servers of some frameworks have runtimes of their own, which end with them.
#[test]
fn a_handler_outlives_the_runtime_of_its_server_on_another_one() {
    let runtime = || Builder::new_current_thread().enable_time().build().unwrap();
    let (main, serving) = (runtime(), runtime());
    let provider = Provider::new();
    let (router, count) = counting(|_| async {
        sleep(Duration::from_millis(1)).await;
        Ok(())
    });
    let builder = provider.receiver().handlers(router).runtime(main.handle().clone());
    let receiver = builder.answer_deadline(Duration::from_millis(50)).build().unwrap();
    let event = SampleEvent::completed();
    // Nothing drives the other runtime yet.
    let outcome = serving.block_on(provider.deliver(&receiver, &event));
    assert_eq!(outcome.code(), "deadline_exceeded");
    drop(serving);
    main.block_on(receiver.idle());
    assert_eq!(runs(&count), 1);
    assert_eq!(main.block_on(provider.deliver(&receiver, &event)).code(), "duplicate");
    assert_eq!(main.block_on(provider.deliver(&receiver, &SampleEvent::created())).code(), "handled");
}
