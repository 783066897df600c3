//! What these tests share.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use idnow_webhooks_core::Clock;
use idnow_webhooks_core::store::{
    Claim, ClaimedEvent, EventState, EventStore, NewEvent, SessionOrder, StoreError,
};
use idnow_webhooks_sqlite::SqliteStore;
use idnow_webhooks_sqlite::sqlx::sqlite::SqliteConnectOptions;
use idnow_webhooks_sqlite::sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;
use tracing::subscriber::DefaultGuard;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        idnow_webhooks_watch::watch();
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.path().join("events.db")
    }

    pub(crate) async fn store(&self) -> SqliteStore {
        SqliteStore::open(self.file()).await.unwrap()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug, Clone)]
pub(crate) struct Hand(Arc<Mutex<DateTime<Utc>>>);

impl Hand {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(DateTime::from_timestamp(1_800_000_000, 0).unwrap())))
    }

    pub(crate) fn forward(&self, by: Duration) {
        *self.0.lock().unwrap() += TimeDelta::from_std(by).unwrap();
    }
}

impl Clock for Hand {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

pub(crate) fn event(id: &str) -> NewEvent {
    NewEvent::from_json(&data(id, None, 1))
}

pub(crate) fn event_of(session: &str, sequence: u64) -> NewEvent {
    NewEvent::from_json(&data(&format!("{session}-{sequence}"), Some(session), sequence))
}

fn data(id: &str, session: Option<&str>, sequence: u64) -> String {
    let session = session.map_or(String::new(), |session| format!(r#""sessionId": "{session}""#));
    format!(
        r#"{{"eventId": "{id}", "eventName": "session.created", "eventSequence": {sequence},
        "environment": "staging", "payload": {{{session}}}}}"#
    )
}

pub(crate) fn all(limit: usize) -> Claim {
    Claim { limit, lease: 60 * SECOND, order: SessionOrder::default() }
}

pub(crate) async fn claim_one(store: &SqliteStore) -> ClaimedEvent {
    let mut claimed = store.claim(all(1)).await.unwrap();
    assert_eq!(claimed.len(), 1);
    claimed.remove(0)
}

pub(crate) async fn state(store: &SqliteStore, id: &str) -> EventState {
    store.get(id).await.unwrap().unwrap().state
}

/// A connection of somebody else to the same file.
pub(crate) async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).busy_timeout(5 * SECOND).connect().await.unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "it takes what `unwrap_err` gives")]
pub(crate) fn message(error: StoreError) -> String {
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    error.to_string()
}

/// How many transactions are in the write-ahead log: those frames that carry a size end one.
pub(crate) fn commits(database: &Path) -> usize {
    frames(database).into_iter().filter(|ends| *ends).count()
}

/// How many pages are in the write-ahead log, each as often as it was written.
pub(crate) fn pages(database: &Path) -> usize {
    frames(database).len()
}

/// Whether each page in the write-ahead log ends a transaction.
fn frames(database: &Path) -> Vec<bool> {
    const FRAME: usize = 24 + 4096;
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let log = std::fs::read(log).unwrap();
    let (header, frames) = log.split_at(32);
    let current = |frame: &&[u8]| frame[8..16] == header[16..24];
    frames.chunks_exact(FRAME).take_while(current).map(|frame| frame[4..8] != [0; 4]).collect()
}

/// What is logged by this thread.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Keeps what is logged until the second is dropped.
    pub(crate) fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
        (log, tracing::subscriber::set_default(subscriber.finish()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Runs an ignored test in a process of its own, as root of a user and mount namespace of its own: there it may
/// mount file systems. `None` where the system does not let us.
pub(crate) fn in_namespace(test: &str, prepare: &str) {
    let namespace = ["--user", "--map-root-user", "--mount"];
    if !Command::new("unshare").args(namespace).arg("true").status().is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "namespaces are needed for this test");
        return;
    }
    let folder = Folder::new();
    let program = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(namespace)
        .args(["sh", "-ec", &format!("{prepare}; exec \"$PROGRAM\" --exact --ignored {test}")])
        .env("PROGRAM", program)
        .env("FOLDER", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

pub(crate) fn folder_of_parent() -> PathBuf {
    std::env::var_os("FOLDER").expect("this runs inside of another test").into()
}
