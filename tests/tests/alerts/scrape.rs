//! What Prometheus would read from a receiver to which everything has happened that can be made to happen.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method};
use idnow_webhooks::event::{Event, SessionAborted, SessionCompleted, SessionCreated, SessionExpired};
use idnow_webhooks::jwks::{JwksSource, Location};
use idnow_webhooks::keys::KeySource;
use idnow_webhooks::sqlite::SqliteStore;
use idnow_webhooks::store::StoreError;
use idnow_webhooks::{Admission, EventRouter, HandlerError, Head, Receiver, Refusal, RequiredHeader, Worker};
use idnow_webhooks_testkit::{Behaviour, KeyServer, Provider, SampleEvent, SigningKey};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

const PATIENCE: Duration = Duration::from_secs(30);

/// Of each metric, the labels and their values that were seen.
pub(crate) type Metrics = BTreeMap<String, BTreeSet<(String, String)>>;

pub(crate) async fn metrics() -> Metrics {
    let exporter = PrometheusBuilder::new().install_recorder().unwrap();
    answers().await;
    queue(&exporter).await;
    keys(&exporter).await;
    let mut metrics = read(&exporter.render());
    // They need a store that hangs or a crowd; their codes are those of the very type that is counted.
    for refusal in [
        Refusal::InProgress,
        Refusal::Overloaded,
        Refusal::Deadline(Duration::ZERO),
        Refusal::Store(StoreError::unavailable("down")),
    ] {
        let label = ("outcome".to_owned(), refusal.code().to_owned());
        metrics.get_mut("idnow_webhooks_deliveries_total").unwrap().insert(label);
    }
    metrics
}

fn handlers() -> EventRouter {
    EventRouter::new()
        .on(|_: Event<SessionCompleted>| async { Ok(()) })
        .on(|_: Event<SessionCreated>| async { Ok(()) })
        .on(|_: Event<SessionExpired>| async { Err(HandlerError::retry("not now")) })
        .on(|_: Event<SessionAborted>| async { Err(HandlerError::permanent("never")) })
}

/// One delivery for each answer.
async fn answers() {
    let provider = Provider::new();
    let receiver = provider.receiver().handlers(handlers()).expected_environment("live").build().unwrap();
    let live = |event: SampleEvent| event.with_environment("live");
    let completed = live(SampleEvent::completed());
    let unreadable = live(SampleEvent::completed()).remove("eventName");
    for (event, code) in [
        (completed.clone(), "handled"),
        (completed, "duplicate"),
        (live(SampleEvent::expired()), "handler_failed"),
        (live(SampleEvent::aborted()), "handler_refused"),
        (SampleEvent::completed().with_environment("staging"), "wrong_environment"),
        (unreadable, "event_unreadable"),
    ] {
        assert_eq!(provider.deliver(&receiver, &event).await.code(), code);
    }
    let forged = provider.clone().with_audience("https://shop.example/");
    assert_eq!(forged.deliver(&receiver, &SampleEvent::completed()).await.code(), "token_refused");
    let future = provider.token_with(&SampleEvent::completed(), |claims| {
        claims["iat"] = 4_000_000_000_u64.into();
        claims["exp"] = 4_000_003_600_u64.into();
    });
    assert_eq!(send(&receiver, &future).await, "not_yet_valid");

    let head = Head { method: &Method::POST, headers: &HeaderMap::new(), peer: None };
    let broken = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("reset"))]);
    assert_eq!(receiver.receive(head, broken).await.code(), "body_incomplete");

    let admission =
        |admission| provider.receiver().handlers(handlers()).admission(admission).build().unwrap();
    let allow = admission(Admission::new().allow("192.0.2.0/24".parse().unwrap()));
    assert_eq!(send(&allow, "").await, "source_not_allowed");
    let require = admission(Admission::new().require(RequiredHeader::new("X-Auth", ["secret"]).unwrap()));
    assert_eq!(send(&require, "").await, "unauthorized");
    let small = provider.receiver().handlers(handlers()).max_body_bytes(10).build().unwrap();
    assert_eq!(send(&small, "longer than that").await, "body_too_large");
}

async fn send(receiver: &Receiver, token: &str) -> &'static str {
    let peer = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let head = Head { method: &Method::POST, headers: &HeaderMap::new(), peer };
    let body = futures_util::stream::iter([Ok::<_, Infallible>(Bytes::from(token.to_owned()))]);
    receiver.receive(head, body).await.code()
}

async fn queue(exporter: &PrometheusHandle) {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path().join("events.db")).await.unwrap());
    let provider = Provider::new();
    let receiver = provider.receiver().queued(Arc::clone(&store)).build().unwrap();
    let worker = Worker::builder(store, handlers()).start().unwrap();
    for event in [SampleEvent::completed(), SampleEvent::expired(), SampleEvent::aborted()] {
        assert_eq!(provider.deliver(&receiver, &event).await.code(), "stored");
    }
    for ending in ["completed", "retried", "buried"] {
        shows(exporter, &format!("idnow_webhooks_events_total{{ending=\"{ending}\"}}")).await;
    }
    assert!(receiver.health().await.ready);
    worker.stop().await;
}

async fn keys(exporter: &PrometheusHandle) {
    let server = KeyServer::start().unwrap();
    server.publish(&[&SigningKey::shared()]);
    let source = JwksSource::builder(Location::url(server.jwks_url())).min_refresh_interval(Duration::ZERO);
    let source = source.connect().await.unwrap();
    server.behave(Behaviour::Status(500));
    source.refresh(Instant::now()).await.unwrap_err();
    shows(exporter, "idnow_webhooks_key_refreshes_total{result=\"error\"}").await;
}

async fn shows(exporter: &PrometheusHandle, series: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !exporter.render().contains(series) {
        assert!(Instant::now() < deadline, "{series} is not in {}", exporter.render());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// `name{label="value",other="value"} number`
fn read(scrape: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in scrape.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let seen = metrics.entry(name.to_owned()).or_default();
        for label in labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()) {
            let (label, value) = label.split_once('=').unwrap();
            seen.insert((label.to_owned(), value.trim_matches('"').to_owned()));
        }
    }
    metrics
}
