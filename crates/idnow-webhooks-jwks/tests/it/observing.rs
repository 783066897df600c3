//! Log lines and metrics, collected on the test's own thread.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use idnow_webhooks_core::keys::KeySource;
use idnow_webhooks_jwks::Location;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{PATH, Reply, Server, builder, jwk, jwks};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What was written since the last call.
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn log_lines_come_once_per_change_and_hold_no_secrets() {
    // With a single one, `tracing` asks the thread that comes to a line first whether anybody wants it: another test's.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG);
    let _guard = tracing::subscriber::set_default(subscriber.finish());

    let strange = format!(r#"{{"keys":[{},{{"kty":"quantum","kid":"q"}}]}}"#, jwk("1"));
    let server = Server::start(Reply::json(strange)).await;
    let url = server.url(PATH).replace("://", "://user:hunter2@") + "?token=hunter2";
    let source = builder(Location::url(url)).min_refresh_interval(Duration::ZERO).connect().await.unwrap();
    source.refresh(Instant::now()).await.unwrap();
    tokio::task::yield_now().await;
    let text = log.take();
    assert!(server.requests()[0].to_ascii_lowercase().contains("authorization: basic"), "user info is used");
    assert_eq!(text.matches("verification keys changed").count(), 1, "{text}");
    assert_eq!(text.matches("is unusable and was left out").count(), 1, "{text}");
    assert!(text.contains("idnow_webhooks::keys") && text.contains(r#"index=1 kid=Some("q")"#), "{text}");
    assert!(text.contains(r#"key_ids=["1"]"#) && text.contains("WARN") && text.contains("INFO"), "{text}");

    server.set(Reply::json(jwks(&["2"])));
    source.refresh(Instant::now()).await.unwrap();
    server.set(Reply::status("500 Oops"));
    source.refresh(Instant::now()).await.unwrap_err();
    tokio::task::yield_now().await;
    let more = log.take();
    assert!(more.contains(r#"key_ids=["2"]"#), "{more}");
    assert_eq!(more.matches("could not fetch the verification keys").count(), 1, "{more}");
    assert!(!text.contains("hunter2") && !more.contains("hunter2"), "{text}{more}");
    assert!(!format!("{source:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_key_that_is_replaced_under_its_id_is_told() {
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false);
    let _guard = tracing::subscriber::set_default(subscriber.finish());

    let (one, two, other) = (jwk("1"), jwk("2"), jwk("1"));
    let server = Server::start(Reply::Hang).await;
    let set = |keys: &[&str]| server.set(Reply::json(format!(r#"{{"keys":[{}]}}"#, keys.join(","))));
    set(&[&one, &two]);
    let source = server.builder().min_refresh_interval(Duration::ZERO).connect().await.unwrap();
    assert_eq!(log.take().matches("verification keys changed").count(), 1);
    // Neither order nor anything else about an entry makes another key.
    let rewritten = one.replacen('{', r#"{"x5t":"AAAA","#, 1);
    for (keys, replaced) in [
        ([&*two, &*one], None),
        ([&*two, &*rewritten], None),
        ([&*two, &*other], Some(r#"replaced=["1"]"#)),
        ([&*two, &*two], Some("replaced=[]")),
    ] {
        set(&keys);
        source.refresh(Instant::now()).await.unwrap();
        tokio::task::yield_now().await;
        let text = log.take();
        assert_eq!(text.contains("verification keys changed"), replaced.is_some(), "{keys:?}: {text}");
        assert!(text.contains(replaced.unwrap_or_default()), "{keys:?}: {text}");
    }
}

#[tokio::test]
async fn compression_is_told_once() {
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false);
    let _guard = tracing::subscriber::set_default(subscriber.finish());

    let server = Server::start(Reply::keys(&["1"])).await;
    let source = server.builder().min_refresh_interval(Duration::ZERO).connect().await.unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(jwks(&["1"]).as_bytes()).unwrap();
    let compressed = encoder.finish().unwrap();
    for times in [0, 1, 0, 0] {
        source.refresh(Instant::now()).await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(log.take().matches("answers in gzip").count(), times);
        server.set(Reply::encoded("gzip", compressed.clone()));
    }
}

#[tokio::test]
async fn metrics_count_fetches_and_keys() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);

    let strange = format!(r#"{{"keys":[{},{{"kty":"quantum"}},{}]}}"#, jwk("1"), jwk("2"));
    let server = Server::start(Reply::json(strange)).await;
    let source = server.builder().min_refresh_interval(Duration::ZERO).connect().await.unwrap();
    source.refresh(Instant::now()).await.unwrap();
    let fetched = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    // Were a failure taken for fresh keys, this would be seen.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    server.set(Reply::status("500 Oops"));
    source.refresh(Instant::now()).await.unwrap_err();
    tokio::task::yield_now().await;

    // A snapshot takes the counts with it, hence one for all.
    let snapshot = snapshotter.snapshot().into_vec();
    let mut seen: Vec<_> = snapshot
        .into_iter()
        .map(|(key, _, _, value)| {
            let label = key.key().labels().next().map_or("", |label| label.value()).to_owned();
            let value = match value {
                DebugValue::Counter(count) => count.to_string(),
                DebugValue::Gauge(value) if key.key().name().ends_with("_timestamp_seconds") => {
                    let then = [fetched - 1, fetched].map(|second| second.to_string());
                    assert!(then.contains(&value.to_string()), "{value} {fetched}");
                    "then".to_owned()
                }
                DebugValue::Gauge(value) => value.to_string(),
                DebugValue::Histogram(values) => format!("{} values", values.len()),
            };
            format!("{} {label} {value}", key.key().name())
        })
        .collect();
    seen.sort();
    let location = server.url(PATH);
    assert_eq!(
        seen,
        [
            "idnow_webhooks_key_refresh_seconds  3 values",
            "idnow_webhooks_key_refreshes_total error 1",
            "idnow_webhooks_key_refreshes_total ok 2",
            &format!("idnow_webhooks_keys {location} 2"),
            &format!("idnow_webhooks_keys_fetched_timestamp_seconds {location} then"),
        ]
    );
}

#[tokio::test]
async fn no_keys_are_reported_before_the_first_fetch_of_each_source() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);

    let servers =
        [Server::start(Reply::json(jwks(&["1"]))).await, Server::start(Reply::json(jwks(&["1"]))).await];
    // Their tasks get no turn before this test ends.
    let _sources = servers.each_ref().map(|server| server.builder().start().unwrap());
    let snapshot = snapshotter.snapshot().into_vec();
    let keys = snapshot.into_iter().filter(|(key, ..)| key.key().name() == "idnow_webhooks_keys");
    let values: Vec<_> = keys.map(|(.., value)| value).collect();
    assert_eq!(values, [DebugValue::Gauge(0.0.into()), DebugValue::Gauge(0.0.into())]);
}
