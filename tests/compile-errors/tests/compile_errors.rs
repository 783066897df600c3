//! What the compiler says of the mistakes that newcomers make: each file in `cases/` is one, and what it is told stands
//! beside it. See `tests/README.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
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
    // Past the capture of the test's output: whoever reads that all has passed is to see what was not compared.
    let notice = format!(
        "\nThe texts of the compile errors are those of rustc {RUSTC}, this is {version}: only their codes are compared.\n\
         To compare the texts, run this test with rustc {RUSTC}. To renew them, change `RUSTC` in {}, run it with\n\
         TRYBUILD=overwrite, and read what has changed.\n",
        file!()
    );
    std::io::stderr().write_all(notice.as_bytes()).unwrap();
    compare_codes();
}

/// A case must be refused by every version, and for the same reason.
fn compare_codes() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let cases = files(&kept, "rs");
    assert!(!cases.is_empty(), "no cases in {}", kept.display());
    for case in &cases {
        fs::copy(kept.join(case), folder.path().join(case)).unwrap();
    }
    // It writes the texts beside the copies, and fails if one of them compiles. The variable is its only switch for
    // that, and a process cannot safely change its own.
    let compiled = Command::new(std::env::current_exe().unwrap())
        .env(OVERWRITE, "overwrite")
        .env(COPY, folder.path().join("*.rs"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&compiled.stdout);
    assert!(compiled.status.success(), "{told}{}", String::from_utf8_lossy(&compiled.stderr));
    for text in files(&kept, "stderr") {
        let (expected, seen) = (codes(&kept.join(&text)), codes(&folder.path().join(&text)));
        assert!(!expected.is_empty(), "{text} holds no error");
        assert_eq!(expected, seen, "{text}:\n{}", fs::read_to_string(folder.path().join(&text)).unwrap());
    }
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
