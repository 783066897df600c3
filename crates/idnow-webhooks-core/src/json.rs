//! Two things that `serde_json` leaves to its caller: refusing documents that readers could understand
//! differently, and keeping verified text beside what was read from it.

mod reader;

use std::fmt;
use std::sync::Arc;

pub(crate) use reader::{Error, Reader};

/// Whether a valid document is an object.
pub(crate) fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Reads a document that is one object, as [`Reader::members`] does.
pub(crate) fn read<'a>(
    text: &'a str,
    members: impl FnMut(&str, &mut Reader<'a>) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut reader = Reader::new(text);
    reader.members(members)?;
    reader.end()
}

/// Checks a document of any kind.
#[cfg(test)]
pub(crate) fn check(text: &str) -> Result<(), Error> {
    let mut reader = Reader::new(text);
    reader.value()?;
    reader.end()
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

    #[test]
    fn repeated_members_are_found_at_every_depth_and_size() {
        check(r#"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}"#).unwrap();
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":{"b":[{"c":1,"c":2}]}}"#, r#"{"a":1,"\u0061":2}"#] {
            let error = check(text).unwrap_err().to_string();
            assert!(error.contains("twice"), "{text}: {error}");
        }
        let many = |last: usize| {
            let members: Vec<_> = (0..1000).chain([last]).map(|n| format!("\"m{n}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        check(&many(1000)).unwrap();
        check(&many(999)).unwrap_err();
        check(&many(0)).unwrap_err();
    }

    #[test]
    fn bottomless_nesting_and_endless_numbers_are_refused() {
        check(&("[".repeat(100_000) + &"]".repeat(100_000))).unwrap_err();
        check(&format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200))).unwrap_err();
        check("1e999").unwrap_err();
        check("{} {}").unwrap_err();
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
