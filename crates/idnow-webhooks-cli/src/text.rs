//! Texts of others, and times, made fit for a terminal.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;

/// Whether a character could move the cursor, reorder the text around it or hide in it.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A text in one line, with escapes for what must not reach a terminal.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => safe.extend(character.escape_default()),
            _ if is_unsafe(character) => safe.extend(character.escape_unicode()),
            _ => safe.push(character),
        }
    }
    safe.into()
}

/// A value as JSON, in several lines.
pub(crate) fn json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(escaped(&serde_json::to_string_pretty(value)?))
}

/// A value as JSON, in one line.
pub(crate) fn json_line(value: &impl Serialize) -> Result<String, serde_json::Error> {
    // A document that is passed on as it was signed may have several; inside of strings, JSON has none of these.
    Ok(escaped(&serde_json::to_string(value)?.replace(['\n', '\r', '\t'], " ")))
}

/// The text of a JSON document in several lines, its members in their order. A text that is none stays one line.
pub(crate) fn pretty(document: &str) -> String {
    let mut lines = Vec::new();
    let mut from = serde_json::Deserializer::from_str(document);
    let mut to = serde_json::Serializer::pretty(&mut lines);
    let read = serde_transcode::transcode(&mut from, &mut to).and_then(|()| from.end());
    match (read, String::from_utf8(lines)) {
        (Ok(()), Ok(lines)) => escaped(&lines),
        _ => line(document).into_owned(),
    }
}

/// Outside of its strings, a JSON document has no characters that need this, apart from its own line feeds.
fn escaped(document: &str) -> String {
    let mut safe = String::with_capacity(document.len());
    for character in document.chars() {
        if character != '\n' && is_unsafe(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a `String` cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

/// A length of time in its largest unit: `12s`, `3m`, `5h`, `40d`.
pub(crate) fn short(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// How long ago a time was, in its largest unit. The store's clock may be a little ahead of this one.
pub(crate) fn age(of: DateTime<Utc>, now: DateTime<Utc>) -> String {
    short((now - of).to_std().unwrap_or_default())
}

/// A time in UTC, and how far away it is.
pub(crate) fn time(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let utc = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    match (at - now).to_std() {
        Ok(ahead) if at - now >= TimeDelta::seconds(1) => format!("{utc} (in {})", short(ahead)),
        _ => format!("{utc} ({} ago)", age(at, now)),
    }
}
