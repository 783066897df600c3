//! Receivers that can be killed, and other parts of rows that need a process of their own: this very program, run again.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use idnow_webhooks_conformance::{Gate, PATH, Subject};
use idnow_webhooks_core::store::EventStore;
use idnow_webhooks_sqlite::SqliteStore;
use idnow_webhooks_tower::WebhookService;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::disk;
use crate::handler::{Handler, Plan};
use crate::world::{self, Mode, SHORT_INLINE_LIMIT, SHORT_LEASE, Setup, Shifted};

/// What the process is to do, as a JSON array of texts.
pub(crate) const ARGUMENTS: &str = "FAULTS_PROCESS";
const LISTENING: &str = "listening on ";
/// The plan of a handler that succeeds, in a receiver with a log.
const LOGGING: &str = "logging";
const SIGKILL: i32 = 9;

/// What is done in the process.
pub(crate) async fn run() {
    let arguments = std::env::var(ARGUMENTS).expect("this runs inside of another test");
    let arguments: Vec<String> = serde_json::from_str(&arguments).unwrap();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["disk", folder, store] => disk::fill(Path::new(folder), store).await,
        ["receiver", folder, issuer, keys, mode, plan] => {
            receive(Path::new(folder), issuer, keys, mode, plan).await;
        }
        ["logging", folder, issuer, keys, mode] => {
            std::io::stderr().write_all(b"nobody reads this\n").unwrap_err();
            tracing_subscriber::fmt().with_writer(std::io::stderr).init();
            receive(Path::new(folder), issuer, keys, mode, LOGGING).await;
        }
        _ => panic!("{arguments:?}"),
    }
}

/// For [`ARGUMENTS`].
pub(crate) fn arguments(words: &[&str]) -> String {
    serde_json::to_string(words).unwrap()
}

/// A receiver that can be killed.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts one, and waits until it listens. Handlers note their starts in the file `runs` of the folder.
    pub(crate) async fn start(folder: &Path, issuer: &str, keys: &str, mode: Mode, plan: &str) -> Self {
        let arguments = ["receiver", folder.to_str().unwrap(), issuer, keys, name(mode), plan];
        Self::spawn(&arguments, Stdio::inherit()).await
    }

    /// The same with a log, which goes there.
    pub(crate) async fn logging_to(
        stderr: Stdio,
        folder: &Path,
        issuer: &str,
        keys: &str,
        mode: Mode,
    ) -> Self {
        Self::spawn(&["logging", folder.to_str().unwrap(), issuer, keys, name(mode)], stderr).await
    }

    async fn spawn(words: &[&str], stderr: Stdio) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", "process"])
            .env(ARGUMENTS, arguments(words))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(address) = line.strip_prefix(LISTENING) {
                return Self { child, address: address.parse().unwrap() };
            }
        }
        panic!("the receiver did not start: {:?}", child.wait().await);
    }

    /// SIGKILL.
    pub(crate) async fn kill(mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "it ended by itself");
        self.child.kill().await.unwrap();
    }

    /// Waits until its handler has killed it.
    pub(crate) async fn dies(mut self) {
        let status = self.child.wait().await.unwrap();
        assert_eq!(status.signal(), Some(SIGKILL), "{status}");
    }
}

fn name(mode: Mode) -> &'static str {
    if mode == Mode::Inline { "inline" } else { "queued" }
}

/// How often handlers were started for this event, in all processes.
pub(crate) fn runs(folder: &Path, id: &str) -> usize {
    let mut text = String::new();
    if let Ok(mut file) = std::fs::File::open(folder.join("runs")) {
        file.read_to_string(&mut text).unwrap();
    }
    text.lines().filter(|line| *line == id).count()
}

async fn receive(folder: &Path, issuer: &str, keys: &str, mode: &str, plan: &str) {
    let setup = Setup { lease: SHORT_LEASE, ..Setup::default() };
    let setup = match mode {
        "inline" => Setup { mode: Mode::Inline, handler_limit: SHORT_INLINE_LIMIT, ..setup },
        _ => setup,
    };
    let runs = OpenOptions::new().create(true).append(true).open(folder.join("runs")).unwrap();
    let plan_of_handler = match plan {
        "hang" => Plan::Wait(Gate::closed()),
        "die" => Plan::Die,
        _ => Plan::Succeed,
    };
    let handler = Handler::new(plan_of_handler).noting(runs);
    let store: Arc<dyn EventStore> = Arc::new(SqliteStore::open(folder.join("events.db")).await.unwrap());
    let receiver = world::receiver(&setup, issuer, keys, &store, &handler, &Shifted::default()).await;
    let _worker = if plan == "nobody" { None } else { world::worker(&setup, &store, &handler) };
    if plan == LOGGING {
        // A `Subject` watches its log, and this one has another.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("\n{LISTENING}{}", listener.local_addr().unwrap());
        let app = axum::Router::new().route_service(PATH, WebhookService::new(receiver));
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        return axum::serve(listener, app).await.unwrap();
    }
    let server = Subject::AxumLayer.start(receiver);
    // The harness has begun a line.
    println!("\n{LISTENING}{}", server.address());
    std::future::pending::<()>().await;
}
