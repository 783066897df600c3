//! The example alerts, `docs/alerts.yml`, and what the production guide says of metrics and variables, held to what there is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    missing_docs,
    reason = "tests"
)]

mod rules;
mod scrape;

use std::path::{Path, PathBuf};
use std::process::Command;

/// What Prometheus itself adds to every series.
const TARGET: [&str; 2] = ["job", "instance"];
/// In documentation these are no metrics, but tables.
const TABLES: [&str; 4] =
    ["idnow_webhooks_events", "idnow_webhooks_states", "idnow_webhooks_parked", "idnow_webhooks_schema"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The values of a metric's labels that the documentation of telemetry lists, for what is hard to make happen.
fn documented(metric: &str) -> String {
    let table = text("crates/idnow-webhooks-core/src/telemetry.rs");
    let row = table.lines().find(|line| line.contains(&format!("| `{metric}` |")));
    row.unwrap_or_else(|| panic!("{metric} is not documented")).to_owned()
}

#[tokio::test]
async fn every_metric_label_and_value_exists() {
    let metrics = scrape::metrics().await;
    for rule in rules::parse(&text("docs/alerts.yml")) {
        let alert = &rule.name;
        let uses = rules::uses(&rule.expr);
        assert!(!uses.is_empty(), "{alert} asks for no metric");
        for used in &uses {
            let metric = &used.metric;
            let seen = metrics.get(metric).unwrap_or_else(|| panic!("{alert}: there is no metric {metric}"));
            for (label, values) in &used.labels {
                for value in values {
                    let exists = seen.contains(&(label.clone(), value.clone()))
                        || ["ending", "result"].contains(&&**label)
                            && documented(metric).contains(&format!("`{value}`"));
                    assert!(exists, "{alert}: {metric} has no {label}={value:?}, but {seen:?}");
                }
            }
        }
        for by in rule.expr.split("by (").skip(1) {
            for label in by.split_once(')').unwrap().0.split(", ") {
                let of_a_metric =
                    uses.iter().any(|used| metrics[&used.metric].iter().any(|(name, _)| name == label));
                assert!(TARGET.contains(&label) || of_a_metric, "{alert}: there is no label {label}");
            }
        }
    }
    let cases = text("tests/tests/alerts/cases.yml");
    for (label, code) in &metrics["idnow_webhooks_genuine_refused_total"] {
        assert!(label != "outcome" || cases.contains(&format!("outcome: {code} }}")), "no case for {code}");
    }
    for used in rules::uses(&text("docs/production.md")) {
        let metric = &used.metric;
        assert!(
            TABLES.contains(&&**metric)
                || metrics.contains_key(metric)
                || documented(metric).contains("| counter |"),
            "docs/production.md names {metric}"
        );
    }
}

#[test]
fn each_fires_when_it_should() {
    let folder = tempfile::tempdir().unwrap();
    // `promtool test rules` would compare annotations, too, and so hold the same texts twice.
    let annotation = |line: &&str| {
        let line = line.trim_start();
        ["annotations:", "summary:", "runbook:"].iter().any(|name| line.starts_with(name))
    };
    let bare: Vec<_> =
        text("docs/alerts.yml").lines().filter(|line| !annotation(line)).map(str::to_owned).collect();
    std::fs::write(folder.path().join("alerts.yml"), bare.join("\n")).unwrap();
    let cases = text("tests/tests/alerts/cases.yml");
    std::fs::write(folder.path().join("cases.yml"), &cases).unwrap();
    promtool(&["check", "rules"], &root().join("docs/alerts.yml"));
    promtool(&["test", "rules"], &folder.path().join("cases.yml"));
    for rule in rules::parse(&text("docs/alerts.yml")) {
        let name = &rule.name;
        let fires = format!("alertname: {name}\n        exp_alerts:");
        assert!(cases.contains(&fires), "no case in which {name} fires");
        assert!(cases.contains(&format!("alertname: {name} }}")), "no case in which {name} is silent");
    }
}

fn promtool(arguments: &[&str], file: &Path) {
    let output = Command::new("promtool").args(arguments).arg(file).output().unwrap_or_else(|error| {
        panic!(
            "this test needs Prometheus's `promtool` in PATH ({error}). Install it: on Debian or Ubuntu `apt-get install \
             prometheus`, on macOS `brew install prometheus`"
        )
    });
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

/// As GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn the_guide_lists_all_of_them() {
    let guide = text("docs/production.md");
    let alerts = rules::parse(&text("docs/alerts.yml"));
    let count = alerts.len();
    assert!(guide.contains(&format!("holds {count} alerts")), "the guide should say that there are {count}");
    for rule in alerts {
        let (name, severity) = (&rule.name, rule.severity());
        let listed = guide.lines().any(|line| {
            line.starts_with("| `Idnow")
                && line.contains(&format!("`{name}`"))
                && line.contains(&format!("| {severity} |"))
        });
        assert!(listed, "the guide's table should list {name}, as a {severity}");
    }
}

#[test]
fn each_says_where_the_guide_tells_what_to_do() {
    let guide = text("docs/production.md");
    let anchors: Vec<_> = guide
        .lines()
        .filter(|line| line.starts_with("##"))
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect();
    for rule in rules::parse(&text("docs/alerts.yml")) {
        let (file, anchor) = rule.annotations.runbook.split_once('#').unwrap();
        assert_eq!(file, "production.md");
        assert!(anchors.iter().any(|known| known == anchor), "{}: no {anchor} among {anchors:?}", rule.name);
    }
}

#[test]
fn the_guide_names_only_variables_and_files_that_exist() {
    let guide = text("docs/production.md");
    for name in guide.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')) {
        if name.starts_with("IDNOW_") && name.len() > "IDNOW_".len() {
            let known = idnow_webhooks::settings::VARIABLES.iter().any(|variable| variable.name == name);
            assert!(known, "there is no variable {name}");
        }
    }
    for link in guide.split("](").skip(1) {
        let target = link.split_once(')').unwrap().0;
        let (file, _) = target.split_once('#').unwrap_or((target, ""));
        if !file.is_empty() && !file.contains("://") {
            assert!(root().join("docs").join(file).exists(), "docs/production.md links to {file}");
        }
    }
}
