//! Receivers in other languages and by other libraries, side by side: `scripts/compare`, which installs them first.
//!
//! Each is a process on one processor, and the load comes over 32 connections from another one. All of them verify
//! RS256, issuer, audience and expiry, and answer 200 or 401.

use std::cell::RefCell;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use idnow_webhooks_testkit::{Provider, SampleEvent, SigningKey};

use crate::by_hand;
use crate::fixture::{Pool, Signature, provider};
use crate::http::affinity::{Apart, bind};
use crate::http::child::{CPU_TIME_IS_KNOWN, Server};
use crate::http::load::{Load, request};
use crate::measure::{Effort, compare, median};
use crate::report::Report;

const ROUNDS: usize = 20;
const TURN: usize = 1000;
/// The folder that `scripts/compare` has put the other languages' libraries into.
const INSTALLED: &str = "COMPARE_INSTALLED";

struct Candidate {
    name: &'static str,
    what: What,
    /// What a receiver of webhooks needs beside the checks.
    lacks: &'static str,
}

impl Candidate {
    fn printed(&self) -> (&'static str, &'static str) {
        (self.name, self.lacks)
    }
}

enum What {
    /// A side of the axum server in [`crate::http::serve`].
    Axum(&'static str),
    Node,
    Python,
}

const NOTHING_ELSE: &str = "no key rotation, deduplication, durability, limits of time, logs, metrics";
const CANDIDATES: [Candidate; 5] = [
    Candidate {
        name: "idnow-webhooks, inline, axum",
        what: What::Axum("ours"),
        lacks: "the memory of handled events ends with the process",
    },
    Candidate {
        name: "idnow-webhooks, queued, SQLite, axum",
        what: What::Axum("stored"),
        lacks: "its worker is elsewhere",
    },
    Candidate { name: "  the same, with its worker on that core", what: What::Axum("worked"), lacks: "-" },
    Candidate { name: "FastAPI, PyJWT, uvicorn", what: What::Python, lacks: NOTHING_ELSE },
    Candidate { name: "express, jose", what: What::Node, lacks: NOTHING_ELSE },
];
const REFERENCE: Candidate =
    Candidate { name: "axum, jsonwebtoken", what: What::Axum("by-hand"), lacks: NOTHING_ELSE };

pub fn run(effort: Effort, _: &mut Report) {
    let Some(installed) = std::env::var_os(INSTALLED).map(PathBuf::from) else {
        println!("\ncompare: skipped: run scripts/compare, which installs Node's and Python's libraries");
        return;
    };
    let Some(apart) = Apart::new().filter(|_| CPU_TIME_IS_KNOWN) else {
        println!("\ncompare: skipped: this takes Linux, and two processors that a process can be bound to");
        return;
    };
    let provider = provider(Signature::Rs256);
    let (rounds, turn) = (effort.rounds(ROUNDS), effort.turn(TURN));
    // Every event is new to each receiver, in every turn.
    let tokens = Pool::sign(&provider, turn * (rounds + rounds.div_ceil(20)));
    println!("\n{rounds} turns of {turn} deliveries each, over 32 connections; one core for the server");
    println!(
        "{:40} | {:>10} | {:>8} | {:>12} | {:>9} | what it does not do",
        "deliveries, and time on the processor", "rate", "ratio", "for each", "ratio"
    );
    println!("{:-<40}-|-{:->10}-|-{:->8}-|-{:->12}-|-{:->9}-|----", "", "", "", "", "");
    let folder = tempfile::tempdir().unwrap();
    let start = |candidate: &Candidate, run: usize| {
        let file = folder.path().join(format!("{run}.db"));
        Side::start(candidate, &file, &installed, &apart, &provider, tokens.clone(), turn)
    };
    let mut by_hand = Vec::new();
    for (run, candidate) in CANDIDATES.iter().enumerate() {
        let (ours, reference) = (start(candidate, 2 * run), start(&REFERENCE, 2 * run + 1));
        let comparison = compare(rounds, || ours.turn(), || reference.turn());
        let (busy, busy_reference) = (ours.end(), reference.end());
        line(
            candidate.printed(),
            comparison.ours,
            1.0 / comparison.ratio.median,
            busy,
            busy / busy_reference,
        );
        by_hand.push((comparison.reference, busy_reference));
    }
    let [elapsed, busy] = [0, 1].map(|of| {
        median(by_hand.iter().map(|(elapsed, busy)| if of == 0 { *elapsed } else { *busy }).collect())
    });
    line(REFERENCE.printed(), elapsed, 1.0, busy, 1.0);
    let floor = floor(&provider, effort);
    line(
        ("one bare RS256 verification, no HTTP", "anything else"),
        floor,
        elapsed / floor,
        floor,
        floor / busy,
    );
}

/// Microseconds of a delivery by the clock and on the processor, each with its ratio to the reference.
fn line((name, lacks): (&str, &str), elapsed: f64, rate: f64, busy: f64, ratio: f64) {
    println!(
        "{:40} | {:8.0}/s | {rate:7.2}x | {busy:9.1} us | {ratio:8.2}x | {}",
        name,
        1e6 / elapsed,
        lacks
    );
}

struct Side {
    server: Server,
    load: RefCell<Load>,
    turn: usize,
    before: u64,
}

impl Side {
    fn start(
        candidate: &Candidate,
        file: &Path,
        installed: &Path,
        apart: &Apart,
        provider: &Provider,
        tokens: Pool,
        turn: usize,
    ) -> Self {
        let others = Path::new(env!("CARGO_MANIFEST_DIR")).join("others");
        let spawn = |program: &mut Command| {
            program.args([provider.issuer(), provider.audience()]);
            // A process begins on the processors of the thread that starts it.
            bind(apart.server);
            let server = Server::of(program, provider);
            bind(apart.here);
            server
        };
        let server = match candidate.what {
            What::Axum(side) => Server::start("axum", side, Some(file), Some(apart.server), provider),
            // Beside what it imports, as Node looks for that from there upwards.
            What::Node => spawn(Command::new("node").arg(installed.join("node/server.mjs"))),
            What::Python => {
                spawn(Command::new(installed.join("python/bin/python")).arg(others.join("python/server.py")))
            }
        };
        judges(candidate, server.port, provider);
        let load = Load::connect(server.port, tokens);
        let before = server.cpu_time();
        Self { server, load: RefCell::new(load), turn, before }
    }

    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    fn turn(&self) -> f64 {
        self.load.borrow_mut().deliver(self.turn).as_secs_f64() * 1e6 / self.turn as f64
    }

