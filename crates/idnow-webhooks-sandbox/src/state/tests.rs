mod attempts;
mod endpoints;
mod failures;
mod history;
mod keys;
mod orphans;
mod robust;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::builder::SandboxBuilder;
use crate::database::again::{Retrigger, RetriggerSome};
use crate::database::endpoints::{ChangeEndpoint, CreateEndpoint, CreateFlow, DeleteEndpoint};
use crate::database::keys::Activate;
use crate::database::sessions::Create;
use crate::database::{attempts as attempt_rows, deliveries as rows};
use crate::model::{
    Attempt, DeadReason, Delivery, DeliveryFilter, EndpointChange, NewEndpoint, NewFlow, Session,
};

/// The state without the parts that would work with it.
struct Bench {
    state: State,
    writer: JoinHandle<()>,
    flow: Uuid,
}

const OK: Answer = Answer::TimedOut;

fn settings(max_retries: u32) -> Settings {
    let listen = SocketAddr::from(([127, 0, 0, 1], 80));
    SandboxBuilder::default().time_scale(10.0).max_retries(max_retries).check(listen).unwrap()
}

async fn open_database(path: &Path, settings: &Settings) -> (Database, JoinHandle<()>) {
    let longest_wait = settings.scaled(LONGEST_WAIT);
    Database::open(Some(path.to_owned()), &settings.issuer, longest_wait).await.unwrap()
}

/// An attempt that took seven milliseconds.
fn made(verdict: Verdict) -> Made {
    Made {
        took: Duration::from_millis(7),
        answer: OK,
        verdict,
        faults: Vec::new(),
        key: None,
        signed_at: None,
    }
}

async fn open(path: &Path, flow: Option<Uuid>) -> Bench {
    let settings = settings(2);
    let (database, writer) = open_database(path, &settings).await;
    if flow.is_none() {
        let (kid, pkcs8) = key();
        database.write(Activate { kid, pkcs8 }).await.unwrap();
    }
    let flow = if let Some(flow) = flow {
        flow
    } else {
        let new = NewFlow { name: "flow".into(), session_ttl_seconds: 3600 };
        database.write(CreateFlow(new)).await.unwrap().id
    };
    let client = crate::sender::client(&settings).unwrap();
    Bench { state: State::new(settings, database, client, CancellationToken::new()), writer, flow }
}

fn key() -> (String, Vec<u8>) {
    static KEY: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let pkcs8 = KEY.get_or_init(|| crate::keys::generate().unwrap().1).clone();
    (Uuid::new_v4().to_string(), pkcs8)
}

fn file() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sandbox.db");
    (folder, path)
}

impl Bench {
    fn database(&self) -> &Database {
        self.state.database()
    }

    async fn endpoint(&self, url: &str) -> Uuid {
        let new = NewEndpoint::new(self.flow, "staging", url);
        self.database().write(CreateEndpoint(new)).await.unwrap().id
    }

    /// So many sessions that were created, which is one event each.
    async fn sessions(&self, count: usize) -> Vec<Session> {
        let create = Create {
            flow: self.flow,
            environment: "staging".into(),
            ttl: 3_600_000_000,
            runs: vec![&[]; count],
        };
        self.database().write(create).await.unwrap()
    }

    async fn delivery(&self, id: i64) -> Delivery {
        let mut reader = self.database().reader().await.unwrap();
        rows::by_id(&mut reader, id).await.unwrap().unwrap()
    }

    /// The first one first.
    async fn attempts(&self, id: i64) -> Vec<Attempt> {
        let mut reader = self.database().reader().await.unwrap();
        let found = attempt_rows::list(&mut reader, id, i64::MAX, 500).await.unwrap();
        found.into_iter().rev().map(|past| past.attempt).collect()
    }

    async fn take(&self, endpoint: Uuid, limit: u32) -> Taken {
        self.state.take_due(endpoint, limit).await.unwrap()
    }

    async fn record(&self, due: &Due, verdict: Verdict) {
        self.state.record(due, &made(verdict)).await.unwrap();
    }

    /// Takes the one delivery that is due, when it is.
    async fn take_one(&self, endpoint: Uuid) -> Due {
        loop {
            let mut taken = self.take(endpoint, 10).await;
            if let Some(due) = taken.due.pop() {
                assert!(taken.due.is_empty(), "{taken:?}");
                return due;
            }
            let wait = taken.next.expect("one waits") - clock::now();
            tokio::time::sleep(wait.to_std().unwrap_or_default()).await;
        }
    }

    async fn change(&self, endpoint: Uuid, change: EndpointChange) {
        self.database().write(ChangeEndpoint(endpoint, change)).await.unwrap();
    }

    async fn delete(&self, endpoint: Uuid) {
        self.database().write(DeleteEndpoint(endpoint)).await.unwrap();
        self.database().sweep().await.unwrap();
    }

    fn counts(&self) -> [u64; 5] {
        use DeliveryState::{Dead, Delivered, EndpointDeleted, Sending, Waiting};
        let tally = self.database().tally();
        [Waiting, Sending, Delivered, Dead, EndpointDeleted].map(|state| tally.delivery_count(state))
    }

    async fn close(self) -> Uuid {
        let database = self.state.database().clone();
        database.close(self.writer).await;
        self.flow
    }
}
