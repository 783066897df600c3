//! Two things that `serde_json` leaves to its caller: refusing documents that readers could understand
//! differently, and keeping verified text beside what was read from it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Checks that `text` is one JSON document in which no object names a member twice.
///
/// RFC 8259 leaves the meaning of a repeated member open: one reader takes the first, another the last, and
/// a signature over such a text vouches for both. Nesting deeper than 128 levels and numbers beyond the
/// range of `f64` are refused by `serde_json` itself.
pub(crate) fn check(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<Unambiguous>(text).map(|_| ())
}

/// Whether a valid document is an object. A derived `Deserialize` would take an array for one as well.
pub(crate) fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

struct Unambiguous;

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Up to here comparing each name with each other is quicker than sorting, and needs no more memory.
const FEW: usize = 16;

impl<'de> Visitor<'de> for Unambiguous {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self, A::Error> {
        while array.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self, A::Error> {
        let mut names: Vec<Cow<'de, str>> = Vec::with_capacity(FEW);
        while let Some(Name(name)) = object.next_key()? {
            if names.len() < FEW && names.contains(&name) {
                return Err(A::Error::custom("an object names a member twice"));
            }
            names.push(name);
            object.next_value::<Self>()?;
        }
        if names.len() > FEW {
            names.sort_unstable();
            if names.iter().zip(names.iter().skip(1)).any(|(one, next)| one == next) {
                return Err(A::Error::custom("an object names a member twice"));
            }
        }
        Ok(self)
    }
}

/// A piece of a JSON text, sharing the memory of the whole.
#[derive(Clone)]
pub(crate) struct Json {
    text: Arc<str>,
    start: usize,
    end: usize,
}

impl Json {
    pub(crate) fn copy(text: &str) -> Self {
        Self { text: text.into(), start: 0, end: text.len() }
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
        let whole = Json::copy(r#"{"data":{"payload":{}}}"#);
        let data = whole.piece(whole.get().get(8..22).unwrap());
        assert_eq!(data.get(), r#"{"payload":{}}"#);
        assert_eq!(data.piece(data.get().get(11..13).unwrap()).get(), "{}");
        assert_eq!(data.piece("{}").get(), "");
    }
}
