//! On a pseudo-terminal, by `script` of util-linux.

use std::process::{Command, Stdio};

use idnow_webhooks_testkit::SampleEvent;

use super::Inbox;

/// What the command writes to a terminal, which is its output and its errors in one.
fn on_a_terminal(inbox: &Inbox, arguments: &str) -> String {
    let command = format!("{} inbox {arguments}", env!("CARGO_BIN_EXE_idnow-webhooks"));
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("IDNOW_STORE", format!("sqlite:{}", inbox.path().display()))
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}");
    shown
}

async fn dead_letters(inbox: &Inbox, count: usize) {
    for _ in 0..count {
        inbox.dead(&SampleEvent::completed(), "no").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_work_shows_how_far_it_is_and_leaves_its_result_alone() {
    let inbox = Inbox::new().await;
    dead_letters(&inbox, 205).await;
    let shown = on_a_terminal(&inbox, "retry-dead");
    assert!(shown.contains("queued [===") && shown.contains("] 100 of 205, "), "{shown:?}");
    // The bar is wiped away before the result is printed.
    let (before, result) = shown.rsplit_once("\u{1b}[2K").unwrap();
    assert!(before.contains("of 205") && !result.contains("of 205"), "{shown:?}");
    assert!(result.ends_with("queued 205 dead letters\r\n"), "{shown:?}");

    dead_letters(&inbox, 3).await;
    let shown = on_a_terminal(&inbox, "purge --dead --older-than 0s --yes");
    assert!(shown.contains("purged 3 in ") && shown.ends_with("purged 3 dead letters\r\n"), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_json_there_is_no_bar() {
    let inbox = Inbox::new().await;
    dead_letters(&inbox, 205).await;
    assert_eq!(on_a_terminal(&inbox, "retry-dead --json"), "{\r\n  \"queued\": 205\r\n}\r\n");
}
