//! The watch can fail: who logs a secret does not get away with it, whichever facade was used.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::env;
use std::process::Command;

const CASE: &str = "WATCHED_CASE";

struct Case {
    name: &'static str,
    logs: fn(),
    ended: bool,
}

/// The records are of this program, which is none of ours as far as the watch knows.
const CASES: [Case; 8] = [
    Case { name: "tracing", logs: || by_default(|| tracing::info!("a s3cret")), ended: true },
    Case { name: "tracing_field", logs: || by_default(|| tracing::info!(value = "a s3cret")), ended: true },
    Case { name: "log", logs: || by_default(|| log::info!("a s3cret")), ended: true },
    Case { name: "log_debug", logs: || by_default(|| log::debug!("a s3cret")), ended: false },
    Case {
        name: "log_of_ours",
        logs: || by_default(|| log::trace!(target: "idnow_webhooks_core", "a s3cret")),
        ended: true,
    },
    Case { name: "everything_tracing", logs: || everything(|| tracing::trace!("a s3cret")), ended: true },
    Case { name: "everything_log", logs: || everything(|| log::trace!("a s3cret")), ended: true },
    Case { name: "no_secret", logs: || everything(|| log::error!("nothing special")), ended: false },
];

fn by_default(logs: fn()) {
    idnow_webhooks_watch::watch();
    logs();
}

fn everything(logs: fn()) {
    idnow_webhooks_watch::watch_everything();
    logs();
}

#[test]
fn a_secret_in_the_log_ends_the_process() {
    for Case { name, ended, .. } in CASES {
        let mut child = Command::new(env::current_exe().unwrap());
        let output = child.args(["--exact", "child", "--ignored"]).env(CASE, name).output().unwrap();
        let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.success(), !ended, "{name}: {said}{told}");
        assert_eq!(told.contains("the log holds a secret, \"s3cret\""), ended, "{name}: {told}");
        assert_eq!(said.contains("1 passed"), !ended, "{name}: {said}");
    }
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn child() {
    let name = env::var(CASE).unwrap();
    let case = CASES.iter().find(|case| case.name == name).unwrap();
    (case.logs)();
}
