//! The table, and the document that holds it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::row::Ran;

const BEGIN: &str = "<!-- What follows was observed: `scripts/faults --write` writes it anew. -->\n";
const END: &str = "<!-- Up to here. -->\n";
/// Set, the document is written anew.
const WRITE: &str = "FAULTS_WRITE";
const HEADER: &str = "| what happens | answered meanwhile | the event is then | delivered again, once it is over | in the end |\n\
    |---|---|---|---|---|\n";

/// As Markdown, a table for each group.
pub(crate) fn render(rows: &[Ran]) -> String {
    let (mut text, mut group) = (String::new(), None);
    for row in rows {
        if group != Some(row.group) {
            write!(text, "\n## {}\n\n{HEADER}", row.group).unwrap();
            group = Some(row.group);
        }
        let [answered, left, again, ends] = row.observed.cells();
        // The provider never tries again after a 4xx; somebody else may.
        let by_hand = if answered.starts_with('4') { "by hand: " } else { "" };
        writeln!(text, "| {} | {answered} | {left} | {by_hand}{again} | {ends} |", row.fault).unwrap();
    }
    text + "\n"
}

/// Compares the document with the table, or writes it anew.
pub(crate) fn compare(table: &str, rows: &[Ran]) -> Result<(), String> {
    let write = std::env::var_os(WRITE).is_some();
    if write {
        all_observed(rows)?;
    }
    let path = document();
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let marked = || {
        let (before, rest) = text.split_once(BEGIN)?;
        let (documented, after) = rest.split_once(END)?;
        Some((before, documented, after))
    };
    let (before, documented, after) = marked().ok_or_else(|| {
        format!("docs/faults.md must hold these two lines, with the table between them:\n{BEGIN}{END}")
    })?;
    if documented == table {
        return Ok(());
    }
    if write {
        return std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}"))
            .map_err(|error| format!("{}: {error}", path.display()));
    }
    let gone = documented.lines().filter(|line| !table.contains(line)).map(|line| format!("- {line}"));
    let new = table.lines().filter(|line| !documented.contains(line)).map(|line| format!("+ {line}"));
    let difference: Vec<_> = gone.chain(new).collect();
    let difference = difference.join("\n");
    Err(format!(
        "docs/faults.md (-) is not what was observed (+): if that is how it is meant to be, run \
        `scripts/faults --write` and commit the file.\n{difference}"
    ))
}

/// What nobody has observed must not be written down.
fn all_observed(rows: &[Ran]) -> Result<(), String> {
    let missing =
        rows.iter().filter_map(|row| Some(format!("{}: {}, for {}", row.group, row.fault, row.missing?)));
    let missing: Vec<_> = missing.collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "docs/faults.md is not written, as these rows were not observed here:\n{}\nRun it as root, or where \
        `unshare --user --map-root-user --mount true` is allowed.",
        missing.join("\n")
    ))
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/faults.md")
}

#[test]
fn what_was_not_observed_is_not_written() {
    use crate::row::Observed;

    let row = |missing| {
        let [answered, left, again, ends] = ["200", "waiting", "200", "completed"].map(str::to_owned);
        let observed = Observed { answered, left, again, ends };
        Ran { group: "Store", fault: "the disk is full", observed, wrong: None, missing }
    };
    assert_eq!(all_observed(&[row(None)]), Ok(()));
    let refused = all_observed(&[row(None), row(Some("file systems cannot be mounted"))]).unwrap_err();
    assert!(refused.contains("Store: the disk is full, for file systems cannot be mounted"), "{refused}");
}
