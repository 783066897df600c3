//! Secrets that are mounted as files, as Docker and Kubernetes do it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::SettingsError;
use super::store::EXPECTED;

/// A variable that holds a secret, and the one that names a file with its value.
pub(super) const FILES: &[(&str, &str)] = &[
    ("IDNOW_WEBHOOK_SECRET", "IDNOW_WEBHOOK_SECRET_FILE"),
    ("IDNOW_REQUIRED_HEADERS", "IDNOW_REQUIRED_HEADERS_FILE"),
    (STORE, "IDNOW_STORE_FILE"),
];
const STORE: &str = "IDNOW_STORE";

const MAX_BYTES: u64 = 64 * 1024;
/// How every SQLite database begins.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// The value in this file, for `variable`. `named_by` names the file, for the error.
pub(super) fn read(variable: &str, named_by: &str, path: &str) -> Result<String, SettingsError> {
    let wrong = |problem: &str| {
        let hint = if variable == STORE {
            format!(": it must hold {EXPECTED} (for a SQLite database, set IDNOW_STORE=sqlite:PATH)")
        } else {
            String::new()
        };
        SettingsError::wrong_file(named_by, &shown(path), &format!("{problem}{hint}"))
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| wrong(&format!("cannot be read ({error})")))?;
    if variable == STORE && bytes.starts_with(SQLITE) {
        let problem =
            format!("is a SQLite database, and must hold the address of one: set IDNOW_STORE=sqlite:{path}");
        return Err(SettingsError::wrong_file(named_by, &shown(path), &problem));
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(wrong("is longer than 64 KiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8 text"))?;
    // Editors put the one before a text, and all put the other after it.
    let value = text.trim_start_matches('\u{feff}').trim_end_matches(['\n', '\r']);
    if value.trim().is_empty() {
        return Err(wrong("is empty"));
    }
    Ok(value.to_owned())
}

/// A path of a file that exists, or could in a folder that does. Anything else may be the secret itself, set by mistake;
/// Base64 may begin with `/`, so the root is no such folder.
pub(super) fn shown(path: &str) -> String {
    let file = Path::new(path);
    let in_folder = |parent: &Path| parent.parent().is_some() && parent.is_dir();
    let is_path = file.exists() || file.parent().is_some_and(in_folder);
    if is_path { format!("{path:?}") } else { "(value not shown)".to_owned() }
}
