//! Readers who go away or look away, and signals at bad moments.

use std::io::BufRead as _;
use std::net::TcpStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use idnow_webhooks_testkit::SampleEvent;
use serde_json::Value;

use super::listen::{AUDIENCE, Setup, post, provider};
use super::process::{Running, command};
use super::target::Target;

/// What nobody sees is not taken, nobody waits for ever, and Ctrl-C counts all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_and_not_read_is_not_taken() {
    let (keys, provider) = provider();
    let mut command = command(&["listen", "--listen", "127.0.0.1:0", "--json"]);
    command.env("IDNOW_ISSUER", keys.issuer()).env("IDNOW_AUDIENCE", AUDIENCE);
    command.env("IDNOW_ANSWER_DEADLINE_MS", "2000");
    let (child, mut stdout) = Running::stdout_of(&mut command);
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let url = said["url"].as_str().unwrap();
    let event = SampleEvent::completed().set("payload.note", "x".repeat(20_000));
    let mut refused = 0;
    for _ in 0..200 {
        let answer = tokio::time::timeout(Duration::from_secs(30), post(url, provider.token(&event)));
        let answer = answer.await.expect("it is stuck");
        if answer.status() == 503 {
            assert_eq!(answer.headers()["retry-after"], "1");
            refused += 1;
            if refused == 2 {
                break;
            }
        } else {
            assert_eq!(answer.status(), 200);
        }
    }
    assert_eq!(refused, 2);
    signal(&child, "INT");
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
    let output = tokio::time::timeout(Duration::from_secs(30), output).await.expect("it runs on").unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && error.contains("standard output is not read"), "{error}");
    drop(stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_twice_does_not_wait_for_answers() {
    let target = Target::start().await;
    target.wait(Duration::from_mins(1));
    let setup = Setup::new(&["--forward-to", &target.url], &[("IDNOW_ANSWER_DEADLINE_MS", "60000")]);
    let token = setup.provider.token(&SampleEvent::created());
    let url: url::Url = setup.url.parse().unwrap();
    let address = *url.socket_addrs(|| None).unwrap().first().unwrap();
    let delivery = tokio::spawn(async move { post(url.as_str(), token).await });
    target.arrived().await;
    setup.listener.signal("INT");
    // The first has been heard when nothing more is accepted.
    let began = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(began.elapsed() < Duration::from_secs(5), "it does not stop");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    setup.listener.signal("INT");
    assert_eq!(setup.listener.ended().code, Some(1));
    delivery.abort();
}

/// Their standard output takes nothing, so they cannot get past their first line.
#[cfg(target_os = "linux")]
#[test]
fn signals_are_caught_before_anything_is_printed() {
    use std::io::Write as _;

    let (keys, _) = provider();
    for name in ["listen", "sandbox"] {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut filler = writer.try_clone().unwrap();
        let filling = std::thread::spawn(move || while filler.write_all(&[b'x'; 4096]).is_ok() {});
        std::thread::sleep(Duration::from_millis(300));
        let mut command = command(&[name, "--listen", "127.0.0.1:0"]);
        command.env("IDNOW_ISSUER", keys.issuer()).env("IDNOW_AUDIENCE", AUDIENCE).stdout(writer);
        if name == "sandbox" {
            command.arg("--in-memory");
        }
        let mut child = command.spawn().unwrap();
        drop(command);
        let began = Instant::now();
        while !catches_both(&child) {
            if began.elapsed() > Duration::from_secs(20) {
                child.kill().unwrap();
                panic!("{name} would be killed");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        signal(&child, "TERM");
        drop(reader);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{name}");
        filling.join().unwrap();
    }
}

/// It has a folder of its own from early on, and its keys take a moment to make.
#[cfg(unix)]
#[test]
fn a_sandbox_that_is_stopped_while_it_starts_leaves_nothing_behind() {
    for milliseconds in [30, 60, 120, 250] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(&["sandbox", "--listen", "127.0.0.1:0", "--in-memory"]);
        let running = Running::start(command.env("TMPDIR", folder.path()));
        std::thread::sleep(Duration::from_millis(milliseconds));
        running.signal("TERM");
        let ended = running.ended();
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert!(left.is_empty(), "after {milliseconds} ms: {left:?}, {ended:?}");
    }
}

#[cfg(target_os = "linux")]
fn catches_both(child: &Child) -> bool {
    const INT_AND_TERM: u64 = 1 << 1 | 1 << 14;
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & INT_AND_TERM == INT_AND_TERM
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
}
