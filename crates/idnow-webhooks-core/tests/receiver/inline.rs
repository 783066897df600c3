//! Inline mode: the handler's result is the answer.

use std::io;
use std::time::Duration;

use idnow_webhooks_core::keys::StaticKeys;
use idnow_webhooks_core::{EventRouter, HandlerError, Receiver, Verifier};
use idnow_webhooks_testkit::{FixedClock, Provider, SampleEvent};
use tokio::time::{Instant, sleep};

use crate::scripted::ScriptedStore;
use crate::{DEADLINE, LIMIT, codes, counting, runs};

/// How long a store may take for a call.
const STORE_LIMIT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_event_is_handled_once_however_often_it_comes() {
    let provider = Provider::new();
    let (router, count) = counting(|_| async { Ok(()) });
    let receiver = provider.receiver().handlers(router).build().unwrap();
    let event = SampleEvent::completed();
    assert_eq!(codes(&provider, &receiver, &event, 3).await, ["handled", "duplicate", "duplicate"]);
    assert_eq!(runs(&count), 1);
    assert_eq!(codes(&provider, &receiver, &SampleEvent::completed(), 1).await, ["handled"]);
    assert_eq!(runs(&count), 2);
}

#[tokio::test]
async fn clones_of_a_receiver_share_what_they_remember() {
    let provider = Provider::new();
    let (router, count) = counting(|_| async { Ok(()) });
    let receiver = provider.receiver().handlers(router).build().unwrap();
    let event = SampleEvent::completed();
    codes(&provider, &receiver.clone(), &event, 1).await;
    assert_eq!(codes(&provider, &receiver, &event, 1).await, ["duplicate"]);
    assert_eq!(runs(&count), 1);
}

#[tokio::test]
async fn a_failure_that_may_pass_is_handled_again() {
    let provider = Provider::new();
    let (router, count) = counting(|run| async move {
        if run < 3 { Err(io::Error::other("the database is away").into()) } else { Ok(()) }
    });
    let receiver = provider.receiver().handlers(router).build().unwrap();
    let codes = codes(&provider, &receiver, &SampleEvent::completed(), 4).await;
    assert_eq!(codes, ["handler_failed", "handler_failed", "handled", "duplicate"]);
    assert_eq!(runs(&count), 3);
}

#[tokio::test]
async fn a_permanent_failure_is_final() {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let (router, count) = counting(|_| async { Err(HandlerError::permanent("no such customer")) });
    let receiver = provider.receiver().handlers(router).store(store.clone()).build().unwrap();
    let event = SampleEvent::completed();
    let codes = codes(&provider, &receiver, &event, 3).await;
    assert_eq!(codes, ["handler_refused"; 3], "a 2xx would say that it was handled");
    assert_eq!(provider.deliver(&receiver, &event).await.status(), 422);
    assert_eq!(runs(&count), 1);
    assert_eq!(store.ended(), [("bury", "no such customer".to_owned())]);
}

#[tokio::test]
async fn a_panic_is_a_failure_before_and_after_the_first_await() {
    let provider = Provider::new();
    let (router, count) = counting(|run| async move {
        assert_ne!(run, 1, "at once");
        tokio::task::yield_now().await;
        assert_ne!(run, 2, "later,\non two lines");
        Ok(())
    });
    let store = ScriptedStore::default();
    let receiver = provider.receiver().handlers(router).store(store.clone()).build().unwrap();
    let codes = codes(&provider, &receiver, &SampleEvent::completed(), 4).await;
    assert_eq!(codes, ["handler_failed", "handler_failed", "handled", "duplicate"]);
    assert_eq!(runs(&count), 3);
    let ended = store.ended();
    assert!(ended[0].1.contains("the handler panicked") && ended[0].1.contains("at once"), "{ended:?}");
    assert!(ended[1].1.contains(r"later,\non two lines") && !ended[1].1.contains('\n'), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_waits_for_the_first() {
    let provider = Provider::new();
    let (router, count) = counting(|_| async {
        sleep(Duration::from_secs(1)).await;
        Ok(())
    });
    let receiver = provider.receiver().handlers(router).build().unwrap();
    let event = SampleEvent::completed();
    let (first, second) =
        tokio::join!(provider.deliver(&receiver, &event), provider.deliver(&receiver, &event));
    assert_eq!((first.code(), second.code()), ("handled", "in_progress"));
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "duplicate");
    assert_eq!(runs(&count), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_finishes_after_the_answer() {
    let provider = Provider::new();
    let (router, count) = counting(|_| async {
        sleep(DEADLINE * 3).await;
        Ok(())
    });
    let receiver =
        provider.receiver().handlers(router).answer_deadline(DEADLINE).handler_limit(LIMIT).build().unwrap();
    let event = SampleEvent::completed();
    let started = Instant::now();
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "deadline_exceeded");
    assert_eq!(started.elapsed(), DEADLINE);
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "in_progress");
    sleep(DEADLINE * 3).await;
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "duplicate");
    assert_eq!(runs(&count), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_ends_is_stopped_and_started_anew() {
    let provider = Provider::new();
    let (router, count) = counting(|run| async move {
        if run == 1 {
            std::future::pending::<()>().await;
        }
        Ok(())
    });
    let store = ScriptedStore::default();
    let receiver = provider
        .receiver()
        .handlers(router)
        .store(store.clone())
        .answer_deadline(DEADLINE)
        .handler_limit(LIMIT)
        .max_in_progress(1)
        .build()
        .unwrap();
    let event = SampleEvent::completed();
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "deadline_exceeded");
    sleep(LIMIT.saturating_sub(DEADLINE + Duration::from_millis(1))).await;
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "overloaded", "it still has its place");
    sleep(Duration::from_millis(2)).await;
    assert_eq!(store.ended(), [("retry", format!("the handler was stopped after {LIMIT:?}"))]);
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "handled");
    assert_eq!(runs(&count), 2);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_never_taken_for_success() {
    let provider = Provider::new();
    let (router, count) = counting(|_| async { Ok(()) });
    let clock = FixedClock::at(chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000));
    let provider = provider.with_clock(clock.clone());
    let store = ScriptedStore::with_clock(clock.clone());
    let receiver = provider
        .receiver()
        .handlers(router)
        .store(store.clone())
        .answer_deadline(DEADLINE)
        .handler_limit(LIMIT)
        .build()
        .unwrap();
    let event = SampleEvent::completed();

    store.fail_begin(true);
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "store_unavailable");
    assert_eq!(runs(&count), 0, "no handler runs before the event is remembered");
    store.fail_begin(false);

    store.fail_end(true);
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "store_unavailable");
    assert_eq!(runs(&count), 1);
    // Nobody knows that it was handled: it is handled again once the lease has run out.
    store.fail_end(false);
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "in_progress");
    clock.advance(LIMIT + Duration::from_secs(10));
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "handled");
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "duplicate");
    assert_eq!(runs(&count), 2);
}

