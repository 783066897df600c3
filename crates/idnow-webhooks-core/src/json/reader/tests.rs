use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::json::check;

/// Without repeated names, the two readers must agree on what JSON is.
fn agrees(text: &str) {
    let expected = serde_json::from_str::<Value>(text).is_ok();
    assert_eq!(check(text).is_ok(), expected, "{text:?}: {:?}", check(text));
}

#[test]
fn the_same_is_json_as_for_serde_json() {
    let values = [
        "",
        "0",
        "-0",
        "00",
        "01",
        "-",
        "-1",
        "+1",
        "1.",
        ".1",
        "1.0",
        "1e",
        "1e+",
        "1e5",
        "1E-5",
        "0e0",
        "1e999",
        "-1e999",
        "1e-999",
        "123456789012345",
        "1234567890123456",
        "99999999999999999999",
        "1-1",
        "1e5e5",
        "1_0",
        "0x1",
        "true",
        "false",
        "null",
        "nul",
        "nulls",
        "True",
        "truefalse",
        "NaN",
        "Infinity",
        "\"\"",
        "\"a\"",
        "\"",
        "'a'",
        "\"a\\",
        "\"a\\\"",
        "\"\\\"\"",
        "\"\\\\\"",
        "\"\\u0041\"",
        "\"\\u004\"",
        "\"\\ud83d\\udd11\"",
        "\"\\ud83d\"",
        "\"\\udd11\\ud83d\"",
        "\"\\x\"",
        "\"\\/\"",
        "\"\t\"",
        "\"12345678\n\"",
        "\"\u{0}\"",
        "\"\u{7f}\"",
        "\"ü🔑\"",
        "\"\\\u{fc}\"",
        "\"\\n\u{1}\"",
        "[]",
        "[1]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,2]",
        "[[],{}]",
        "[",
        "]",
        "{}",
        "{\"a\":1}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1,\"b\":[{\"c\":null}]}",
        "{\"\\u0061\":1}",
        "{",
        "}",
        "{]",
        "[}",
        "//",
        "\u{feff}1",
        "\u{a0}1",
        "\u{b}1",
    ];
    for value in values {
        agrees(value);
        agrees(&format!(" \t\r\n{value} \n"));
        agrees(&format!("[{value}]"));
        agrees(&format!("{{\"a\" : {value} , \"b\":1}}"));
        agrees(&format!("{value} {value}"));
    }
    for depth in [126, 127, 128, 129] {
        agrees(&("[".repeat(depth) + &"]".repeat(depth)));
        agrees(&("{\"a\":".repeat(depth) + "1" + &"}".repeat(depth)));
        agrees(&("[{\"a\":".repeat(depth / 2) + "1" + &"}]".repeat(depth / 2)));
    }
}

proptest! {
    #[test]
    fn the_same_text_is_json_as_for_serde_json(text in r#"[\{\}\[\]",:0-9eE+\\.nultrfasb/ \t-]{0,24}"#) {
        let unambiguous = check(&text).is_ok();
        let valid = serde_json::from_str::<Value>(&text).is_ok();
        // The only documents that are refused here alone are those that name a member twice.
        prop_assert!(unambiguous == valid || (valid && text.matches(':').count() > 1), "{}", text);
    }

    #[test]
    fn texts_and_numbers_are_read_as_serde_json_reads_them(text: String, number: f64, whole: i64) {
        let written = Value::from(text.as_str()).to_string();
        prop_assert_eq!(Reader::new(&written).text().unwrap(), text);
        let written = Value::from(number).to_string();
        prop_assert_eq!(Reader::new(&written).number().unwrap(), &written);
        let written = whole.to_string();
        prop_assert_eq!(Reader::new(&written).number().unwrap(), &written);
    }
}

#[test]
fn text_ends_at_the_first_special_byte_wherever_it_stands() {
    for length in 0..40 {
        for byte in 0..=u8::MAX {
            let mut text = vec![b'a'; length];
            text.push(byte);
            let special = byte < b' ' || byte == b'"' || byte == b'\\';
            assert_eq!(plain_length(&text), length + usize::from(!special), "{byte} after {length}");
            text.extend_from_slice("\"\u{fc} and \\ more".as_bytes());
            assert_eq!(
                plain_length(&text),
                length + usize::from(!special),
                "{byte} after {length}, and more"
            );
        }
    }
}

#[test]
fn an_attempt_that_fails_leaves_a_checked_value_behind() {
    let text = |reader: &mut Reader<'_>| reader.text().map(drop);
    let mut reader = Reader::new(r#"[ {"a":[1]} , "b"]"#);
    let mut slices = Vec::new();
    reader
        .items(|item| {
            let (result, slice) = item.attempt(text)?;
            slices.push((result.is_ok(), slice));
            Ok(())
        })
        .unwrap();
    reader.end().unwrap();
    assert_eq!(slices, [(false, r#"{"a":[1]}"#), (true, r#""b""#)]);

    // Half way through an object, its names and its depth are forgotten again.
    let half_way = |reader: &mut Reader<'_>| {
        reader.members(|_, value| value.items(|item| item.text().map(drop)).map(|()| true))
    };
    let mut reader = Reader::new(r#"{"a":{"b":["c",1]},"b":2}"#);
    reader
        .members(|name, value| {
            if name == "a" {
                let (result, slice) = value.attempt(half_way)?;
                assert_eq!(result.unwrap_err().to_string(), "expected text, at column 11");
                assert_eq!(slice, r#"{"b":["c",1]}"#);
            }
            Ok(name == "a")
        })
        .unwrap();
    assert_eq!((reader.depth, reader.names.len()), (0, 0));

    let repeated = Reader::new(r#"{"a":1,"a":2}"#).attempt(text);
    assert_eq!(repeated.unwrap_err().to_string(), "an object names a member twice, at column 11");
}
