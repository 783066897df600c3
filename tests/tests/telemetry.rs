//! A log and a metrics backend that panic: what they are told of a delivery decides nothing about its answer.
//!
//! Both belong to the whole process, so this is a program of its own whose tests take turns.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use idnow_webhooks_conformance::watch::watch_and;
use idnow_webhooks_conformance::{Answer, Protocol, Stage, Subject, Target, delivery, run};
use idnow_webhooks_core::store::MemoryStore;
use idnow_webhooks_testkit::{SampleEvent, SigningKey};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

static LOG_IS_BROKEN: AtomicBool = AtomicBool::new(false);
static METRICS_ARE_BROKEN: AtomicBool = AtomicBool::new(false);
static TURN: Mutex<()> = Mutex::new(());

/// Whoever logs for us; what other libraries do when their log panics is theirs.
fn log(target: &str) {
    assert!(
        !target.starts_with("idnow_webhook") || !LOG_IS_BROKEN.load(Ordering::SeqCst),
        "the log is broken"
    );
}

/// To be told of a metric, and to be given its value, can fail both.
struct Broken;

fn measure() {
    assert!(!METRICS_ARE_BROKEN.load(Ordering::SeqCst), "the metrics are broken");
}

impl CounterFn for Broken {
    fn increment(&self, _: u64) {
        measure();
    }

    fn absolute(&self, _: u64) {
        measure();
    }
}

impl GaugeFn for Broken {
    fn increment(&self, _: f64) {
        measure();
    }

    fn decrement(&self, _: f64) {
        measure();
    }

    fn set(&self, _: f64) {
        measure();
    }
}

impl HistogramFn for Broken {
    fn record(&self, _: f64) {
        measure();
    }
}

impl Recorder for Broken {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        measure();
        Counter::from_arc(Arc::new(Self))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        measure();
        Gauge::from_arc(Arc::new(Self))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        measure();
        Histogram::from_arc(Arc::new(Self))
    }
}

fn take_turn() -> MutexGuard<'static, ()> {
    static RECORDER: Once = Once::new();
    watch_and(log);
    RECORDER.call_once(|| metrics::set_global_recorder(Broken).unwrap());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While this lives, it panics.
struct Fault(&'static AtomicBool);

impl Fault {
    fn begin(what: &'static AtomicBool) -> Self {
        what.store(true, Ordering::SeqCst);
        Self(what)
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Each kind of answer, as it is when nothing is wrong.
async fn is_answered_as_ever(on: Target, broken: &'static AtomicBool) {
    let inline = Stage::new(on);
    let queued = on.start(inline.provider.receiver().queued(MemoryStore::new()).build().unwrap());
    let enqueue = async |body: String| on.connect(&queued).await.send(delivery(body)).await;
    let (event, other) = (SampleEvent::completed(), SampleEvent::completed());
    let (known, stranger) = (inline.provider.key().key_id().unwrap(), SigningKey::shared_other());
    let forged =
        inline.provider.clone().with_key(stranger.with_key_id(known)).token(&SampleEvent::completed());

    let fault = Fault::begin(broken);
    for _ in 0..2 {
        assert_eq!(inline.deliver(&event).await, Answer::accepted());
        assert_eq!(enqueue(inline.provider.token(&other)).await, Answer::accepted());
        assert_eq!(inline.send(delivery(forged.clone())).await, Answer::refused(401, "false_signature"));
        assert_eq!(enqueue("no token".into()).await, Answer::refused(400, "malformed_token"));
    }
    drop(fault);

    assert_eq!(inline.calls.ids(), [event.event_id()]);
    inline.assert_healthy().await;
}

macro_rules! is_answered_as_ever_on {
    ($($name:ident: $subject:ident,)+) => {
        $(mod $name {
            use super::*;

            #[test]

            fn without_a_log() {
                let _turn = take_turn();
                for protocol in Protocol::ALL {
                    run(is_answered_as_ever(Target { subject: Subject::$subject, protocol }, &LOG_IS_BROKEN));
                }
            }

            #[test]

            fn without_metrics() {
                let _turn = take_turn();
                for protocol in Protocol::ALL {
                    run(is_answered_as_ever(Target { subject: Subject::$subject, protocol }, &METRICS_ARE_BROKEN));
                }
            }
        })+
    };
}

is_answered_as_ever_on! {
    axum_layer: AxumLayer,
    axum_route: AxumRoute,
    actix_app: ActixApp,
    actix_scope: ActixScope,
    warp: Warp,
    hyper: Hyper,
}
