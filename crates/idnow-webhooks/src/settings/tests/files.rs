//! Secrets that are mounted as files.

use std::path::Path;

use super::{Keys, SettingsError, Store, read};
use crate::Settings;
use crate::settings::files::FILES;

const SECRET: &str = "hush-hush-0123456789-0123456789-0123456789";

/// Reads the settings with a variable that names a file of this content.
fn with_file(name: &str, content: impl AsRef<[u8]>) -> (String, Result<Settings, SettingsError>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let settings = read(&[(name, &path)]);
    (path, settings)
}

#[test]
fn each_secret_may_be_in_a_file() {
    for line_break in ["", "\n", "\r\n", "\n\n"] {
        let (_, settings) = with_file("IDNOW_WEBHOOK_SECRET_FILE", format!("{SECRET}{line_break}"));
        let Keys::Secrets(secrets) = settings.unwrap().keys else { panic!("no secret") };
        assert!(secrets.len() == 1 && secrets[0].matches(SECRET.as_bytes()));

        // A line break at the end does not make commas a part of the values.
        let headers = format!("X-Auth: hush, X-Other: hush{line_break}");
        let (_, settings) = with_file("IDNOW_REQUIRED_HEADERS_FILE", headers);
        let names: Vec<_> =
            settings.unwrap().required_headers.iter().map(|header| header.name().clone()).collect();
        assert_eq!(names, ["x-auth", "x-other"]);

        let (_, settings) =
            with_file("IDNOW_STORE_FILE", format!("postgres://me:hush@db.example/bank{line_break}"));
        let Store::Postgres(url) = settings.unwrap().store else { panic!("another store") };
        assert!(url.matches(b"postgres://me:hush@db.example/bank"));
    }
    let two = format!("\u{feff}{SECRET}\n{SECRET}-2\n");
    let (_, settings) = with_file("IDNOW_WEBHOOK_SECRET_FILE", two);
    let Keys::Secrets(secrets) = settings.unwrap().keys else { panic!("no secret") };
    assert!(secrets.len() == 2 && secrets[0].matches(SECRET.as_bytes()));
}

/// What is in it is judged as the value of the variable would be, and the error leads to the file.
#[test]
fn a_wrong_value_in_a_file_is_told_with_its_path_and_without_itself() {
    for (name, content, expected) in [
        ("IDNOW_WEBHOOK_SECRET_FILE", "hush", "at least 32"),
        ("IDNOW_REQUIRED_HEADERS_FILE", "hush-hush", "no colon in entry 1"),
        ("IDNOW_STORE_FILE", "mysql://me:hush@db.example", "expected sqlite:PATH"),
        ("IDNOW_STORE_FILE", "sqlite::memory:", "set it to memory"),
        ("IDNOW_WEBHOOK_SECRET_FILE", "", "is empty"),
        ("IDNOW_REQUIRED_HEADERS_FILE", " \n\n", "is empty"),
        ("IDNOW_STORE_FILE", "\n", "is empty"),
        ("IDNOW_STORE_FILE", "\n", "it must hold sqlite:PATH"),
    ] {
        let (path, settings) = with_file(name, content);
        let error = settings.unwrap_err();
        assert_eq!(error.variable(), name);
        let text = error.to_string();
        assert!(text.starts_with(&format!("{name} {path:?} ")) && text.contains(expected), "{text}");
        assert!(!text.contains("hush"), "{text}");
    }
    for (_, name) in FILES {
        for (content, expected) in [
            (vec![b'a'; 64 * 1024 + 1], "is longer than 64 KiB"),
            (vec![0xff; 40], "is not UTF-8 text"),
            (format!("\"{SECRET}\"").into_bytes(), "is in quotation marks"),
        ] {
            let (path, settings) = with_file(name, content);
            let text = settings.unwrap_err().to_string();
            assert!(text.starts_with(&format!("{name} {path:?} ")) && text.contains(expected), "{text}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    for (_, name) in FILES {
        for path in [missing.as_path(), folder.path(), Path::new("/dev/zero")] {
            let error = read(&[(name, path.to_str().unwrap())]).unwrap_err();
            assert_eq!(error.variable(), *name);
            assert!(error.to_string().starts_with(&format!("{name} {path:?} ")), "{error}");
        }
        // The secret itself, where a path belongs.
        let base64 = ["/hush+0123456789abcdef0123456789abcd==", "/hush/0123456789/abcdef0123456789abcd=="];
        for secret in [SECRET, "postgres://me:hush@db.example/bank", "X-Auth: hush", base64[0], base64[1]] {
            let text = read(&[(name, secret)]).unwrap_err().to_string();
            assert!(text.starts_with(&format!("{name} (value not shown) cannot be read")), "{text}");
            assert!(!text.contains("hush"), "{text}");
        }
    }
}

#[test]
fn a_secret_has_one_source() {
    for (name, file) in FILES {
        let error = read(&[(name, "hush"), (file, "/run/secrets/none")]).unwrap_err();
        assert_eq!(error.variable(), *file);
        assert!(error.to_string().contains(&format!("cannot be set together with {name}")), "{error}");
    }
    // Keys come from one place, whatever the secret comes from.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, SECRET).unwrap();
    let both = [("IDNOW_JWKS_FILE", "/keys.json"), ("IDNOW_WEBHOOK_SECRET_FILE", path.to_str().unwrap())];
    let text = read(&both).unwrap_err().to_string();
    assert!(
        text.starts_with("IDNOW_JWKS_FILE cannot be set together with IDNOW_WEBHOOK_SECRET_FILE"),
        "{text}"
    );
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_database_is_not_taken_for_the_file_that_names_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    drop(idnow_webhooks_sqlite::SqliteStore::open(&path).await.unwrap());
    let path = path.to_str().unwrap();
    let text = read(&[("IDNOW_STORE_FILE", path)]).unwrap_err().to_string();
    assert!(
        text.contains("is a SQLite database") && text.contains(&format!("IDNOW_STORE=sqlite:{path}")),
        "{text}"
    );
}