/// Leases go by the clock, and clocks are set.
#[tokio::test(start_paused = true)]
async fn a_jump_of_the_clock_starts_no_second_run() {
    let clock = FixedClock::at("2026-01-08T08:35:39Z".parse().unwrap());
    let provider = Provider::new().with_clock(clock.clone());
    let (router, count) = counting(|_| async {
        sleep(Duration::from_secs(1)).await;
        Ok(())
    });
    let receiver = provider.receiver().handlers(router).build().unwrap();
    let event = SampleEvent::completed();
    let meanwhile = async {
        sleep(Duration::from_millis(1)).await;
        clock.advance(Duration::from_secs(3600));
        // One that is turned away must not end the turn of the one that runs.
        codes(&provider, &receiver, &event, 3).await
    };
    let (first, meanwhile) = tokio::join!(provider.deliver(&receiver, &event), meanwhile);
    assert_eq!(meanwhile, ["in_progress"; 3]);
    assert_eq!(first.code(), "handled");
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "duplicate");
    assert_eq!(runs(&count), 1);
}

/// A connection that died without a word must not keep an event, or its place, for ever.
#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_given_up() {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let (router, count) = counting(|_| async { Ok(()) });
    let builder = provider.receiver().handlers(router).store(store.clone()).max_in_progress(2);
    let receiver = builder.answer_deadline(DEADLINE).build().unwrap();
    let patient = provider.receiver().store(store.clone()).build().unwrap();
    let (event, other) = (SampleEvent::completed(), SampleEvent::completed());

    store.hang(true);
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "deadline_exceeded");
    let started = Instant::now();
    let outcome = provider.deliver(&patient, &event).await;
    assert_eq!((outcome.code(), started.elapsed()), ("store_unavailable", STORE_LIMIT));
    store.hang(false);
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "handled");

    store.hang_end(true);
    assert_eq!(provider.deliver(&receiver, &other).await.code(), "deadline_exceeded");
    let started = Instant::now();
    receiver.idle().await;
    assert_eq!(started.elapsed(), STORE_LIMIT.saturating_sub(DEADLINE), "its place is free again");
    store.hang_end(false);
    // Nobody knows that it was handled: until its lease has run out, somebody else may be at it.
    assert_eq!(provider.deliver(&receiver, &other).await.code(), "in_progress");
    assert_eq!(runs(&count), 2);
}

/// The time counts from arrival, also where a handler holds up its thread first.
#[tokio::test]
async fn a_handler_that_blocks_before_it_waits_gains_no_time() {
    let provider = Provider::new();
    let router = EventRouter::new().on_any(|_| async {
        std::thread::sleep(Duration::from_millis(300));
        sleep(Duration::from_millis(400)).await;
        Ok(())
    });
    let limit = Duration::from_millis(500);
    let receiver = provider
        .receiver()
        .handlers(router)
        .answer_deadline(limit)
        .handler_limit(limit * 10)
        .build()
        .unwrap();
    let outcome = provider.deliver(&receiver, &SampleEvent::completed()).await;
    assert_eq!(outcome.code(), "deadline_exceeded");
}

#[tokio::test]
async fn without_handlers_nothing_is_acknowledged() {
    let provider = Provider::new();
    let verifier = Verifier::builder().issuer(Provider::ISSUER).audience(Provider::AUDIENCE).build().unwrap();
    let receiver = Receiver::builder(verifier, StaticKeys::new(provider.key().key_set())).build().unwrap();
    let outcome = provider.deliver(&receiver, &SampleEvent::completed()).await;
    assert_eq!((outcome.status().as_u16(), outcome.code()), (503, "handler_failed"));
}
