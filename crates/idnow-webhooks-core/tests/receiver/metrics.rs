//! Each documented metric appears, with its labels.

use std::collections::BTreeMap;
use std::io;

use futures_util::stream;
use idnow_webhooks_core::{Admission, EventRouter, HandlerError, HandlerResult};
use idnow_webhooks_testkit::{Provider, SampleEvent, SigningKey};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use crate::scripted::ScriptedStore;
use crate::verifying::verify;
use crate::{DEADLINE, counting, post, whole};

/// `name{label=value,..}` with the count, for a histogram that of its samples.
pub(crate) fn recorded(deliveries: impl Future<Output = ()>) -> BTreeMap<String, u64> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(deliveries));
    let entry = |(key, _, _, value): (metrics_util::CompositeKey, _, _, DebugValue)| {
        let (_, key) = key.into_parts();
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let count = match value {
            DebugValue::Counter(count) => count,
            DebugValue::Histogram(samples) => {
                assert!(samples.iter().all(|sample| (0.0..60.0).contains(&**sample)), "{samples:?}");
                samples.len() as u64
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number")]
            DebugValue::Gauge(value) => *value as u64,
        };
        (format!("{}{{{}}}", key.name(), labels.join(",")), count)
    };
    snapshotter.snapshot().into_vec().into_iter().map(entry).collect()
}

fn counts(expected: &[(&str, u64)]) -> BTreeMap<String, u64> {
    expected.iter().map(|(name, count)| (format!("idnow_webhooks_{name}"), *count)).collect()
}

#[test]
fn deliveries_are_counted_by_outcome() {
    let provider = Provider::new();
    let recorded = recorded(async {
        let receiver = provider.receiver().build().unwrap();
        let event = SampleEvent::completed();
        provider.deliver(&receiver, &event).await;
        provider.deliver(&receiver, &event).await;
        provider.clone().with_key(SigningKey::shared_other()).deliver(&receiver, &event).await;
        provider.clone().with_audience("x").deliver(&receiver, &event).await;
        post(&receiver, &[], "x").await;
        post(&receiver, &[("content-encoding", "gzip")], "x").await;
        provider.deliver(&receiver, &SampleEvent::named("session.paused")).await;
    });
    assert_eq!(
        recorded,
        counts(&[
            ("deliveries_total{outcome=handled}", 2),
            ("deliveries_total{outcome=duplicate}", 1),
            ("deliveries_total{outcome=unknown_key}", 1),
            ("deliveries_total{outcome=wrong_audience}", 1),
            ("genuine_refused_total{outcome=wrong_audience,flow=other}", 1),
            ("deliveries_total{outcome=malformed_token}", 1),
            ("deliveries_total{outcome=unsupported_encoding}", 1),
            ("delivery_seconds{}", 7),
            ("verification_seconds{}", 6),
            ("handler_seconds{result=ok,event_name=session.completed}", 1),
            ("handler_seconds{result=ok,event_name=other}", 1),
            ("unknown_events_total{}", 1),
        ])
    );
}

#[test]
fn handlers_are_timed_by_result_and_sources_counted_in_monitor_mode() {
    let provider = Provider::new();
    let recorded = recorded(async {
        let monitoring = Admission::new().allow("192.0.2.0/24".parse().unwrap()).monitor();
        for result in [|| Ok(()), || Err(io::Error::other("x").into()), || Err(HandlerError::permanent("x"))]
        {
            let (router, _) = counting(move |_| async move { result() });
            let receiver =
                provider.receiver().handlers(router).admission(monitoring.clone()).build().unwrap();
            provider.deliver(&receiver, &SampleEvent::completed()).await;
        }
    });
    assert_eq!(
        recorded,
        counts(&[
            ("deliveries_total{outcome=handled}", 1),
            ("deliveries_total{outcome=handler_failed}", 1),
            ("deliveries_total{outcome=handler_refused}", 1),
            ("delivery_seconds{}", 3),
            ("verification_seconds{}", 3),
            ("handler_seconds{result=ok,event_name=session.completed}", 1),
            ("handler_seconds{result=retry,event_name=session.completed}", 1),
            ("handler_seconds{result=permanent,event_name=session.completed}", 1),
            ("monitored_sources_total{}", 3),
        ])
    );
}

#[test]
fn a_client_that_went_away_is_counted_once() {
    let provider = Provider::new();
    let recorded = recorded(async {
        let hanging = EventRouter::new().on_any(|_| std::future::pending());
        let receiver = provider.receiver().handlers(hanging).build().unwrap();
        let event = SampleEvent::completed();
        let delivery = provider.deliver(&receiver, &event);
        tokio::time::timeout(DEADLINE, delivery).await.unwrap_err();
    });
    assert_eq!(
        recorded,
        counts(&[("deliveries_total{outcome=client_gone}", 1), ("verification_seconds{}", 1)])
    );
}

#[test]
fn handlers_that_end_after_the_answer_are_counted_apart() {
    let provider = Provider::new();
    let recorded = recorded(async {
        for (result, store_fails) in [
            ((|| Ok(())) as fn() -> HandlerResult, false),
            (|| Err(HandlerError::permanent("x")), false),
            (|| Ok(()), true),
        ] {
            let (router, _) = counting(move |_| async move {
                tokio::time::sleep(DEADLINE * 2).await;
                result()
            });
            let store = ScriptedStore::default();
            store.fail_end(store_fails);
            let builder = provider.receiver().handlers(router).store(store).answer_deadline(DEADLINE);
            let receiver = builder.build().unwrap();
            provider.deliver(&receiver, &SampleEvent::completed()).await;
            receiver.idle().await;
        }
    });
    assert_eq!(
        recorded,
        counts(&[
            ("deliveries_total{outcome=deadline_exceeded}", 3),
            ("delivery_seconds{}", 3),
            ("verification_seconds{}", 3),
            ("handler_seconds{result=ok,event_name=session.completed}", 2),
            ("handler_seconds{result=permanent,event_name=session.completed}", 1),
            ("late_total{outcome=handled}", 1),
            ("late_total{outcome=handler_refused}", 1),
            ("late_total{outcome=store_unavailable}", 1),
        ])
    );
}

#[test]
fn deliveries_that_are_only_verified_are_counted_too() {
    let provider = Provider::new();
    let recorded = recorded(async {
        let receiver = provider.receiver().answer_deadline(DEADLINE).build().unwrap();
        verify(&receiver, whole(provider.token(&SampleEvent::completed()))).await.unwrap();
        verify(&receiver, whole("x")).await.unwrap_err();
        verify(&receiver, stream::pending()).await.unwrap_err();
        tokio::time::timeout(DEADLINE / 2, verify(&receiver, stream::pending())).await.unwrap_err();
    });
    assert_eq!(
        recorded,
        counts(&[
            ("deliveries_total{outcome=verified}", 1),
            ("deliveries_total{outcome=malformed_token}", 1),
            ("deliveries_total{outcome=body_incomplete}", 1),
            ("deliveries_total{outcome=client_gone}", 1),
            ("delivery_seconds{}", 3),
            ("verification_seconds{}", 2),
        ])
    );
}
