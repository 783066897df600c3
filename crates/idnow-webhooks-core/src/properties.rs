//! Properties of the parsers that hold for every input, not only for the examples that one thinks of.

use std::collections::HashSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use base64::{alphabet, engine::DecodePaddingMode};
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::token::{Header, RawClaims, Segments};
use crate::{base64url, json};

/// Characters that meet in tokens, so that random texts get far.
const TOKEN_LIKE: &str = "[A-Za-z0-9_.=+/ -]{0,200}";

/// JSON of any shape, with names that collide now and then.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec(("[a-c\"\\\\\u{1f511}]{0,3}", inner), 0..24)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The judge of our reader: `serde_json`, with a set of names for each object.
struct Unambiguous;

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Unambiguous;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Unambiguous, E> {
                Ok(Unambiguous)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Unambiguous, E> {
                Ok(Unambiguous)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Unambiguous, E> {
                Ok(Unambiguous)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Unambiguous, E> {
                Ok(Unambiguous)
            }

            fn visit_str<E>(self, _: &str) -> Result<Unambiguous, E> {
                Ok(Unambiguous)
            }

            fn visit_unit<E>(self) -> Result<Unambiguous, E> {
                Ok(Unambiguous)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Unambiguous, A::Error> {
                while array.next_element::<Unambiguous>()?.is_some() {}
                Ok(Unambiguous)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Unambiguous, A::Error> {
                let mut names = HashSet::new();
                while let Some(name) = object.next_key::<String>()? {
                    if !names.insert(name) {
                        return Err(A::Error::custom("twice"));
                    }
                    object.next_value::<Unambiguous>()?;
                }
                Ok(Unambiguous)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// Our reader and the judge agree on a text.
fn agree(text: &str) -> bool {
    json::check(text).is_ok() == serde_json::from_str::<Unambiguous>(text).is_ok()
}

/// Pieces of JSON, whole and broken, that meet at random.
const PIECES: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\"a\":",
    "\"b\":",
    "\"\\u0061\":",
    "\"a\"",
    "\"\"",
    "\"\\ud83d\\udd11\"",
    "\"\\ud83d\"",
    "\"ü🔑\"",
    "\"\\n\\/\\\"\"",
    "\"\\x\"",
    "\"\u{7f}\"",
    "\"\u{1f}\"",
    "0",
    "-0",
    "01",
    "1",
    "12345678901234567890",
    "1.5",
    "1.",
    ".5",
    "-",
    "+1",
    "1e5",
    "1E-5",
    "1e999",
    "1e-999",
    "true",
    "false",
    "null",
    "nul",
    " ",
    "\n\t",
];

/// Writes an object with each member in its place, and `name` once more at the end.
fn repeated(members: &[(String, Value)], name: &str) -> String {
    let member = |(name, value): &(String, Value)| format!("{}:{value}", Value::from(name.as_str()));
    let members: Vec<_> = members.iter().map(member).collect();
    format!("{{{},{}:0}}", members.join(","), Value::from(name))
}

proptest! {
    #[test]
    fn base64url_has_one_spelling_for_each_text(bytes: Vec<u8>) {
        let text = URL_SAFE_NO_PAD.encode(&bytes);
        prop_assert_eq!(base64url::decode(text.as_bytes()).unwrap(), bytes);
    }

    #[test]
    fn what_is_read_as_base64url_is_written_the_same(text in "[A-Za-z0-9_-]{0,150}[A-Za-z0-9_=+/ \n-]{0,4}") {
        if let Ok(bytes) = base64url::decode(text.as_bytes()) {
            prop_assert_eq!(URL_SAFE_NO_PAD.encode(bytes), text);
        }
    }

    #[test]
    fn a_foreign_byte_is_found_wherever_it_stands(bytes in prop::collection::vec(any::<u8>(), 1..400), place: prop::sample::Index, foreign: u8) {
        let mut text = URL_SAFE_NO_PAD.encode(&bytes).into_bytes();
        let own = foreign.is_ascii_alphanumeric() || b"-_".contains(&foreign);
        *place.get_mut(&mut text) = foreign;
        let read = base64url::decode(&text);
        prop_assert!(own || read.is_err(), "{:?}", text);
        if let Ok(bytes) = read {
            prop_assert_eq!(URL_SAFE_NO_PAD.encode(bytes).into_bytes(), text);
        }
    }

    #[test]
    fn a_lenient_reader_finds_spellings_that_are_refused_here(mut bytes: Vec<u8>, last: u8, stray in 1_u8..16) {
        // Three bytes and one: the last character holds four bits that mean nothing.
        bytes.truncate(bytes.len() / 3 * 3);
        bytes.push(last);
        let mut text = URL_SAFE_NO_PAD.encode(&bytes).into_bytes();
        let value = (last & 0b11) << 4 | stray;
        *text.last_mut().unwrap() = alphabet::URL_SAFE.as_str().as_bytes()[usize::from(value)];
        let lenient = GeneralPurpose::new(
            &alphabet::URL_SAFE,
            GeneralPurposeConfig::new()
                .with_decode_allow_trailing_bits(true)
                .with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        prop_assert_eq!(lenient.decode(&text).unwrap(), bytes);
        prop_assert!(base64url::decode(&text).is_err());
    }

    #[test]
    fn segments_are_what_stands_between_two_dots(parts: [Vec<u8>; 3]) {
        let encoded = parts.clone().map(|part| URL_SAFE_NO_PAD.encode(part));
        let token = encoded.join(".");
        let segments = Segments::split(token.as_bytes()).unwrap();
        prop_assert_eq!(segments.signing_input.to_vec(), encoded[..2].join(".").into_bytes());
        prop_assert_eq!(&segments.signature().unwrap(), &parts[2]);
        if let Ok(header) = segments.header() {
            prop_assert_eq!(header.as_bytes(), &parts[0][..]);
        }
    }

    #[test]
    fn any_bytes_are_split_or_refused(bytes: Vec<u8>, text in TOKEN_LIKE) {
        for token in [&bytes[..], text.as_bytes()] {
            let dots = token.split(|byte| *byte == b'.').count() - 1;
            let split = Segments::split(token);
            prop_assert_eq!(split.is_ok(), dots == 2);
            if let Ok(segments) = split {
                let _ = (segments.header(), segments.claims(), segments.signature());
            }
        }
    }

    #[test]
    fn every_document_without_repetition_passes(value in any_json()) {
        json::check(&value.to_string()).unwrap();
        prop_assert_eq!(json::is_object(&value.to_string()), value.is_object());
    }

    #[test]
    fn a_repeated_member_is_found_wherever_it_stands(
        members in prop::collection::btree_map("[a-z]{1,2}", any::<i64>().prop_map(Value::from), 1..40),
        which: prop::sample::Index,
        depth in 0_usize..40,
    ) {
        let members: Vec<_> = members.into_iter().collect();
        let (name, _) = which.get(&members);
        let wrap = |inner: String| format!("{}{inner}{}", r#"[0,{"x":"#.repeat(depth), "}]".repeat(depth));
        prop_assert!(json::check(&wrap(repeated(&members, name))).is_err());
        prop_assert!(json::check(&wrap(repeated(&members, "another name"))).is_ok());
    }

    #[test]
    fn our_reader_takes_what_the_judge_takes(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12),
        text in r#"[\{\}\[\]",:0-9eE+\.a-u -]{0,30}"#,
        any: String,
    ) {
        for text in [pieces.concat(), text, any] {
            prop_assert!(agree(&text), "{:?}", text);
        }
    }

    #[test]
    fn one_wrong_byte_changes_both_verdicts_alike(
        value in any_json(),
        place: prop::sample::Index,
        piece in prop::sample::select(&PIECES[..]),
        removed in 0_usize..3,
    ) {
        let mut characters: Vec<char> = value.to_string().chars().collect();
        let start = place.index(characters.len());
        let end = characters.len().min(start + removed);
        characters.splice(start..end, piece.chars());
        let text: String = characters.into_iter().collect();
        prop_assert!(agree(&text), "{:?}", text);
    }

    /// Long enough for each way in which a reader could take several bytes at once.
    #[test]
    fn texts_are_read_as_the_judge_reads_them(
        plain in "[a-zA-Z \u{7f}\u{80}\u{ff}é🔑\u{2028}]{0,40}",
        special in r#"["\\/bnu\x00-\x1f]{0,2}"#,
        rest in r#"[a-z"\\\x1fé]{0,20}"#,
    ) {
        let text = format!("\"{plain}{special}{rest}\"");
        prop_assert!(agree(&text), "{:?}", text);
        prop_assert!(agree(&format!("{{{text}:1,\"{plain}\":2}}")), "{:?}", text);
        if let Ok(judged) = serde_json::from_str::<String>(&text) {
            let mut reader = json::Reader::new(&text);
            prop_assert_eq!(reader.text().unwrap(), judged);
            reader.end().unwrap();
        }
    }

    #[test]
    fn depth_counts_as_with_the_judge(depth in 120_usize..135, object: bool) {
        let (open, close) = if object { (r#"{"a":"#, "}") } else { ("[", "]") };
        let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        prop_assert!(agree(&text), "{}", depth);
    }

    #[test]
    fn headers_and_claims_of_any_shape_are_read_or_refused(
        name in prop::sample::select(vec!["alg", "kid", "crit", "b64", "iss", "aud", "iat", "exp", "nbf", "sub", "data"]),
        value in any_json(),
    ) {
        let mut object = serde_json::json!({ "alg": "RS256" });
        object[name] = value.clone();
        let text = object.to_string();
        let header = Header::read(&text);
        prop_assert!(header.is_err() || !["crit", "b64"].contains(&name));
        if let Ok(header) = header {
            prop_assert_eq!(Some(&*header.alg), object["alg"].as_str());
            prop_assert_eq!(header.kid.as_deref(), object["kid"].as_str());
        }
        if let Ok(claims) = RawClaims::read(&text) {
            prop_assert_eq!(claims.iss.as_deref(), object["iss"].as_str());
            prop_assert_eq!(claims.exp.is_some(), object["exp"].is_number());
            prop_assert_eq!(claims.data.map(|data| data.text.to_owned()), object.get("data").map(Value::to_string));
        }
    }
}
