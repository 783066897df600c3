use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use idnow_webhooks_testkit::{Provider, SigningKey};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::{ALGORITHM, Action, Journal};

/// What the handlers of a receiver do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// There is no worker.
    None,
    /// They note each event in the journal.
    Append,
    /// They count each event in the store's own transaction.
    Count,
    /// They note when they begin and when they end, and wait in between.
    Slow,
}

/// How receivers are started. All of them share a folder, which goes away with this.
#[derive(Debug)]
pub struct Program {
    /// Where receivers and the test note what happens.
    pub journal: Journal,
    /// What they do with events.
    pub handling: Handling,
    /// How long their leases last.
    pub lease: Duration,
    /// How long they wait for handlers when they are told to stop.
    pub drain: Duration,
    /// Put before the command, if it is not empty: a tool that watches it.
    pub wrapper: Vec<String>,
    binary: PathBuf,
    store: String,
    provider: Provider,
    folder: TempDir,
}

/// A receiver that runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct Replica {
    child: Child,
    /// Its process id.
    pub process: u32,
    /// Where it listens.
    pub address: SocketAddr,
}

#[expect(clippy::unwrap_used, clippy::panic, reason = "without a receiver there is no test")]
impl Program {
    /// The receiver with this store: `sqlite:PATH`, relative to its folder, or `postgres://...`.
    pub fn new(binary: &str, store: &str, handling: Handling) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let provider = Provider::new().with_key(SigningKey::generate(ALGORITHM));
        std::fs::write(folder.path().join("jwks.json"), provider.key().jwks().to_string()).unwrap();
        Self {
            journal: Journal::open(&folder.path().join("journal")).unwrap(),
            handling,
            lease: Duration::from_secs(2),
            drain: Duration::from_secs(10),
            wrapper: Vec::new(),
            binary: binary.into(),
            store: store.into(),
            provider,
            folder,
        }
    }

    /// Who signs what these receivers believe.
    pub fn provider(&self) -> Provider {
        self.provider.clone()
    }

    /// The folder of the store, the journal and the logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a receiver, and waits until it listens.
    pub async fn start(&self) -> Replica {
        let log = std::fs::File::options().append(true).create(true).open(self.log_path()).unwrap();
        let handler = match self.handling {
            Handling::None => "none",
            Handling::Append => "append",
            Handling::Count => "count",
            Handling::Slow => "slow",
        };
        let words: Vec<_> =
            self.wrapper.iter().map(Into::into).chain([self.binary.clone().into_os_string()]).collect();
        let [program, arguments @ ..] = words.as_slice() else { panic!("there is no program") };
        let mut child = Command::new(program)
            .args(arguments)
            .args(["--store", &self.store, "--handler", handler])
            .args(["--keys", "jwks.json", "--journal", "journal"])
            .args(["--issuer", self.provider.issuer(), "--audience", self.provider.audience()])
            .args(["--lease-millis", &self.lease.as_millis().to_string()])
            .args(["--drain-millis", &self.drain.as_millis().to_string()])
            .current_dir(self.folder())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).await.unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        let ["listening", address, process] = words.as_slice() else {
            panic!("a receiver said {line:?} and logged: {}", self.log());
        };
        Replica { child, process: process.parse().unwrap(), address: address.parse().unwrap() }
    }

    /// What all receivers have logged, or the end of it.
    pub fn log(&self) -> String {
        let mut log = String::new();
        std::fs::File::open(self.log_path()).unwrap().read_to_string(&mut log).unwrap();
        let skipped = log.lines().count().saturating_sub(30);
        log.lines().skip(skipped).collect::<Vec<_>>().join("\n")
    }

    /// Kills a receiver with SIGKILL, and notes it in the journal right before.
    pub async fn kill(&self, mut replica: Replica) {
        assert_eq!(replica.child.try_wait().unwrap(), None, "a receiver ended by itself: {}", self.log());
        self.journal.note_process(Action::Kill, replica.process).unwrap();
        replica.child.kill().await.unwrap();
    }

    /// Sends a receiver SIGTERM, notes it in the journal right before, and waits until it has ended.
    pub async fn terminate(&self, mut replica: Replica) -> ExitStatus {
        self.journal.note_process(Action::Terminate, replica.process).unwrap();
        let sent = Command::new("kill").args(["-TERM", &replica.process.to_string()]).status().await;
        assert!(sent.unwrap().success(), "a receiver ended by itself: {}", self.log());
        replica.child.wait().await.unwrap()
    }

    /// That no receiver has panicked, however it ended.
    pub fn assert_no_panic(&self) {
        let log = std::fs::read_to_string(self.log_path()).unwrap();
        assert!(!log.contains("panicked at"), "a receiver panicked: {}", self.log());
    }

    fn log_path(&self) -> PathBuf {
        self.folder().join("log")
    }
}

impl Replica {
    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}
