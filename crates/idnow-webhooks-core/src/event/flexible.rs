//! Members whose type the provider's pages and examples do not agree on: text that may come as a number,
//! and numbers that may come as text.
//!
//! The envelope is read by our own reader, payloads by serde.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::json::{self, Reader};

/// The longest event id that is accepted, in bytes. The provider sends a UUID.
const MAX_ID_BYTES: usize = 256;

/// Whether an event can be stored and found under this id, also in databases whose text cannot hold NUL.
pub(super) fn is_usable_id(id: &str) -> bool {
    let plain = id.bytes().all(|byte| byte.is_ascii_graphic());
    (1..=MAX_ID_BYTES).contains(&id.len()) && (plain || !id.contains(char::is_control))
}

/// Text, or a number taken as the text it is written with.
pub(super) fn text_or_number<'a>(value: &mut Reader<'a>) -> Result<Cow<'a, str>, json::Error> {
    match value.peek() {
        Some(b'"') => value.text(),
        Some(b'-' | b'0'..=b'9') => value.number().map(Cow::Borrowed),
        _ => Err(value.error("expected text or a number")),
    }
}

/// A whole number, or text that holds one.
pub(super) fn whole_number(value: &mut Reader<'_>) -> Result<u64, json::Error> {
    let text = text_or_number(value)?;
    // A writer that knows only floats writes 2.0 for 2.
    let whole = text.strip_suffix(".0").unwrap_or(&text);
    whole.parse().map_err(|_| value.error("expected a whole number, as a number or as text"))
}

/// An ISO 8601 time. One without an offset is taken as UTC.
pub(super) fn time(value: &mut Reader<'_>) -> Result<DateTime<Utc>, json::Error> {
    let text = text_or_number(value)?;
    DateTime::parse_from_rfc3339(&text)
        .or_else(|_| DateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f%z"))
        .map(|time| time.with_timezone(&Utc))
        .or_else(|_| NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").map(|time| time.and_utc()))
        .map_err(|_| value.error("expected an ISO 8601 time"))
}

/// Text, or a number taken as the text it is written with.
pub(super) struct Flexible<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Flexible<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text).map(Self)
    }
}

pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Flexible::deserialize(deserializer).map(|text| text.0.into_owned())
}

/// Text or a number; anything else counts as absent, as does `null`.
pub(super) fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a number")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(text.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(text.to_owned().into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(text.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(number.to_string().into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(number.to_string().into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        let number = serde_json::Number::from_f64(number).ok_or_else(|| E::custom("not a finite number"))?;
        Ok(number.to_string().into())
    }

    // With serde_json's feature `arbitrary_precision`, which any crate of the user's build may turn on, a
    // number arrives as a map that only `Number` can read.
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let number = serde_json::Number::deserialize(MapAccessDeserializer::new(map))
            .map_err(|_| A::Error::custom("expected text or a number"))?;
        Ok(number.to_string().into())
    }
}
