use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process};

use idnow_webhooks_core::keys::KeySource;
use idnow_webhooks_jwks::{FetchError, JwksSource, Location};

use crate::support::{eventually, fetch_error, jwks};

/// A file of its own for each test, removed at the end.
struct TestFile(PathBuf);

impl TestFile {
    fn new(content: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = Self(env::temp_dir().join(format!("idnow-jwks-test-{}-{number}.json", process::id())));
        file.replace(content);
        file
    }

    fn replace(&self, content: &str) {
        let next = self.0.with_extension("next");
        fs::write(&next, content).unwrap();
        fs::rename(&next, &self.0).unwrap();
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn a_replaced_file_is_seen_on_demand() {
    let file = TestFile::new(&jwks(&["1"]));
    let source = JwksSource::builder(Location::file(&file.0)).connect().await.unwrap();
    assert_eq!(source.current().key_ids(), ["1"]);
    file.replace(&jwks(&["2"]));
    assert_eq!(source.current().key_ids(), ["1"], "nothing is read on the hot path");
    assert_eq!(source.refresh(Instant::now()).await.unwrap().key_ids(), ["2"]);
    assert!(source.age().unwrap() < Duration::from_secs(10), "from when it was read");
    let error = source.refresh(Instant::now()).await.unwrap_err();
    assert!(error.reason.contains("not fetched again so soon"), "bounded as for a server: {error}");
}

#[tokio::test]
async fn a_replaced_file_is_seen_once_per_minimum_lifetime() {
    let file = TestFile::new(&jwks(&["1"]));
    let builder = JwksSource::builder(Location::file(&file.0)).min_lifetime(Duration::from_millis(50));
    let source = builder.connect().await.unwrap();
    file.replace(&jwks(&["2"]));
    eventually("the new key", || source.current().key_ids() == ["2"]).await;
}

#[tokio::test]
async fn a_broken_file_keeps_the_last_good_keys() {
    let file = TestFile::new(&jwks(&["1"]));
    let builder = JwksSource::builder(Location::file(&file.0)).min_refresh_interval(Duration::ZERO);
    let source = builder.connect().await.unwrap();
    file.replace("{ half a doc");
    let error = source.refresh(Instant::now()).await.unwrap_err();
    assert!(error.reason.contains("not a JWKS document"), "{error}");
    fs::remove_file(&file.0).unwrap();
    let error = source.refresh(Instant::now()).await.unwrap_err();
    assert!(error.reason.contains(&file.0.display().to_string()), "{error}");
    assert_eq!(source.current().key_ids(), ["1"]);
}

#[tokio::test]
async fn unreadable_files_are_named() {
    let missing = env::temp_dir().join("idnow-jwks-test-there-is-no-such-file.json");
    let error = fetch_error(JwksSource::builder(Location::file(&missing))).await;
    assert!(matches!(*error, FetchError::File { .. }), "{error}");
    assert!(error.to_string().contains("no-such-file.json"), "{error}");

    let error = fetch_error(JwksSource::builder(Location::file(env::temp_dir()))).await;
    assert!(error.to_string().contains("not a regular file"), "{error}");

    let file = TestFile::new(&jwks(&["1"]));
    let builder = JwksSource::builder(Location::file(&file.0));
    let error = fetch_error(builder.max_response_bytes(20)).await;
    assert!(matches!(*error, FetchError::TooLarge { limit: 20, .. }), "{error}");
}

#[tokio::test]
async fn a_large_file_and_one_with_a_byte_order_mark_are_read() {
    let mut text = format!("\u{feff}{}", jwks(&["1"]));
    text.push_str(&" ".repeat(4 * 1024 * 1024 - text.len()));
    let file = TestFile::new(&text);
    let source = JwksSource::builder(Location::file(&file.0)).connect().await.unwrap();
    assert_eq!(source.current().key_ids(), ["1"]);

    file.replace(&(text + " "));
    let error = fetch_error(JwksSource::builder(Location::file(&file.0))).await;
    assert!(matches!(*error, FetchError::TooLarge { limit: 4_194_304, .. }), "{error}");
}
