//! The watch can fail: who logs a secret does not get away with it.

use std::process::Command;

use idnow_webhooks::EventRouter;
use idnow_webhooks_conformance::watch::watch_everything;
use idnow_webhooks_testkit::{Provider, SampleEvent};

use crate::secret;

const ASKED: &str = "LOG_A_SECRET";

#[test]
fn a_secret_in_the_log_ends_the_process() {
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output =
        child.args(["--exact", "watched::whoever_logs_a_secret"]).env(ASKED, "yes").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("the log holds a secret, \"s3cret\""), "{told}");
}

/// In a process of its own: the name of an event is logged.
#[tokio::test]
async fn whoever_logs_a_secret() {
    if std::env::var_os(ASKED).is_some() {
        watch_everything();
        let provider = Provider::new();
        let receiver = provider.receiver().handlers(EventRouter::new()).build().unwrap();
        provider.deliver(&receiver, &SampleEvent::named(&secret("name"))).await;
    }
}
