//! Members whose type the provider's pages and examples do not agree on: text that may come as a number,
//! and numbers that may come as text. All are read from the raw JSON of one value.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::json;

/// The longest event id that is accepted, in bytes. The provider sends a UUID.
const MAX_ID_BYTES: usize = 256;
/// What the ids of [kept tokens without a usable id](super::Arrival::id) begin with.
pub(crate) const UNREADABLE_PREFIX: &str = "unreadable:";

/// Whether an event can be stored and found under this id, also in databases whose text cannot hold NUL.
pub(super) fn is_usable_id(id: &str) -> bool {
    let plain = id.bytes().all(|byte| byte.is_ascii_graphic());
    (1..=MAX_ID_BYTES).contains(&id.len())
        && (plain || !id.contains(char::is_control))
        && !id.starts_with(UNREADABLE_PREFIX)
}

/// Text, or a number taken as the text it is written with.
pub(super) fn text_or_number(raw: &str) -> Option<Cow<'_, str>> {
    json::text(raw).or_else(|| json::number(raw).map(Cow::Borrowed))
}

/// A whole number, or text that holds one.
pub(super) fn whole_number(raw: &str) -> Option<u64> {
    let text = text_or_number(raw)?;
    // A writer that knows only floats writes 2.0 for 2.
    text.strip_suffix(".0").unwrap_or(&text).parse().ok()
}

/// An ISO 8601 time. One without an offset is taken as UTC.
pub(super) fn time(raw: &str) -> Option<DateTime<Utc>> {
    let text = json::text(raw)?;
    DateTime::parse_from_rfc3339(&text)
        .or_else(|_| DateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f%z"))
        .map(|time| time.with_timezone(&Utc))
        .or_else(|_| NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").map(|time| time.and_utc()))
        .ok()
}

/// Text or a number, for derived types.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    optional_text(deserializer)?.ok_or_else(|| D::Error::custom("expected text or a number"))
}

/// Text or a number, for derived types; anything else counts as absent, as does `null`.
pub(super) fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(text_or_number(raw.get()).map(Cow::into_owned))
}
