//! Watches what is logged while tests run: the process in which a secret is written into the log is ended at once.
//!
//! A token shows itself. Any other secret of a test has `s3cret`, `hunter2` or `hush` in it, or is [`plant`]ed. What goes
//! through `tracing` is watched, and so is what goes through `log`, as actix-web, reqwest, sqlx and mio do.
//!
//! The log belongs to the whole process: one call, wherever all tests of a program come along, is enough for all of them.
//! A test that sets a log of its own for its thread looks at that one by itself, as with [`assert_no_secret`].
//!
//! ```
//! idnow_webhooks_watch::watch();
//! idnow_webhooks_watch::plant("made-up-password");
//! assert!(idnow_webhooks_watch::leak("postgres://me:made-up-password@127.0.0.1/events").is_some());
//! ```
#![allow(
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test gives up as soon as something is not as it should be"
)]

use std::io::{self, Write};
use std::sync::{Mutex, Once, PoisonError};

use tracing_subscriber::EnvFilter;

/// One of them is in every secret of these tests.
const MARKS: [&str; 3] = ["s3cret", "hunter2", "hush"];
/// How every JSON object, and so each segment of a token but its signature, begins in base64url.
const SEGMENT: &str = "eyJ";
/// Longer than any text that only looks like the beginning of one.
const LONG_SEGMENT: usize = 16;

static PLANTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A secret without the mark, such as a password that was made up.
pub fn plant(secret: &str) {
    let mut planted = PLANTED.lock().unwrap_or_else(PoisonError::into_inner);
    if !planted.iter().any(|known| known == secret) {
        planted.push(secret.to_owned());
    }
}

/// Begins to watch all that we log, and what others log by default, unless the process has a log already.
pub fn watch() {
    start("info,idnow_webhooks=trace");
}

/// Begins to watch every level of every library, unless the process has a log already. It makes tests several times as slow.
pub fn watch_everything() {
    start("trace");
}

fn start(filter: &str) {
    static START: Once = Once::new();
    START.call_once(|| {
        let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_ansi(false);
        drop(log.with_writer(|| Watcher).try_init());
    });
}

/// The first secret in a text.
pub fn leak(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    if let Some(mark) = MARKS.into_iter().find(|mark| lower.contains(mark)) {
        return Some(mark.to_owned());
    }
    let planted = PLANTED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(secret) = planted.iter().find(|secret| text.contains(*secret)) {
        return Some(secret.clone());
    }
    text.match_indices(SEGMENT).find_map(|(start, _)| {
        let segment = text.get(start..).unwrap_or_default().split(|c: char| !is_base64url(c)).next()?;
        (segment.len() >= LONG_SEGMENT).then(|| segment.to_owned())
    })
}

/// Fails if a text holds a secret.
#[track_caller]
pub fn assert_no_secret(what: &str, text: &str) {
    if let Some(secret) = leak(text) {
        panic!("{secret:?} is in {what}: {text}");
    }
}

fn is_base64url(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

struct Watcher;

impl Write for Watcher {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        if let Some(secret) = leak(&text) {
            // A panic would be caught by what is tested, as one of a handler.
            let _ = writeln!(io::stderr(), "\nthe log holds a secret, {secret:?}: {text}");
            std::process::abort();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_marked_and_planted_secrets_are_found() {
        plant("made-up-password");
        for text in [
            "body=eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJhIn0.AAAA",
            "claims eyJpc3MiOiJodHRwczovL2F1dGgi",
            "x-auth-token: the-S3cret",
            "http://user:hunter2@127.0.0.1/jwks",
            "Basic hush-hush",
            "postgres://postgres:made-up-password@127.0.0.1/events",
        ] {
            assert!(leak(text).is_some(), "{text}");
        }
        for text in ["", "the token was refused", "a eyJ b", "kid=eyJ0", "Secret(..)"] {
            assert_eq!(leak(text), None, "{text}");
        }
    }
}
