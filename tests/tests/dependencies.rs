//! `docs/dependencies.md` names each direct dependency of each published crate, and no other.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[derive(Debug, Default, PartialEq, Eq)]
struct Dependencies {
    normal: BTreeSet<String>,
    /// Of tests alone.
    dev: BTreeSet<String>,
}

fn of_manifests(root: &Path) -> BTreeMap<String, Dependencies> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"]).current_dir(root);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut all: BTreeMap<String, Dependencies> = BTreeMap::new();
    // `publish = false` is an empty list of registries.
    let packages = metadata["packages"].as_array().unwrap().iter();
    for package in packages.filter(|package| package["publish"] != Value::Array(Vec::new())) {
        let of = all.entry(package["name"].as_str().unwrap().to_owned()).or_default();
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap();
            if name.starts_with("idnow-webhooks") {
                continue;
            }
            let of = if dependency["kind"] == "dev" { &mut of.dev } else { &mut of.normal };
            of.insert(name.to_owned());
        }
    }
    all
}

fn of_document(text: &str) -> BTreeMap<String, Dependencies> {
    let mut all: BTreeMap<String, Dependencies> = BTreeMap::new();
    for part in text.split("\n## ").skip(1) {
        let (name, part) = part.split_once('\n').unwrap();
        let of = all.entry(name.to_owned()).or_default();
        for line in part.lines() {
            let quoted = line.split('`').skip(1).step_by(2).map(str::to_owned);
            if line.starts_with("| `") {
                let why = line.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap();
                assert!(why.trim().len() > 5, "a reason is missing: {line}");
                of.normal.extend(quoted.take(1));
            } else if line.starts_with("For tests alone: ") {
                of.dev.extend(quoted);
            }
        }
    }
    all
}

#[test]
fn the_document_names_each_direct_dependency_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(root.join("docs/dependencies.md")).unwrap();
    let (document, manifests) = (of_document(&text), of_manifests(root));
    assert_eq!(document.keys().collect::<Vec<_>>(), manifests.keys().collect::<Vec<_>>());
    for (name, expected) in &manifests {
        assert!(!expected.normal.is_empty(), "{name}");
        assert_eq!(
            document.get(name),
            Some(expected),
            "docs/dependencies.md (left) differs from {name} (right)"
        );
    }
}
