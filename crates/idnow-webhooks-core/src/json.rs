//! What `serde_json` leaves to its caller: an object that is no array, values that stay raw until somebody reads them,
//! and verified text beside what was read from it.
//!
//! A member that nobody reads is only skipped, whatever it holds: `serde_json` skips without a limit on depth and without
//! looking at the range of a number or at the meaning of an escape.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Deserializer as _;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

/// Whether a valid document is an object.
pub(crate) fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// The raw values of the members with these names, of a document that is one object.
///
/// A derived `Deserialize` would do most of this, but it reads an array by position, which no sender means, and it refuses a
/// document for the name of a member that nobody reads.
pub(crate) fn members<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> Result<[Option<&'a str>; N], String> {
    struct Members<'n, const N: usize>(&'n [&'n str; N]);

    impl<'de, const N: usize> Visitor<'de> for Members<'_, N> {
        type Value = [Option<&'de str>; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
            let mut found = [None; N];
            // Raw, since neither a name nor a value has to be text that can be read.
            while let Some((name, value)) = object.next_entry::<&RawValue, &RawValue>()? {
                let Some(name) = self::text(name.get()) else { continue };
                let place = self.0.iter().position(|known| *known == name);
                if let Some(slot) = place.and_then(|place| found.get_mut(place)) {
                    // Some readers take the first of two, others the last.
                    if slot.replace(value.get()).is_some() {
                        return Err(A::Error::custom(format!("duplicate field `{name}`")));
                    }
                }
            }
            Ok(found)
        }
    }

    if !is_object(text) {
        return Err("not a JSON object".to_owned());
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = reader.deserialize_map(Members(&names)).map_err(|error| explain(&error))?;
    reader.end().map_err(|error| explain(&error))?;
    Ok(found)
}

/// What is wrong and where, without any of the text: it comes from others, and may stand in a log.
pub(crate) fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = match error.classify() {
        // It names a member that we know.
        Category::Data if text.starts_with("duplicate field") => {
            text.split(" at line").next().unwrap_or_default()
        }
        Category::Data => "a member has the wrong type",
        Category::Eof => "the JSON ends too early",
        Category::Syntax | Category::Io => "not valid JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

/// A raw value that counts as absent where a member must be there.
pub(crate) const NULL: &str = "null";

/// A raw value that is text.
pub(crate) fn text(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// A raw value that is a number, as it is written.
pub(crate) fn number(raw: &str) -> Option<&str> {
    raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then_some(raw)
}

/// A piece of a JSON text, sharing the memory of the whole.
#[derive(Clone)]
pub(crate) struct Json {
    text: Arc<String>,
    start: usize,
    end: usize,
}

impl Json {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        let text = Arc::new(text.into());
        let end = text.len();
        Self { text, start: 0, end }
    }

    /// A piece of this text that was found by parsing it. A piece of another text gives the empty one.
    pub(crate) fn piece(&self, piece: &str) -> Self {
        let start = (piece.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        let end = start.wrapping_add(piece.len());
        let inside = self.text.get(start..end).is_some();
        let (start, end) = if inside { (start, end) } else { (0, 0) };
        Self { text: Arc::clone(&self.text), start, end }
    }

    pub(crate) fn get(&self) -> &str {
        self.text.get(self.start..self.end).unwrap_or_default()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn read(text: &str) -> Result<Option<&str>, String> {
        members(text, ["a"]).map(|[a]| a)
    }

    #[test]
    fn a_known_member_stands_once_and_only_in_an_object() {
        assert_eq!(read(r#" {"a":[1, 2]} "#).unwrap(), Some("[1, 2]"));
        assert_eq!(read(r#"{"b":1}"#).unwrap(), None);
        assert_eq!(read(r#"{"a":null}"#).unwrap(), Some(NULL));
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#] {
            let error = read(text).unwrap_err();
            assert!(error.contains("duplicate field `a`"), "{error}");
        }
        for text in ["[1]", "1", "", "null", "\"a\"", "{", "{} {}", r#"{"a":1e}"#, "{\"a\":\"\n\"}"] {
            read(text).unwrap_err();
        }
    }

    #[test]
    fn what_nobody_reads_may_be_anything() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for value in ["1e999", r#""\ud83d""#, r#"{"x":1,"x":2}"#, &deep] {
            let text = format!(r#"{{"other":{value},"\ud83d":{value},"other":{value},"a":{value}}}"#);
            assert_eq!(read(&text).unwrap(), Some(value));
        }
    }

    #[test]
    fn an_error_shows_nothing_of_the_text() {
        for (text, expected) in [
            (r#"{"s3cret":1,"a":1,"a":2}"#, "duplicate field `a` (line 1, column 24)"),
            (r#"{"s3cret":x}"#, "not valid JSON (line 1, column 11)"),
            (r#"{"s3cret":1"#, "the JSON ends too early (line 1, column 11)"),
            (r#"["s3cret"]"#, "not a JSON object"),
        ] {
            assert_eq!(read(text).unwrap_err(), expected);
        }
    }

    #[test]
    fn texts_and_numbers_are_told_apart() {
        assert_eq!(text(r#""plain""#).as_deref(), Some("plain"));
        assert_eq!(text(r#""\u0061\n""#).as_deref(), Some("a\n"));
        assert_eq!(text(r#""""#).as_deref(), Some(""));
        for raw in [r#""\ud83d""#, "1", "null", "{}", "[]", "\""] {
            assert_eq!(text(raw), None, "{raw}");
        }
        assert_eq!(number("-1.5e3"), Some("-1.5e3"));
        for raw in ["\"1\"", "null", "true", "[1]"] {
            assert_eq!(number(raw), None, "{raw}");
        }
    }

    #[test]
    fn a_piece_remembers_its_place_and_a_foreign_one_is_empty() {
        let whole = Json::new(r#"{"data":{"payload":{}}}"#);
        let data = whole.piece(whole.get().get(8..22).unwrap());
        assert_eq!(data.get(), r#"{"payload":{}}"#);
        assert_eq!(data.piece(data.get().get(11..13).unwrap()).get(), "{}");
        assert_eq!(data.piece("{}").get(), "");
    }
}
