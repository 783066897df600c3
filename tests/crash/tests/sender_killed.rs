//! A sandbox killed while it sends, at random moments, and started again.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs, reason = "tests")]

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use idnow_webhooks_crash::{Chance, Database};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

const SENDER: &str = env!("CARGO_BIN_EXE_sender");
const KILLS: u64 = 30;

/// A session, and a sequence within it.
type Event = (String, String);

/// What came in, and what it was answered. It outlives all senders.
#[derive(Clone)]
struct Sink {
    chance: Arc<Mutex<Chance>>,
    received: Arc<Mutex<Vec<Received>>>,
}

struct Received {
    event: Event,
    /// `eventId`.
    id: String,
    /// `eventDeliverId`.
    number: u32,
    accepted: bool,
}

impl Sink {
    async fn start(chance: &mut Chance) -> (Self, String) {
        let chance = Arc::new(Mutex::new(Chance::new(chance.below(u64::MAX))));
        let sink = Self { chance, received: Arc::default() };
        let app = Router::new().route("/", post(Self::take)).with_state(sink.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (sink, url)
    }

    /// Notes, waits, and answers: so a kill may fall between any two of them.
    async fn take(State(sink): State<Self>, token: String) -> StatusCode {
        let (accepted, wait) = {
            let mut chance = sink.chance.lock().unwrap();
            (!chance.one_in(5), chance.millis(0, 20))
        };
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        let text = |pointer| claims.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        let received = Received {
            event: (text("/data/payload/sessionId"), text("/data/eventSequence")),
            id: text("/data/eventId"),
            number: text("/data/eventDeliverId").parse().unwrap(),
            accepted,
        };
        sink.received.lock().unwrap().push(received);
        tokio::time::sleep(wait).await;
        if accepted { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    }
}

struct Program {
    folder: TempDir,
    sink: String,
    /// What all processes have said that they accepted.
    events: Arc<Mutex<HashSet<Event>>>,
}

struct Running {
    child: Child,
    /// Gives the last line.
    reader: JoinHandle<String>,
    ready: tokio::sync::watch::Receiver<bool>,
}

impl Program {
    fn database(&self) -> PathBuf {
        self.folder.path().join("sandbox.db")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn start(&self, arguments: &[&str]) -> Running {
        let log =
            std::fs::File::options().append(true).create(true).open(self.folder.path().join("log")).unwrap();
        let mut child = Command::new(SENDER)
            .args(["--sink", &self.sink, "--database"])
            .arg(self.database())
            .args(arguments)
            // Nobody listens there: a sender that obeyed would deliver nothing.
            .env_clear()
            .envs([("HTTP_PROXY", "http://127.0.0.1:1"), ("http_proxy", "http://127.0.0.1:1")])
            .envs([("ALL_PROXY", "http://127.0.0.1:1"), ("all_proxy", "http://127.0.0.1:1")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (is_ready, ready) = tokio::sync::watch::channel(false);
        let events = Arc::clone(&self.events);
        let reader = tokio::spawn(async move {
            let mut last = String::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                match line.split(' ').collect::<Vec<_>>().as_slice() {
                    ["ready"] => drop(is_ready.send(true)),
                    // A line that a kill has cut off has another form, or is that of no event: it was complete before.
                    ["event", session, sequence @ ("1" | "2")] if session.len() == 36 => {
                        events.lock().unwrap().insert(((*session).to_owned(), (*sequence).to_owned()));
                    }
                    _ => last = line,
                }
            }
            last
        });
        Running { child, reader, ready }
    }

    async fn kill(&self, mut running: Running) {
        assert_eq!(running.child.try_wait().unwrap(), None, "a sender ended by itself: {}", self.log());
        running.child.kill().await.unwrap();
        // What it has said before is still in the pipe.
        running.reader.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_no_number_used_twice() {
    let mut chance = Chance::announced("sender");
    let (sink, url) = Sink::start(&mut chance).await;
    let program = Program { folder: tempfile::tempdir().unwrap(), sink: url, events: Arc::default() };
    for kill in 0..KILLS {
        let mut running = program.start(&[]);
        // Some are killed while they start, but for the first ones: there is nothing to be lost yet.
        if kill < 2 || !chance.one_in(4) {
            let ready =
                tokio::time::timeout(Duration::from_mins(1), running.ready.wait_for(|ready| *ready)).await;
            assert!(matches!(ready, Ok(Ok(_))), "a sender did not start: {}", program.log());
        }
        tokio::time::sleep(chance.millis(0, 400)).await;
        program.kill(running).await;
    }

    let mut drain = program.start(&["--drain"]);
    let ended = tokio::time::timeout(Duration::from_mins(2), drain.child.wait()).await;
    assert!(
        ended.is_ok_and(|status| status.unwrap().success()),
        "it never came to an end: {}",
        program.log()
    );
    let said = drain.reader.await.unwrap();
    assert!(!program.log().contains("panicked at"), "{}", program.log());
    assert_eq!(Database::Sqlite(program.database()).integrity().await, "ok");

    let received = sink.received.lock().unwrap();
    let accepted: HashSet<_> =
        received.iter().filter(|one| one.accepted).map(|one| one.event.clone()).collect();
    assert_eq!(said, format!("done {} 0", accepted.len()), "what is delivered is not what was received");
    let events = program.events.lock().unwrap();
    let lost: Vec<_> = events.iter().filter(|event| !accepted.contains(*event)).collect();
    assert!(lost.is_empty(), "{} of {} events are lost: {lost:?}", lost.len(), events.len());

    let mut ids_of = HashMap::new();
    let mut numbers = HashSet::new();
    for one in received.iter() {
        let id = ids_of.entry(&one.event).or_insert(&one.id);
        assert_eq!(*id, &one.id, "an event has two ids: {:?}", one.event);
        assert!(numbers.insert((&one.id, one.number)), "{} was sent twice as number {}", one.id, one.number);
    }
    let twice = received.iter().filter(|one| one.accepted).count() - accepted.len();
    assert!(events.len() > 100, "there was hardly any load: {}", events.len());
    println!(
        "{KILLS} kills, {} events accepted, {} in all, {} requests, {twice} delivered once more after a kill",
        events.len(),
        ids_of.len(),
        received.len(),
    );
}
