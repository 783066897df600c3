//! Properties of the parsers that hold for every input, not only for the examples that one thinks of.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use base64::{alphabet, engine::DecodePaddingMode};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::token::{Claims, Header, Segments};
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
    fn a_claim_that_matters_is_read_once_and_all_others_are_skipped(
        members in prop::collection::btree_map("[a-z]{1,2}", any_json(), 0..10),
        which in prop::sample::select(vec!["iss", "aud", "iat", "exp", "nbf", "sub", "data"]),
        place: prop::sample::Index,
    ) {
        let claims = json!({ "iss": "i", "aud": "a", "iat": 1, "exp": 2, "nbf": 1, "sub": "s", "data": {} });
        let mut all: Vec<_> = claims.as_object().unwrap().clone().into_iter().collect();
        for (name, value) in members {
            let place = place.index(all.len() + 1);
            all.insert(place, (name, value));
        }
        prop_assert!(Claims::read(&repeated(&all, which)).is_err());
        prop_assert!(Claims::read(&repeated(&all, "another name")).is_ok());
    }

    #[test]
    fn a_raw_value_is_text_or_a_number_or_neither(value in any_json()) {
        let raw = value.to_string();
        prop_assert_eq!(json::text(&raw), value.as_str().map(Cow::Borrowed));
        prop_assert_eq!(json::number(&raw).is_some(), value.is_number());
        prop_assert_eq!(json::is_object(&raw), value.is_object());
    }

    #[test]
    fn headers_and_claims_of_any_shape_are_read_or_refused(
        name in prop::sample::select(vec!["alg", "kid", "crit", "b64", "iss", "aud", "iat", "exp", "nbf", "sub", "data"]),
        value in any_json(),
    ) {
        let mut object = json!({ "alg": "RS256", "iss": "i", "aud": "a", "iat": 1, "exp": 2 });
        object[name] = value.clone();
        let text = object.to_string();
        let header = Header::read(&text);
        prop_assert!(header.as_ref().map_or(true, |header| header.extension.is_some() == ["crit", "b64"].contains(&name)));
        if let Ok(header) = header {
            prop_assert_eq!(Some(&*header.algorithm), object["alg"].as_str());
            prop_assert_eq!(header.key_id, object["kid"].as_str().map(Cow::Borrowed));
        }
        if let Ok(claims) = Claims::read(&text) {
            prop_assert_eq!(Some(&*claims.issuer), object["iss"].as_str());
            prop_assert!(object["exp"].is_number() && object["iat"].is_number());
            prop_assert_eq!(claims.data, object["data"].to_string());
        }
    }
}
