//! What `serde_json` leaves to its caller: an object that is no array, values that stay raw until somebody reads them,
//! and verified text beside what was read from it.
//!
//! A member that nobody reads is only skipped, whatever it holds: `serde_json` skips without a limit on depth and without
//! looking at the range of a number or at the meaning of an escape.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::error::Category;

/// Whether a valid document is an object.
pub(crate) fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Reads a document that is one object. A derived `Deserialize` refuses members that it knows and that stand there twice,
/// but it would read an array by position, which no sender means.
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    if !is_object(text) {
        return Err("not a JSON object".to_owned());
    }
    serde_json::from_str(text).map_err(|error| explain(&error))
}

/// What is wrong and where, without any of the text: it comes from others, and may stand in a log.
pub(crate) fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = match error.classify() {
        // These two name a member of our own types.
        Category::Data if text.starts_with("duplicate field") || text.starts_with("missing field") => {
            text.split(" at line").next().unwrap_or_default()
        }
        Category::Data => "a member has the wrong type",
        Category::Eof => "the JSON ends too early",
        Category::Syntax | Category::Io => "not valid JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

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
    use serde_json::value::RawValue;

    #[derive(Debug, Deserialize)]
    struct Members<'a> {
        #[serde(borrow, default)]
        a: Option<&'a RawValue>,
    }

    fn read(text: &str) -> Result<Option<String>, String> {
        object::<Members<'_>>(text).map(|members| members.a.map(|a| a.get().to_owned()))
    }

    #[test]
    fn a_known_member_stands_once_and_only_in_an_object() {
        assert_eq!(read(r#" {"a":[1, 2]} "#).unwrap().as_deref(), Some("[1, 2]"));
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
            assert_eq!(read(&format!(r#"{{"other":{value},"a":{value}}}"#)).unwrap().as_deref(), Some(value));
        }
    }

    #[test]
    fn an_error_shows_nothing_of_the_text() {
        #[derive(Debug, Deserialize)]
        struct Number {
            #[serde(rename = "a")]
            _a: u64,
        }
        let error = object::<Number>(r#"{"a":"s3cret"}"#).unwrap_err();
        assert_eq!(error, "a member has the wrong type (line 1, column 13)");
        assert_eq!(object::<Number>("{}").unwrap_err(), "missing field `a` (line 1, column 2)");
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
