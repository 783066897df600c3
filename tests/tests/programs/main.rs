//! The programs of the README and of `examples/`, built, started and sent webhooks as a user would.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod log;
mod output;
mod process;
mod silent;
mod tls;

use std::time::{Duration, Instant};

use idnow_webhooks::store::EventStore;
use idnow_webhooks_testkit::{KeyServer, Provider, SampleEvent};
use process::{Program, Running, start};

/// Each program of `examples/`, and the one of the README for the same framework.
const DEPLOYABLE: [Program; 3] = [
    Program::Package("example-axum"),
    Program::Package("example-actix-web"),
    Program::Package("example-warp"),
];
const README: [Program; 3] = [Program::Readme("axum"), Program::Readme("actix_web"), Program::Readme("warp")];

struct World {
    keys: KeyServer,
    provider: Provider,
    folder: tempfile::TempDir,
}

fn world() -> World {
    let keys = KeyServer::start().unwrap();
    let provider = Provider::new().with_issuer(keys.issuer());
    keys.publish(&[provider.key()]);
    World { keys, provider, folder: tempfile::tempdir().unwrap() }
}

impl World {
    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("IDNOW_ISSUER", self.keys.issuer().to_owned()),
            ("IDNOW_AUDIENCE", self.provider.audience().to_owned()),
            ("IDNOW_ALLOWED_IPS", "127.0.0.1".to_owned()),
            ("IDNOW_STORE", format!("sqlite:{}", self.folder.path().join("events.db").display())),
            ("NO_PROXY", "*".to_owned()),
        ]
    }
}

async fn post(url: &str, token: String) -> u16 {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let request = client.post(url).header("content-type", "application/jwt").body(token);
    request.send().await.unwrap().status().as_u16()
}

/// The receiver may still be fetching its first keys, and says so.
async fn post_when_ready(url: &str, token: &str) -> u16 {
    let deadline = Instant::now() + process::PATIENCE;
    while Instant::now() < deadline {
        match post(url, token.to_owned()).await {
            503 => tokio::time::sleep(Duration::from_millis(50)).await,
            status => return status,
        }
    }
    panic!("no keys after {:?}", process::PATIENCE);
}

async fn receives(world: &World, running: &Running) {
    let event = SampleEvent::completed();
    assert_eq!(post_when_ready(&running.url, &world.provider.token(&event)).await, 200);
    assert_eq!(post(&running.url, world.provider.token(&event.with_attempt(2))).await, 200);
    let forged = world.provider.clone().with_key(idnow_webhooks_testkit::SigningKey::shared_other());
    let status = post(&running.url, forged.token(&SampleEvent::completed())).await;
    assert!(status == 401 || status == 503, "{status}");
    let other_audience = world.provider.clone().with_audience("https://shop.example/");
    assert_eq!(post(&running.url, other_audience.token(&SampleEvent::completed())).await, 503);
}

#[tokio::test]
async fn every_program_receives_and_refuses() {
    for program in DEPLOYABLE.into_iter().chain(README) {
        let world = world();
        let running = start(program, &world.variables());
        receives(&world, &running).await;
    }
}

#[tokio::test]
async fn deployable_programs_log_a_line_a_delivery_and_stop_gracefully() {
    for program in DEPLOYABLE {
        let world = world();
        let running = start(program, &world.variables());
        let token = world.provider.token(&SampleEvent::completed());
        assert_eq!(post_when_ready(&running.url, &token).await, 200);
        assert_eq!(post(&running.url, "not a token".to_owned()).await, 400);
        let health = reqwest::get(format!("http://{}/health", running.address())).await.unwrap();
        assert_eq!(health.status(), 200, "{program:?}");
        let health: serde_json::Value = serde_json::from_slice(&health.bytes().await.unwrap()).unwrap();
        assert_eq!((&health["ready"], &health["store"]["dead"]), (&true.into(), &0.into()), "{health}");
        let (status, log) = running.terminate();
        assert!(status.success(), "{program:?}: {status}\n{log}");
        assert_eq!(log.lines().filter(|line| line.contains("delivery accepted")).count(), 1, "{log}");
        let begun: Vec<_> = log.lines().filter(|line| line.contains("the receiver is set up")).collect();
        assert!(begun.len() == 1 && begun[0].contains(&world.variables()[3].1), "the store is named: {log}");
        let refused: Vec<_> = log.lines().filter(|line| line.contains("malformed_token")).collect();
        assert_eq!(refused.len(), 1, "{log}");
        assert!(!log.contains(&token), "{log}");
    }
}