    /// Microseconds on the processor for each delivery.
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a few minutes")]
    fn end(self) -> f64 {
        let busy = self.server.cpu_time() - self.before;
        let sent = self.load.into_inner().end();
        self.server.end();
        busy as f64 / 1e3 / sent as f64
    }
}

/// Whoever believes a forgery is not compared with anybody.
fn judges(candidate: &Candidate, port: u16, provider: &Provider) {
    let event = SampleEvent::completed();
    let genuine = provider.token(&event);
    let other = provider.token(&SampleEvent::completed());
    let ((message, _), (_, other)) = (genuine.rsplit_once('.').unwrap(), other.rsplit_once('.').unwrap());
    let stranger = SigningKey::shared_other().with_key_id(provider.key().key_id().unwrap());
    let forged = [
        ("another token's signature", format!("{message}.{other}")),
        ("a stranger's key", provider.clone().with_key(stranger).token(&event)),
        ("another audience", provider.clone().with_audience("https://shop.example/").token(&event)),
        ("another issuer", provider.clone().with_issuer("https://issuer.example").token(&event)),
        ("expired", provider.token_with(&event, |claims| claims["exp"] = 1_600_000_000.into())),
    ];
    assert_eq!(status(port, &genuine), 200, "{} refuses a genuine token", candidate.name);
    for (what, token) in forged {
        assert_eq!(status(port, &token), 401, "{} with this token: {what}", candidate.name);
    }
}

fn status(port: u16, token: &str) -> u16 {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.write_all(&request(&Bytes::copy_from_slice(token.as_bytes()))).unwrap();
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).unwrap();
    let answer = std::str::from_utf8(&answer).unwrap();
    answer.strip_prefix("HTTP/1.1 ").unwrap().parse().unwrap()
}

/// Microseconds of what nobody who checks a delivery can do without.
#[expect(clippy::cast_precision_loss, reason = "a small constant")]
fn floor(provider: &Provider, effort: Effort) -> f64 {
    let (key, token) = (by_hand::rsa_key(provider), provider.token(&SampleEvent::completed()));
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let turn = effort.turn(TURN);
    let turns = (0..effort.rounds(ROUNDS)).map(|_| {
        let started = Instant::now();
        for _ in 0..turn {
            key.verify_sig(black_box(message.as_bytes()), &signature).unwrap();
        }
        started.elapsed().as_secs_f64() * 1e6 / turn as f64
    });
    median(turns.collect())
}
