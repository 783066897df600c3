//! What the compiler says of the mistakes that newcomers make: each file in `cases/` is one, and what it is told stands
//! beside it. See `tests/README.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// Whose words the texts in `cases/` are. Every version has its own.
const RUSTC: &str = "1.95";

const CASES: &str = "tests/cases/*.rs";
const OVERWRITE: &str = "TRYBUILD";
const COPY: &str = "IDNOW_WEBHOOKS_CASES";

#[test]
fn are_told_in_words_that_help() {
    if let Ok(copy) = std::env::var(COPY) {
        return trybuild::TestCases::new().compile_fail(copy);
    }
    let version = rustc_version();
    if version.strip_prefix(RUSTC).is_some_and(|patch| patch.starts_with('.') && !patch.contains('-')) {
        return trybuild::TestCases::new().compile_fail(CASES);
    }
    let otherwise = told_otherwise(&version);
    // Past the capture of the test's output: whoever reads that all has passed is to see what was not compared.
    let notice = format!(
        "\nThe texts of the compile errors are those of rustc {RUSTC}, and this is {version}: that it refuses each case is\n\
         all that was judged.{otherwise}\n\
         To compare the texts: `cargo +{RUSTC} test -p {package}`, after `rustup toolchain install {RUSTC}`. To renew\n\
         them by another compiler: change `RUSTC` in {file}, run the test with TRYBUILD=overwrite, and read what has changed.\n",
        package = env!("CARGO_PKG_NAME"),
        file = file!(),
    );
    std::io::stderr().write_all(notice.as_bytes()).unwrap();
}

/// Who changes the version must change it there, too, or nobody compares the texts any more.
#[test]
fn the_public_workflow_compares_the_texts() {
    let workflow = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.github/workflows/ci.yml");
    let workflow = fs::read_to_string(workflow).unwrap();
    let command = format!("cargo +{RUSTC} test --locked -p {}", env!("CARGO_PKG_NAME"));
    assert!(workflow.contains(&command), "`{command}` is not in .github/workflows/ci.yml");
}

/// That this compiler refuses each case, and for which it has other codes: another compiler may, for it may see more, or
/// name it anew.
fn told_otherwise(version: &str) -> String {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let cases = files(&kept, "rs");
    assert!(!cases.is_empty(), "no cases in {}", kept.display());
    for case in &cases {
        fs::copy(kept.join(case), folder.path().join(case)).unwrap();
    }
    // It writes the texts beside the copies. The variable is its only switch for that, and a process cannot safely change
    // its own.
    let compiled = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "are_told_in_words_that_help"])
        .env(OVERWRITE, "overwrite")
        .env(COPY, folder.path().join("*.rs"))
        .output()
        .unwrap();
    let accepted: Vec<_> =
        cases.iter().filter(|case| !folder.path().join(case).with_extension("stderr").exists()).collect();
    if !compiled.status.success() {
        assert!(
            accepted.is_empty() || accepted.len() == cases.len(),
            "rustc {version} accepts what it must refuse: {accepted:?}"
        );
        panic!("the cases cannot be compiled: {}{}", end(&compiled.stdout), end(&compiled.stderr));
    }
    let mut otherwise = String::new();
    for text in files(&kept, "stderr") {
        let (expected, seen) = (codes(&kept.join(&text)), codes(&folder.path().join(&text)));
        assert!(!expected.is_empty(), "{text} holds no error");
        if expected != seen {
            let [expected, seen] =
                [expected, seen].map(|codes| codes.into_iter().collect::<Vec<_>>().join(", "));
            write!(otherwise, "\n  {text}: here {seen}, by {RUSTC} {expected}").unwrap();
        }
    }
    if otherwise.is_empty() { " All codes are the same.".into() } else { format!(" Other codes:{otherwise}") }
}

/// The last lines: the whole holds the texts of all cases.
fn end(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let skipped = text.lines().count().saturating_sub(20);
    text.lines().skip(skipped).collect::<Vec<_>>().join("\n")
}

/// The names of the files that end like this.
fn files(folder: &Path, extension: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let wanted = entries.filter(|path| path.extension().is_some_and(|found| found == extension));
    let mut names: Vec<_> =
        wanted.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    names
}

/// Such as `error[E0277]`; some errors have no code. How often one is told differs between versions.
fn codes(text: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(text).unwrap();
    let errors = text.lines().filter(|line| line.starts_with("error"));
    errors.map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect()
}

/// Such as `1.95.0`, of the compiler that `trybuild` takes too.
fn rustc_version() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(&rustc).arg("--version").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    said.split(' ').nth(1).unwrap_or_else(|| panic!("{} says {said:?}", rustc.display())).to_owned()
}
