use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use idnow_webhooks_conformance::raw::{Raw, head};
use idnow_webhooks_core::store::EventStore;
use idnow_webhooks_sqlite::SqliteStore;
use idnow_webhooks_testkit::{KeyServer, Provider, SampleEvent};
use tempfile::TempDir;

use crate::child::{Process, runs};
use crate::row::{Group, Observed, Row};
use crate::words;
use crate::world::Mode;

pub(crate) fn group() -> Group {
    let rows = vec![
        Row::new(
            "while a delivery arrives",
            ["no answer", "not stored; never ran", "200", "completed; ran once"],
            while_a_delivery_arrives(),
        ),
        Row::new(
            "after the answer, before the handler has begun",
            ["200", "waiting; never ran", "200", "completed; ran once"],
            after_the_answer(),
        ),
        Row::new(
            "while the handler runs: it runs again once its lease is over",
            ["200", "running; ran once", "200", "completed; ran twice"],
            while_the_handler_runs(),
        ),
        Row::new(
            "inline: while the handler runs; it runs again once its lease is over",
            ["no answer", "running; ran once", "200", "completed; ran twice"],
            while_the_handler_runs_inline(),
        ),
    ];
    Group { title: "The process is killed (SIGKILL), and started again", rows }
}

/// What outlives the receiver.
pub(super) struct Outside {
    folder: TempDir,
    key_server: KeyServer,
    provider: Provider,
    event: SampleEvent,
}

impl Outside {
    pub(super) fn new() -> Self {
        let key_server = KeyServer::start().unwrap();
        let provider = Provider::new().with_issuer(key_server.issuer());
        key_server.publish(&[provider.key()]);
        Self { folder: tempfile::tempdir().unwrap(), key_server, provider, event: SampleEvent::completed() }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    async fn start(&self, mode: Mode, plan: &str) -> Process {
        let keys = self.key_server.jwks_url();
        Process::start(self.folder(), self.key_server.issuer(), &keys, mode, plan).await
    }

    /// A receiver and a worker whose log goes there.
    pub(super) async fn start_logging_to(&self, stderr: Stdio, mode: Mode) -> Process {
        let keys = self.key_server.jwks_url();
        Process::logging_to(stderr, self.folder(), self.key_server.issuer(), &keys, mode).await
    }

    pub(super) fn token(&self) -> String {
        self.provider.token(&self.event)
    }

    fn runs(&self) -> usize {
        runs(self.folder(), self.event.event_id())
    }

    /// Where the event stands once it is finished.
    pub(super) async fn finished(&self) -> String {
        let store = SqliteStore::open(self.folder().join("events.db")).await.unwrap();
        words::finished(&store, self.event.event_id(), || self.runs()).await
    }

    /// What is on the disk after the kill, and how it goes on after a new start.
    async fn survived(self, answered: String, mode: Mode) -> Observed {
        let store = SqliteStore::open(self.folder().join("events.db")).await.unwrap();
        let store: &dyn EventStore = &store;
        let id = self.event.event_id();
        let left = words::now(store, id, || self.runs()).await;
        let process = self.start(mode, "succeed").await;
        let again = words::attempts(process.address, || self.token()).await;
        let ends = words::finished(store, id, || self.runs()).await;
        process.kill().await;
        Observed { answered, left, again, ends }
    }
}

async fn while_a_delivery_arrives() -> Observed {
    let outside = Outside::new();
    let process = outside.start(Mode::Queued, "succeed").await;
    let token = outside.token();
    let (first, _) = token.split_at(token.len() / 2);
    let mut connection = Raw::connect(process.address).await;
    connection.write(head(&[&format!("Content-Length: {}", token.len())]) + first).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    process.kill().await;
    let answer = connection.closed().await;
    let answered = if answer.is_empty() { "no answer".into() } else { String::from_utf8(answer).unwrap() };
    outside.survived(answered, Mode::Queued).await
}

async fn after_the_answer() -> Observed {
    let outside = Outside::new();
    let process = outside.start(Mode::Queued, "nobody").await;
    let answered = words::attempt(process.address, outside.token()).await;
    process.kill().await;
    outside.survived(answered, Mode::Queued).await
}

async fn while_the_handler_runs() -> Observed {
    let outside = Outside::new();
    let process = outside.start(Mode::Queued, "hang").await;
    let answered = words::attempt(process.address, outside.token()).await;
    while outside.runs() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    process.kill().await;
    outside.survived(answered, Mode::Queued).await
}

async fn while_the_handler_runs_inline() -> Observed {
    let outside = Outside::new();
    let process = outside.start(Mode::Inline, "die").await;
    let answered = words::attempt(process.address, outside.token()).await;
    process.dies().await;
    outside.survived(answered, Mode::Inline).await
}
