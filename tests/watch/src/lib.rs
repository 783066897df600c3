//! Watches what is logged while tests run: the process in which a secret is written into the log is ended at once.
//!
//! A token shows itself. Any other secret of a test has `s3cret`, `hunter2` or `hush` in it, or is [`plant`]ed. What goes
//! through `tracing` is watched, and so is what goes through `log`, as actix-web, reqwest, sqlx and mio do.
//!
//! The log belongs to the whole process: one call, wherever all tests of a program come along, is enough for all of them.
//! A test that sets a log of its own for its thread looks at that one by itself, as with [`assert_no_secret`]; one that
//! reads the log of its process has it kept by [`watch_into`].
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
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

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

/// Begins to watch all that we log, and what others log by default. Once it has begun, further calls do nothing.
///
/// # Panics
///
/// If the process has a log that is not watched, as nothing of it would be seen.
#[track_caller]
pub fn watch() {
    begun(OURS, None, |_| {});
}

/// Begins to watch every level of every library. It makes tests several times as slow.
///
/// # Panics
///
/// As [`watch`], and if less is watched already.
#[track_caller]
pub fn watch_everything() {
    let watched = begun(EVERYTHING, None, |_| {});
    assert!(
        watched.filter == EVERYTHING,
        "only {} is watched: call watch_everything() first",
        watched.filter
    );
}

/// Begins to watch as [`watch`] does, and keeps what is logged.
///
/// # Panics
///
/// As [`watch`], and if it is watched already without being kept here.
#[track_caller]
pub fn watch_into(kept: &'static Kept) {
    let watched = begun(OURS, Some(kept), |_| {});
    assert!(
        watched.kept.is_some_and(|other| std::ptr::eq(other, kept)),
        "the log is watched and not kept here: call watch_into() first"
    );
}

/// Begins to watch as [`watch`] does, and calls this for each event and each new span, with its target.
///
/// # Panics
///
/// As [`watch`], and if it is watched already.
#[track_caller]
pub fn watch_and(then: Then) {
    let watched = begun(OURS, None, then);
    assert!(std::ptr::fn_addr_eq(watched.then, then), "the log is watched already: call watch_and() first");
}

/// What is called while something is logged.
pub type Then = fn(&str);

/// All that was logged, until somebody takes it out.
pub type Kept = Mutex<Vec<u8>>;

const OURS: &str = "info,idnow_webhooks=trace";
const EVERYTHING: &str = "trace";

#[derive(Clone, Copy)]
struct Watched {
    filter: &'static str,
    kept: Option<&'static Kept>,
    then: Then,
}

/// What the first call began.
#[track_caller]
fn begun(filter: &'static str, kept: Option<&'static Kept>, then: Then) -> Watched {
    static BEGUN: OnceLock<Result<Watched, String>> = OnceLock::new();
    let begun = BEGUN.get_or_init(|| {
        let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_ansi(false);
        let log = log.with_writer(move || Watcher { kept }).finish();
        let begun = log.with(Watching { then }).try_init();
        begun.map(|()| Watched { filter, kept, then }).map_err(|error| error.to_string())
    });
    match begun {
        Ok(watched) => *watched,
        Err(error) => panic!("the log cannot be watched, as the process has one of its own: {error}"),
    }
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

/// After the log has been searched.
struct Watching {
    then: Then,
}

impl<S: Subscriber> Layer<S> for Watching {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        (self.then)(event.metadata().target());
    }

    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        (self.then)(span.metadata().target());
    }
}

struct Watcher {
    kept: Option<&'static Kept>,
}

impl Write for Watcher {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        if let Some(secret) = leak(&text) {
            // A panic would be caught by what is tested, as one of a handler.
            let _ = writeln!(io::stderr(), "\nthe log holds a secret, {secret:?}: {text}");
            std::process::abort();
        }
        if let Some(kept) = self.kept {
            kept.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(line);
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
