//! What becomes of the programs' output decides nothing: not where nobody reads it, not where it cannot be written.

use std::fs::File;
use std::io::{BufRead, BufReader, pipe};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use idnow_webhooks_testkit::SampleEvent;
use tokio::task::JoinSet;

use super::process::{Program, Running, command, root, start_at};
use super::{DEPLOYABLE, README, World, post_when_ready, world};

/// What the provider waits for an answer.
const PROVIDER_WAITS: Duration = Duration::from_secs(10);

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A pipe whose reader is gone.
fn broken() -> Stdio {
    pipe().unwrap().1.into()
}

fn start(program: Program, world: &World, change: impl FnOnce(&mut Command)) -> Running {
    let mut command = command(program, &world.variables());
    change(&mut command);
    start_at(command)
}

/// Each is answered 200 while the provider still waits for it.
async fn deliver(running: &Running, world: &World, count: usize) {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(PROVIDER_WAITS);
    let client = client.build().unwrap();
    post_when_ready(&running.url, &world.provider.token(&SampleEvent::completed())).await;
    for number in 0..count {
        let token = world.provider.token(&SampleEvent::completed());
        let answer = client.post(&running.url).body(token).send().await;
        let status = answer.unwrap_or_else(|error| panic!("delivery {number}: {error:?}")).status();
        assert_eq!(status, 200, "delivery {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_holds_up_nothing() {
    for program in DEPLOYABLE {
        // Standard output goes the same way, as with `2>&1`.
        for both in [false, true] {
            let world = world();
            let (_reader, writer) = pipe().unwrap();
            let running = start(program, &world, |command| {
                if both {
                    command.stdout(writer.try_clone().unwrap());
                }
                command.stderr(writer);
            });
            deliver(&running, &world, 1000).await;
            let (status, _) = running.terminate();
            assert!(status.success(), "{program:?}: {status}");
        }
    }
}

/// More than a pipe holds, and more than is kept for a reader who is slow: 1 MiB.
#[tokio::test(flavor = "multi_thread")]
async fn lines_that_nobody_took_are_dropped_and_counted() {
    for program in DEPLOYABLE {
        let world = world();
        let (reader, writer) = pipe().unwrap();
        let running = start(program, &world, |command| {
            // At INFO, what is refused again and again is only counted.
            command.stderr(writer).env("RUST_LOG", "info,idnow_webhooks=debug");
        });
        let mut clients = JoinSet::new();
        for _ in 0..8 {
            let url = running.url.clone();
            clients.spawn(async move {
                let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
                for _ in 0..1000 {
                    let answer = client.post(&url).body("no token").send().await.unwrap();
                    assert_eq!(answer.status(), 400);
                }
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
        let log = std::thread::spawn(move || {
            let lines = BufReader::new(reader).lines().map(Result::unwrap);
            lines.filter(|line| line.contains("log lines were dropped")).collect::<Vec<_>>()
        });
        let (status, _) = running.terminate();
        assert!(status.success(), "{program:?}: {status}");
        let told = log.join().unwrap();
        assert!(!told.is_empty() && told[0].contains(" WARN "), "{program:?}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_holds_up_nothing() {
    for program in DEPLOYABLE {
        for log in [full, broken] {
            let world = world();
            let running = start(program, &world, |command| {
                command.stderr(log());
            });
            deliver(&running, &world, 100).await;
            let (status, _) = running.terminate();
            assert!(status.success(), "{program:?}: {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_place_of_the_service_need_not_be_told() {
    for program in DEPLOYABLE {
        for stdout in [full, broken] {
            let world = world();
            let running = start(program, &world, |command| {
                command.stdout(stdout());
            });
            deliver(&running, &world, 1).await;
            let (status, log) = running.terminate();
            assert!(status.success() && !log.contains("panicked"), "{program:?}: {status}\n{log}");
        }
    }
}

/// The handlers of the README's programs print. What cannot be printed is handled again, and nothing panics.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_cannot_print_fails_and_does_not_panic() {
    for program in README {
        for stdout in [full, broken] {
            let world = world();
            let running = start(program, &world, |command| {
                command.stdout(stdout());
            });
            deliver(&running, &world, 1).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            let (status, log) = running.interrupt();
            assert!(status.success() && !log.contains("panicked"), "{program:?}: {status}\n{log}");
        }
    }
}

#[test]
fn a_program_that_cannot_say_why_it_does_not_start_ends_as_if_it_had() {
    for program in DEPLOYABLE {
        for (stdout, stderr) in [(broken(), full()), (full(), broken())] {
            let mut command = command(program, &world().variables());
            command.env("IDNOW_LEEWAY_SECONDS", "soon").stdout(stdout).stderr(stderr);
            let began = Instant::now();
            assert_eq!(command.status().unwrap().code(), Some(1), "{program:?}");
            assert!(began.elapsed() < PROVIDER_WAITS);
        }
    }
}

/// `println!` and its like panic when standard output cannot be written. The lint alone can be switched off in a line.
#[test]
fn no_program_uses_a_macro_that_panics_when_it_cannot_print() {
    let mut searched = 0;
    for folder in ["examples", "crates/idnow-webhooks/examples", "crates/idnow-webhooks-cli/src"] {
        let mut folders = vec![root().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    searched += 1;
                    let text = std::fs::read_to_string(&path).unwrap();
                    for found in ["print!(", "println!(", "dbg!("] {
                        assert!(!text.contains(found), "{} has {found}", path.display());
                    }
                }
            }
        }
    }
    assert!(searched > 40, "{searched}");
}
