//! Runs the command as a user does.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;

/// The demo takes some seconds.
static DEMO: LazyLock<Output> = LazyLock::new(|| run(&["demo"]));

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_idnow-webhooks"));
    // As on a machine without root certificates: all of it is plain HTTP.
    command.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/nonexistent");
    command.args(arguments).output().unwrap()
}

/// What each line begins with, its answers, and the end of its callbacks.
const STEPS: [(&str, &str, &str); 21] = [
    ("six sessions are created", "200", r#"on("session.created") no. 1, CREATED  ×6"#),
    ("one is completed  ", "200", r#"on("session.completed") no. 2, COMPLETED"#),
    ("one is aborted; the answer is lost", "no answer → 200", r#"on("session.aborted") no. 2, ABORTED"#),
    ("one expires; its callback fails at first", "200", "EXPIRED: fails"),
    ("one fails; the store is locked", "503 store_unavailable → 200", r#"on("session.error") no. 2, ERROR"#),
    ("one is completed during a restart", "503 target_unavailable → 200", "no. 2, COMPLETED"),
    ("out of order: completed comes first", "200", "no. 2, COMPLETED, after a gap"),
    ("... and created afterwards", "200", "no. 1, CREATED, late"),
    ("the published example", "200", "no. 2, COMPLETED, after a gap"),
    ("an event that nobody knows yet", "200", r#"on_unknown("session.rewound")"#),
    ("the payload was tampered with", "401 false_signature", " -"),
    ("signed with another key", "401 false_signature", " -"),
    ("alg: none", "401 wrong_algorithm", " -"),
    ("HS256 with the public key as secret", "401 wrong_algorithm", " -"),
    ("expired: genuine, but two hours old", "503 expired", " -"),
    ("genuine, but made for another receiver", "503 wrong_audience", " -"),
    ("genuine, but from a stranger's address", "403 source_not_allowed", " -"),
    ("genuine, and sent once more", "200", " -"),
    ("signed with a key of a moment ago", "200", "no. 2, COMPLETED"),
    ("signed with the key that was revoked", "503 keys_unavailable", " -"),
    ("... once the receiver has restarted", "503 unknown_key", " -"),
];

#[test]
fn the_demo_shows_every_delivery_and_succeeds() {
    let output = &*DEMO;
    let text = str::from_utf8(&output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{text}");
    assert!(!text.contains('✗') && !text.contains('\u{1b}'), "no colours into a pipe: {text}");
    assert!(text.contains("(axum)") && text.contains("All 21 steps went right."), "{text}");
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with('✓')).collect();
    assert_eq!(lines.len(), STEPS.len(), "{text}");
    for (line, (what, answers, callbacks)) in lines.iter().zip(STEPS) {
        let rest = line.strip_prefix(&format!("✓ {what}")).unwrap_or_else(|| panic!("{what}: {line}"));
        assert!(rest.trim_start().starts_with(answers) && rest.ends_with(callbacks), "{line}");
        assert!(line.chars().nth(42) == Some(' ') && line.chars().nth(43) != Some(' '), "columns: {line}");
    }
}

#[test]
fn the_picture_of_it_shows_the_same_lines() {
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/demo.svg");
    let picture = std::fs::read_to_string(picture).unwrap();
    let mut shown: Vec<(&str, String)> = Vec::new();
    for drawn in picture.lines().filter_map(|line| line.strip_prefix("<text ")) {
        let (attributes, text) = drawn.strip_suffix("</text>").unwrap().split_once('>').unwrap();
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        let height = attributes.split_once(" y=\"").unwrap().1.split_once('"').unwrap().0;
        match shown.last_mut() {
            Some((last, line)) if *last == height => *line = format!("{line} {text}"),
            _ => shown.push((height, text)),
        }
    }
    let shown: Vec<_> = shown.iter().map(|(_, line)| steady(line)).collect();
    let printed = str::from_utf8(&DEMO.stdout).unwrap().lines().filter(|line| !line.is_empty()).map(steady);
    let printed: Vec<_> = [steady("$ idnow-webhooks demo")].into_iter().chain(printed).collect();
    assert_eq!(shown, printed, "draw docs/demo.svg (left) anew: scripts/pictures demo");
}

/// A line without what differs each time, and without spaces: the picture places columns by itself.
fn steady(line: &str) -> String {
    let words = line.split_whitespace().map(|word| match word {
        _ if word.starts_with("http://127.0.0.1:") => {
            word.replace(|letter: char| letter.is_ascii_digit(), "")
        }
        _ if word.ends_with("/events.db") => "events.db".to_owned(),
        _ => word.to_owned(),
    });
    words.collect()
}

#[test]
fn each_framework_answers_alike() {
    let output = run(&["demo", "--framework", "all", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{text}");
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.pop().unwrap(), serde_json::json!({ "kind": "finished", "right": 63, "wrong": 0 }));
    let mut steps = Vec::new();
    for (lines, framework) in lines.chunks(22).zip(["axum", "actix-web", "warp"]) {
        let (started, shown) = lines.split_first().unwrap();
        assert!(started["kind"] == "started" && started["framework"] == framework, "{started}");
        assert!(shown.iter().all(|step| step["kind"] == "step" && step["framework"] == framework), "{text}");
        let of = |step: &Value| {
            // How often the provider had to try depends on the machine.
            let mut answers = step["answers"].as_array().unwrap().clone();
            answers.dedup();
            (step["what"].clone(), answers, step["callbacks"].clone(), step["right"].clone())
        };
        steps.push(shown.iter().map(of).collect::<Vec<_>>());
    }
    assert_eq!(steps.len(), 3);
    assert!(steps.iter().all(|shown| *shown == steps[0] && shown.len() == 21), "{steps:?}");
    let (what, answers, callbacks, right) = &steps[0][4];
    assert_eq!(what, "one fails; the store is locked");
    let expected = serde_json::json!([{ "status": 503, "code": "store_unavailable" }, { "status": 200 }]);
    assert_eq!(Value::from(answers.clone()), expected);
    assert_eq!(*callbacks, serde_json::json!([r#"on("session.error") no. 2, ERROR"#]));
    assert_eq!(*right, true);
}

#[test]
fn an_unknown_framework_is_wrong_usage() {
    let output = run(&["demo", "--framework", "rocket"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    for name in ["axum", "actix-web", "warp", "all"] {
        assert!(errors.contains(name), "{errors}");
    }
}

#[test]
fn without_a_command_it_explains_itself() {
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("demo"));
}