/// Their `main` comes to its end, and with it to the worker's: a signal that nobody handles would be no success.
#[tokio::test]
async fn programs_of_the_readme_stop_gracefully_on_ctrl_c() {
    for program in README {
        let world = world();
        let running = start(program, &world.variables());
        assert_eq!(
            post_when_ready(&running.url, &world.provider.token(&SampleEvent::completed())).await,
            200
        );
        let (status, log) = running.interrupt();
        assert!(status.success(), "{program:?}: {status}\n{log}");
    }
}

#[test]
fn a_queue_in_memory_is_warned_of() {
    let world = world();
    let mut variables = world.variables();
    let (_, log) = start(DEPLOYABLE[0], &variables).terminate();
    let warning = "events that were answered 200 are lost when this process ends: IDNOW_STORE is memory";
    assert!(!log.contains(warning), "{log}");
    variables.push(("IDNOW_STORE", "memory".to_owned()));
    let (_, log) = start(DEPLOYABLE[0], &variables).terminate();
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains(warning)), "{log}");
}

/// What was answered before a stop is known after it: the store is a file.
#[tokio::test]
async fn events_outlive_the_process() {
    for program in DEPLOYABLE {
        let world = world();
        let events = [(); 3].map(|()| SampleEvent::completed());
        let running = start(program, &world.variables());
        for event in &events {
            assert_eq!(post_when_ready(&running.url, &world.provider.token(event)).await, 200);
        }
        drop(running);
        let store =
            idnow_webhooks::sqlite::SqliteStore::open(world.folder.path().join("events.db")).await.unwrap();
        for event in &events {
            assert!(store.get(event.event_id()).await.unwrap().is_some(), "{program:?}");
        }
    }
}

#[tokio::test]
async fn a_wrong_value_stops_the_start_with_a_message_that_names_it() {
    for program in DEPLOYABLE {
        let world = world();
        let mut variables = world.variables();
        variables.push(("IDNOW_LEEWAY_SECONDS", "soon".to_owned()));
        let (status, log) = process::fails(program, &variables);
        assert!(!status.success());
        assert!(
            log.contains(r#"IDNOW_LEEWAY_SECONDS is "soon": expected a whole number of seconds"#),
            "{program:?}: {log}"
        );
    }
}

#[test]
fn a_misspelt_or_emptied_protection_stops_the_start() {
    for (name, value, expected) in [
        ("IDNOW_REQUIRED_HEADER", "X-Auth: hush", "IDNOW_REQUIRED_HEADERS"),
        ("IDNOW_REQUIRED_HEADERS", "", "IDNOW_REQUIRED_HEADERS is set but empty"),
    ] {
        let world = world();
        let mut variables = world.variables();
        variables.push((name, value.to_owned()));
        let (status, log) = process::fails(DEPLOYABLE[0], &variables);
        assert!(!status.success() && log.contains(expected) && !log.contains("hush"), "{log}");
    }
}

#[test]
fn errors_are_told_plainly() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for program in DEPLOYABLE {
        let world = world();
        let mut variables = world.variables();
        variables.push(("LISTEN", address.clone()));
        let (status, log) = process::fails(program, &variables);
        assert_eq!(status.code(), Some(1));
        let last = log.lines().last().unwrap();
        assert!(
            last.starts_with(&format!("LISTEN {address}: ")) && !last.ends_with('"'),
            "{program:?}: {log}"
        );
        assert!(!log.contains('\u{1b}'), "no colours into a pipe: {log}");
    }
}

#[test]
fn the_readme_holds_its_programs_word_for_word() {
    let root = process::root();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    for Program::Readme(name) | Program::Package(name) in README {
        let path = root.join("crates/idnow-webhooks/examples").join(name).with_extension("rs");
        let program = std::fs::read_to_string(path).unwrap();
        let (_, program) = program.split_once("\n\n").unwrap();
        assert!(readme.contains(&format!("```rust\n{program}```")), "{name} differs");
    }
}

#[test]
fn the_readme_lists_every_variable() {
    let readme = std::fs::read_to_string(process::root().join("README.md")).unwrap();
    for variable in idnow_webhooks::settings::VARIABLES {
        let row = format!("| `{}` | {} | {} |", variable.name, variable.default, variable.meaning);
        assert!(readme.contains(&row), "missing: {row}");
    }
}
