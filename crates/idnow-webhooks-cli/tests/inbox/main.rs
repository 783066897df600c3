//! Runs `idnow-webhooks inbox` as an operator does, on a file that a store has filled.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod admit;
mod change;
mod look;
mod postgres;
mod refuse;
mod terminal;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use idnow_webhooks::sqlite::SqliteStore;
use idnow_webhooks::store::{
    Claim, EventStore, Evidence, Insertion, Lease, NewEvent, ParkLimits, ParkedToken, Retention, SessionOrder,
};
use idnow_webhooks_testkit::SampleEvent;
use serde_json::Value;
use tempfile::TempDir;

const SESSION: &str = "6f1d4a1e-22c7-4b57-9a5b-0d4f1f0f2c11";
const LEASE: Duration = Duration::from_secs(30);

/// A file in a folder of its own, and the store of a server that has it open.
struct Inbox {
    folder: TempDir,
    store: SqliteStore,
}

impl Inbox {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::builder(folder.path().join("events.db")).retention(Retention::FOREVER);
        Self { store: store.open().await.unwrap(), folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("events.db")
    }

    /// An event that waits. Gives its id.
    async fn waiting(&self, event: &SampleEvent) -> String {
        self.insert(event, None).await
    }

    async fn insert(&self, event: &SampleEvent, evidence: Option<Evidence>) -> String {
        let mut new = NewEvent::from_json(&event.data().to_string());
        new.evidence = evidence.map(Arc::new);
        assert_eq!(self.store.insert(new).await.unwrap(), Insertion::New);
        event.event_id().to_owned()
    }

    /// An event on which a worker holds a lease: the only one that waits.
    async fn running(&self, event: &SampleEvent) -> Lease {
        self.waiting(event).await;
        let claim = Claim { limit: 1, lease: LEASE, order: SessionOrder::Any };
        self.store.claim(claim).await.unwrap().remove(0).lease
    }

    async fn completed(&self, event: &SampleEvent) -> String {
        let lease = self.running(event).await;
        self.store.complete(&lease).await.unwrap();
        lease.event_id.to_string()
    }

    async fn dead(&self, event: &SampleEvent, error: &str) -> String {
        let lease = self.running(event).await;
        self.store.bury(&lease, error).await.unwrap();
        lease.event_id.to_string()
    }

    async fn parked(&self, id: &str) {
        let evidence = Evidence::new("aaa.bbb.ccc", Some(r#"{"kty":"RSA"}"#.into()));
        let token = ParkedToken {
            issuer: "https://issuer.example".into(),
            audience: "b".into(),
            event_id: Some(format!("event of {id}")),
            code: "wrong_audience".into(),
            reason: "expected a, seen b\u{1b}[2J".into(),
            ..ParkedToken::new(id, evidence, "2026-01-08T08:35:39Z".parse().unwrap())
        };
        self.store.park(token, ParkLimits::default()).await.unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        run(&format!("sqlite:{}", self.path().display()), arguments)
    }
}

/// The command with the store in the environment, without a terminal.
fn run(store: &str, arguments: &[&str]) -> Ran {
    let mut command = command();
    Ran::of(command.env("IDNOW_STORE", store).args(arguments).output().unwrap())
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_idnow-webhooks"));
    command.env_clear().stdin(Stdio::null()).arg("inbox");
    command
}

#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn of(Output { status, stdout, stderr }: Output) -> Self {
        let [out, err] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        let ran = Self { code: status.code().unwrap(), out, err };
        assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'), "colours into a pipe: {ran:?}");
        ran
    }

    /// What was printed, if all went well.
    #[track_caller]
    fn done(self) -> String {
        assert!(self.code == 0 && self.err.is_empty(), "{self:?}");
        self.out
    }

    #[track_caller]
    fn json(self) -> Value {
        serde_json::from_str(&self.done()).unwrap()
    }

    /// The error, if nothing but an error was printed.
    #[track_caller]
    fn failed(self, code: i32) -> String {
        assert!(self.code == code && self.out.is_empty(), "{self:?}");
        self.err
    }
}
