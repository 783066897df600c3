//! What Prometheus would read from a receiver to which everything has happened that can be made to happen.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue, Method};
use idnow_webhooks::event::{Event, SessionAborted, SessionCompleted, SessionCreated, SessionExpired};
use idnow_webhooks::jwks::{JwksSource, Location};
use idnow_webhooks::keys::{Algorithm, StaticKeys};
use idnow_webhooks::sqlite::SqliteStore;
use idnow_webhooks::store::{MemoryStore, StoreError};
use idnow_webhooks::{
    Admission, EventRouter, HandlerError, Head, Receiver, Refusal, RequiredHeader, Verifier, Worker,
};
use idnow_webhooks_testkit::{Behaviour, KeyServer, Provider, SampleEvent, SigningKey, compact};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

const PATIENCE: Duration = Duration::from_secs(30);

/// Of each metric, the labels with their values that were seen.
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
    let completed = SampleEvent::completed();
    let receiver = provider.receiver().handlers(handlers()).build().unwrap();
    for (event, code) in [
        (completed.clone(), "handled"),
        (completed.clone(), "duplicate"),
        (SampleEvent::expired(), "handler_failed"),
        (SampleEvent::aborted(), "handler_refused"),
        (SampleEvent::completed().remove("eventName"), "event_unreadable"),
    ] {
        assert_eq!(provider.deliver(&receiver, &event).await.code(), code);
    }
    let stranger = provider.clone().with_key(SigningKey::shared_other());
    assert_eq!(stranger.deliver(&receiver, &completed).await.code(), "unknown_key");
    let forger = SigningKey::shared_other().with_key_id(SigningKey::shared().key_id().unwrap());
    let forger = provider.clone().with_key(forger);
    assert_eq!(forger.deliver(&receiver, &completed).await.code(), "false_signature");
    let unsigned = compact(r#"{"alg":"none"}"#, provider.claims(&completed).to_string(), "");
    assert_eq!(send(&receiver, &unsigned).await, "wrong_algorithm");

    let plain = HeaderMap::new();
    let head = || Head { method: &Method::POST, headers: &plain, peer: None };
    let broken = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("reset"))]);
    assert_eq!(receiver.receive(head(), broken).await.code(), "body_incomplete");
    let token = Bytes::from(provider.token(&completed));
    receiver.verify(head(), futures_util::stream::iter([Ok::<_, Infallible>(token)])).await.unwrap();
    let gzip = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
    let compressed = Head { method: &Method::POST, headers: &gzip, peer: None };
    let nothing = futures_util::stream::empty::<Result<Bytes, Infallible>>();
    assert_eq!(receiver.receive(compressed, nothing).await.code(), "unsupported_encoding");

    let admission =
        |admission| provider.receiver().handlers(handlers()).admission(admission).build().unwrap();
    let allow = admission(Admission::new().allow("192.0.2.0/24".parse().unwrap()));
    assert_eq!(send(&allow, "").await, "source_not_allowed");
    assert_eq!(provider.deliver(&allow, &completed).await.code(), "source_unknown");
    let require = admission(Admission::new().require(RequiredHeader::new("X-Auth", ["secret"]).unwrap()));
    assert_eq!(send(&require, "").await, "unauthorized");
    let small = provider.receiver().handlers(handlers()).max_body_bytes(10).build().unwrap();
    assert_eq!(send(&small, "longer than that").await, "body_too_large");
    genuine_refusals(&provider).await;
}

/// Tokens whose signature holds, and which fit no setting.
async fn genuine_refusals(provider: &Provider) {
    let event = SampleEvent::completed().with_environment("live").with_flow_id("ours");
    let receiver = provider.receiver().expected_environment("live").expected_flow("ours").build().unwrap();
    for (event, code) in [
        (event.clone().with_environment("staging"), "wrong_environment"),
        (event.clone().with_flow_id("another"), "wrong_flow"),
    ] {
        assert_eq!(provider.deliver(&receiver, &event).await.code(), code);
    }
    let elsewhere = provider.clone().with_audience("https://shop.example/");
    assert_eq!(elsewhere.deliver(&receiver, &event).await.code(), "wrong_audience");
    let impostor = provider.clone().with_issuer("https://issuer.example");
    assert_eq!(impostor.deliver(&receiver, &event).await.code(), "wrong_issuer");
    for (from, to, code) in [
        (1_600_000_000_u64, 1_600_003_600_u64, "expired"),
        (4_000_000_000, 4_000_003_600, "not_yet_valid"),
        (1_600_000_000, 4_000_000_000, "wrong_lifetime"),
    ] {
        let token = provider.token_with(&event, |claims| {
            claims["iat"] = from.into();
            claims["exp"] = to.into();
        });
        assert_eq!(send(&receiver, &token).await, code);
    }
    let nobody = provider.token_with(&event, |claims| drop(claims.remove("aud")));
    assert_eq!(send(&receiver, &nobody).await, "unusable_claims");

    let policy = || Verifier::builder().issuer(provider.issuer()).audience(provider.audience());
    let keys = || StaticKeys::new(provider.key().key_set());
    let curves = policy().algorithms([Algorithm::Es256]).build().unwrap();
    let curves = Receiver::builder(curves, keys()).build().unwrap();
    assert_eq!(provider.deliver(&curves, &event).await.code(), "algorithm_not_allowed");
    let fresh = policy().max_age(Duration::from_mins(1)).build().unwrap();
    let fresh = Receiver::builder(fresh, keys()).build().unwrap();
    let old = provider.token_with(&event, |claims| {
        claims["iat"] = (claims["iat"].as_u64().unwrap() - 300).into();
    });
    assert_eq!(send(&fresh, &old).await, "too_old");
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
        shows(exporter, &format!("idnow_webhooks_events_total{{ending=\"{ending}\"")).await;
    }
    assert!(receiver.health().await.ready);
    worker.stop().await;

    let receiver = provider.receiver().queued(MemoryStore::new()).build().unwrap();
    let elsewhere = provider.clone().with_audience("https://shop.example/");
    assert_eq!(elsewhere.deliver(&receiver, &SampleEvent::completed()).await.code(), "wrong_audience");
    assert!(receiver.health().await.ready);
    shows(exporter, "idnow_webhooks_backlog{state=\"parked\"} 1").await;
}

async fn keys(exporter: &PrometheusHandle) {
    let server = KeyServer::start().unwrap();
    server.publish(&[&SigningKey::shared()]);
    let source = JwksSource::builder(Location::url(server.jwks_url())).min_refresh_interval(Duration::ZERO);
    let source = source.connect().await.unwrap();
    server.behave(Behaviour::Status(500));
    let provider = Provider::new().with_key(SigningKey::shared_other());
    let verifier = Verifier::builder().issuer(provider.issuer()).audience(provider.audience());
    let receiver = Receiver::builder(verifier.build().unwrap(), source).build().unwrap();
    assert_eq!(provider.deliver(&receiver, &SampleEvent::completed()).await.code(), "keys_unavailable");
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
