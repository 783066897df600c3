//! The watch can fail: who logs a secret does not get away with it, whichever facade was used, and a log that is not
//! watched is not taken for one without secrets.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::env;
use std::process::Command;
use std::sync::Mutex;

use idnow_webhooks_watch::{Kept, watch, watch_everything, watch_into};

const CASE: &str = "WATCHED_CASE";

struct Case {
    name: &'static str,
    runs: fn(),
    ends: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Passed,
    /// The whole process, for its secret.
    Aborted,
    /// The test, with this.
    Failed(&'static str),
}

use End::{Aborted, Failed, Passed};

/// The records are of this program, which is none of ours as far as the watch knows.
const CASES: [Case; 15] = [
    Case { name: "tracing", runs: || by_default(|| tracing::info!("a s3cret")), ends: Aborted },
    Case { name: "tracing_field", runs: || by_default(|| tracing::info!(value = "a s3cret")), ends: Aborted },
    Case { name: "log", runs: || by_default(|| log::info!("a s3cret")), ends: Aborted },
    Case { name: "log_debug", runs: || by_default(|| log::debug!("a s3cret")), ends: Passed },
    Case {
        name: "log_of_ours",
        runs: || by_default(|| log::trace!(target: "idnow_webhooks_core", "a s3cret")),
        ends: Aborted,
    },
    Case { name: "everything_tracing", runs: || everything(|| tracing::trace!("a s3cret")), ends: Aborted },
    Case { name: "everything_log", runs: || everything(|| log::trace!("a s3cret")), ends: Aborted },
    Case { name: "no_secret", runs: || everything(|| log::error!("nothing special")), ends: Passed },
    Case { name: "kept", runs: kept, ends: Passed },
    Case { name: "kept_secret", runs: || into(|| tracing::info!("a s3cret")), ends: Aborted },
    Case {
        name: "tracing_of_its_own",
        runs: || after_all(own_tracing, watch),
        ends: Failed("one of its own"),
    },
    Case { name: "log_of_its_own", runs: || after_all(own_log, watch), ends: Failed("one of its own") },
    Case {
        name: "less_is_watched",
        runs: || after_all(watch, watch_everything),
        ends: Failed("only info,idnow_webhooks=trace is watched: call watch_everything() first"),
    },
    Case {
        name: "not_kept",
        runs: || after_all(watch, || watch_into(&LOG)),
        ends: Failed("not kept here: call watch_into() first"),
    },
    Case { name: "more_is_watched", runs: || after_all(watch_everything, watch), ends: Passed },
];

static LOG: Kept = Mutex::new(Vec::new());

fn by_default(logs: fn()) {
    watch();
    logs();
}

fn everything(logs: fn()) {
    watch_everything();
    logs();
}

fn into(logs: fn()) {
    watch_into(&LOG);
    logs();
}

fn kept() {
    into(|| tracing::info!("one of them"));
    into(|| log::info!("another"));
    let log = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
    assert!(log.contains("one of them") && log.contains("another") && log.lines().count() == 2, "{log}");
}

/// Every test of a program asks, not only the first.
fn after_all(before: fn(), watches: fn()) {
    before();
    drop(std::panic::catch_unwind(watches));
    watches();
}

fn own_tracing() {
    tracing::subscriber::set_global_default(tracing::subscriber::NoSubscriber::new()).unwrap();
}

fn own_log() {
    struct Nowhere;
    impl log::Log for Nowhere {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            false
        }
        fn log(&self, _: &log::Record<'_>) {}
        fn flush(&self) {}
    }
    log::set_logger(&Nowhere).unwrap();
}

#[test]
fn a_secret_ends_the_process_and_a_log_that_is_not_watched_fails_the_test() {
    for Case { name, ends, .. } in CASES {
        let mut child = Command::new(env::current_exe().unwrap());
        let output = child.args(["--exact", "child", "--ignored"]).env(CASE, name).output().unwrap();
        let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.success(), ends == Passed, "{name}: {said}{told}");
        assert_eq!(told.contains("the log holds a secret, \"s3cret\""), ends == Aborted, "{name}: {told}");
        assert_eq!(said.contains("1 passed"), ends == Passed, "{name}: {said}");
        if let Failed(why) = ends {
            assert_eq!(said.matches(why).count(), 2, "{name}: {said}{told}");
        }
    }
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn child() {
    let name = env::var(CASE).unwrap();
    let case = CASES.iter().find(|case| case.name == name).unwrap();
    (case.runs)();
}
