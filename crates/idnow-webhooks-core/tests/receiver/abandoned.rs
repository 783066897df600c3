//! Clients that go away in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use idnow_webhooks_core::event::Unreadable;
use idnow_webhooks_core::{EventRouter, Outcome, Receiver};
use idnow_webhooks_testkit::{Provider, SampleEvent};
use tokio::time::{sleep, timeout};

use crate::scripted::{Refresh, ScriptedKeys, ScriptedStore, set};
use crate::{counting, runs};

/// Polls a delivery for a while and drops it, as a server does when the connection closes.
async fn abandoned(delivery: impl Future<Output = Outcome>, after: Duration) {
    assert!(timeout(after, delivery).await.is_err(), "it was to be still running");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_has_begun_ends_and_its_event_is_complete() {
    let provider = Provider::new();
    let finished = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&finished);
    let (router, count) = counting(move |_| {
        let flag = Arc::clone(&flag);
        async move {
            sleep(Duration::from_secs(1)).await;
            flag.store(true, Ordering::SeqCst);
            Ok(())
        }
    });
    let store = ScriptedStore::default();
    let receiver =
        provider.receiver().handlers(router).store(store.clone()).max_in_progress(1).build().unwrap();
    let event = SampleEvent::completed();
    abandoned(provider.deliver(&receiver, &event), Duration::from_millis(10)).await;
    assert!(!finished.load(Ordering::SeqCst));
    let busy = provider.deliver(&receiver, &event).await;
    assert_eq!(busy.code(), "overloaded", "it keeps its place until it ends");
    sleep(Duration::from_secs(2)).await;
    assert!(finished.load(Ordering::SeqCst));
    assert_eq!(store.ended(), [("complete", String::new())]);
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "duplicate");
    assert_eq!(runs(&count), 1);
}

/// Even one that is dropped right after its very first poll.
#[tokio::test(start_paused = true)]
async fn one_poll_is_enough_to_begin() {
    let provider = Provider::new();
    let (router, count) = counting(|_| async {
        tokio::task::yield_now().await;
        Ok(())
    });
    let receiver = provider.receiver().handlers(router).build().unwrap();
    let event = SampleEvent::completed();
    assert!(provider.deliver(&receiver, &event).now_or_never().is_none());
    sleep(Duration::from_millis(1)).await;
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "duplicate");
    assert_eq!(runs(&count), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handler_for_unreadable_events_ends_too() {
    let provider = Provider::new();
    let finished = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&finished);
    let router = EventRouter::new().on_unreadable(move |_: Unreadable| {
        let flag = Arc::clone(&flag);
        async move {
            sleep(Duration::from_secs(1)).await;
            flag.store(true, Ordering::SeqCst);
            Ok(())
        }
    });
    let receiver = provider.receiver().handlers(router).max_in_progress(1).build().unwrap();
    let event = SampleEvent::completed().remove("payload");
    abandoned(provider.deliver(&receiver, &event), Duration::from_millis(10)).await;
    assert_eq!(
        provider.deliver(&receiver, &event).await.code(),
        "overloaded",
        "it keeps its place until it ends"
    );
    sleep(Duration::from_secs(2)).await;
    assert!(finished.load(Ordering::SeqCst));
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "duplicate");
}

/// Before the handler there is nothing to finish: the place is free at once.
#[tokio::test(start_paused = true)]
async fn a_delivery_that_has_not_begun_leaves_nothing_behind() {
    let provider = Provider::new();
    let keys = ScriptedKeys::new(set(&[]), [Refresh::Hangs, Refresh::Brings(set(&[provider.key()]))]);
    let verifier = idnow_webhooks_core::Verifier::builder()
        .issuer(Provider::ISSUER)
        .audience(Provider::AUDIENCE)
        .build()
        .unwrap();
    let (router, count) = counting(|_| async { Ok(()) });
    let receiver = Receiver::builder(verifier, keys).handlers(router).max_in_progress(1).build().unwrap();
    let event = SampleEvent::completed();
    abandoned(provider.deliver(&receiver, &event), Duration::from_millis(10)).await;
    assert_eq!(runs(&count), 0);
    assert_eq!(provider.deliver(&receiver, &event).await.code(), "handled");
}
