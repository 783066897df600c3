//! Runs the command as a user does.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_idnow-webhooks"));
    // As on a machine without root certificates: all of it is plain HTTP.
    command.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/nonexistent");
    command.args(arguments).output().unwrap()
}

#[test]
fn the_demo_shows_every_delivery_and_succeeds() {
    let output = run(&["demo"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with('✓')).collect();
    assert_eq!(lines.len(), 17, "{text}");
    assert!(!text.contains('✗') && !text.contains('\u{1b}'), "no colours into a pipe: {text}");
    assert!(text.contains("All 17 answers were right."), "{text}");
    for (what, answer, callback) in [
        ("the published example", "200", r#"on("session.completed") no. 2, COMPLETED"#),
        ("second attempt", "200", " -"),
        ("out of order", "200", "no. 2"),
        ("fails at first", "200", ": fails"),
        ("nobody knows", "200", r#"on_unknown("session.rewound")"#),
        ("tampered", "401 token_refused", " -"),
        ("another key", "401 token_refused", " -"),
        ("alg: none", "401 token_refused", " -"),
        ("HS256", "401 token_refused", " -"),
        ("expired an hour", "401 token_refused", " -"),
        ("another audience", "401 token_refused", " -"),
        ("not on the list", "403 source_not_allowed", " -"),
        ("a moment ago", "200", r#"on("session.aborted")"#),
        ("revoked", "503 keys_unavailable", " -"),
    ] {
        let line = lines.iter().find(|line| line.contains(what)).unwrap();
        assert!(line.contains(answer) && line.contains(callback), "{line}");
    }
}

#[test]
fn without_a_command_it_explains_itself() {
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("demo"));
}
