//! What is logged, as any subscriber could see it.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use metrics::{Key, KeyName, SharedString, Unit};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

const TARGET: &str = "idnow_webhooks::delivery";

/// Everything that any subscriber could see, at every level.
#[derive(Clone, Default)]
pub(crate) struct Capture(Arc<Mutex<Captured>>);

#[derive(Default)]
struct Captured {
    events: Vec<Logged>,
    span: Fields,
    everything: String,
}

pub(crate) type Fields = BTreeMap<&'static str, String>;

#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) level: Level,
    target: String,
    /// The span that it happened in.
    pub(crate) span: Option<&'static str>,
    pub(crate) fields: Fields,
}

struct Visitor<'a>(&'a mut Fields);

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let mut captured = self.0.lock().unwrap();
        attributes.record(&mut Visitor(&mut captured.span));
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut captured = self.0.lock().unwrap();
        values.record(&mut Visitor(&mut captured.span));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut Visitor(&mut fields));
        let mut captured = self.0.lock().unwrap();
        write!(captured.everything, "{fields:?}").unwrap();
        let target = event.metadata().target().to_owned();
        let span = context.event_span(event).map(|span| span.name());
        captured.events.push(Logged { level: *event.metadata().level(), target, span, fields });
    }
}

/// A log that panics at each line that has these words; without words, at each line.
struct Broken(&'static str);

impl<S: Subscriber> Layer<S> for Broken {
    fn on_new_span(&self, _: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        assert!(!self.0.is_empty(), "the log is broken");
    }

    fn on_enter(&self, _: &Id, _: Context<'_, S>) {
        assert!(!self.0.is_empty(), "the log is broken");
    }

    fn on_record(&self, _: &Id, _: &Record<'_>, _: Context<'_, S>) {
        assert!(!self.0.is_empty(), "the log is broken");
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut Visitor(&mut fields));
        assert!(!format!("{fields:?}").contains(self.0), "the log is broken");
    }
}

pub(crate) fn broken_log(words: &'static str) -> DefaultGuard {
    tracing::subscriber::set_default(tracing_subscriber::registry().with(Broken(words)))
}

/// A metrics recorder that panics at everything.
pub(crate) struct BrokenMetrics;

impl metrics::Recorder for BrokenMetrics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        panic!("no {key}: the metrics are broken")
    }

    fn register_gauge(&self, key: &Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        panic!("no {key}: the metrics are broken")
    }

    fn register_histogram(&self, key: &Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        panic!("no {key}: the metrics are broken")
    }
}

impl Capture {
    pub(crate) fn start() -> (Self, DefaultGuard) {
        let capture = Self::default();
        let subscriber = tracing_subscriber::registry().with(capture.clone());
        (capture, tracing::subscriber::set_default(subscriber))
    }

    /// The events about deliveries so far; forgets them.
    pub(crate) fn take(&self) -> Vec<Logged> {
        let events = std::mem::take(&mut self.0.lock().unwrap().events);
        events.into_iter().filter(|event| event.target == TARGET).collect()
    }

    /// The one event of the delivery, with the fields of its span; forgets both.
    #[track_caller]
    pub(crate) fn only(&self) -> (Level, Fields) {
        let events: Vec<_> = self.take().into_iter().filter(|event| event.level < Level::DEBUG).collect();
        let [Logged { level, fields, .. }] = &events[..] else {
            panic!("expected one event, not {events:?}")
        };
        let (level, mut fields) = (*level, fields.clone());
        let mut captured = self.0.lock().unwrap();
        let span = std::mem::take(&mut captured.span);
        write!(captured.everything, "{span:?}").unwrap();
        for (name, value) in span {
            assert!(fields.insert(name, value).is_none(), "{name} twice");
        }
        (level, fields)
    }

    /// The first event about a delivery; forgets it.
    pub(crate) fn first(&self) -> Logged {
        self.0.lock().unwrap().events.remove(0)
    }

    /// All that was logged by anybody.
    pub(crate) fn everything(&self) -> String {
        self.0.lock().unwrap().everything.clone()
    }
}
