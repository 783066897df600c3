//! Receivers tell what they were sent, the secrets in its headers included.

use crate::model::{Answer, Header, MASK};

use super::client::KEPT_CHARACTERS;

/// With a mask in the place of every value of these headers, and of what follows `Basic` or `Bearer` in one.
pub(crate) fn masked(answer: Answer, headers: &[Header]) -> Answer {
    match answer {
        Answer::Status { code, body } if !headers.is_empty() => {
            Answer::Status { code, body: without(&body, &secrets(headers)) }
        }
        other => other,
    }
}

fn secrets(headers: &[Header]) -> Vec<String> {
    let mut secrets = Vec::new();
    for Header { value, .. } in headers {
        let (scheme, credentials) = value.split_once(' ').unwrap_or_default();
        let has_scheme = ["basic", "bearer"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        for secret in [Some(value.as_str()), has_scheme.then(|| credentials.trim())].into_iter().flatten() {
            secrets.push(secret.to_owned());
        }
    }
    secrets.retain(|secret| !secret.is_empty());
    secrets
}

/// In one pass, so that masks are not masked.
fn without(body: &str, secrets: &[String]) -> String {
    // The rest of a secret at its end may have been cut off.
    let is_cut = body.chars().count() >= KEPT_CHARACTERS;
    let (mut kept, mut rest) = (String::with_capacity(body.len()), body);
    while let Some(first) = rest.chars().next() {
        let fits = secrets
            .iter()
            .flat_map(|secret| [Spelling::Plain, Spelling::Json].map(|spelling| fit(rest, secret, spelling)));
        // Where several fit, the longest does: nothing of it is left.
        let skipped = fits.filter_map(|fit| match fit {
            Fit::Whole(length) => Some(length),
            Fit::Cut if is_cut => Some(rest.len()),
            Fit::Cut | Fit::No => None,
        });
        let skipped = skipped.max();
        kept.push_str(if skipped.is_some() {
            MASK
        } else {
            rest.get(..first.len_utf8()).unwrap_or_default()
        });
        rest = rest.get(skipped.unwrap_or(first.len_utf8())..).unwrap_or_default();
    }
    kept
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Plain,
    /// Any character may be escaped, as each language has its own habits.
    Json,
}

enum Fit {
    /// So many bytes.
    Whole(usize),
    /// As far as the text goes.
    Cut,
    No,
}

/// Whether a text begins with a secret.
fn fit(text: &str, secret: &str, spelling: Spelling) -> Fit {
    let mut rest = text;
    for expected in secret.chars() {
        let Some(first) = rest.chars().next() else { return Fit::Cut };
        let (found, length) = if spelling == Spelling::Json && first == '\\' {
            match escape(rest) {
                Ok(Some(escaped)) => escaped,
                Ok(None) => return Fit::No,
                Err(CutOff) => return Fit::Cut,
            }
        } else {
            (first, first.len_utf8())
        };
        if found != expected {
            return Fit::No;
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Fit::Whole(text.len() - rest.len())
}

/// The text ends in the middle of an escape.
struct CutOff;

/// The character that an escape at the beginning of a text stands for, and its length; none if it is none of JSON.
fn escape(text: &str) -> Result<Option<(char, usize)>, CutOff> {
    let simple = match text.as_bytes().get(1).ok_or(CutOff)? {
        b'u' => {
            let Some(first) = unit(text)? else { return Ok(None) };
            if !(0xD800..0xDC00).contains(&first) {
                return Ok(char::from_u32(first.into()).map(|character| (character, 6)));
            }
            // The second half of a character beyond the first plane.
            let Some(second) = unit(text.get(6..).unwrap_or_default())? else { return Ok(None) };
            let mut character = char::decode_utf16([first, second]);
            return Ok(character.next().and_then(Result::ok).map(|character| (character, 12)));
        }
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        byte @ (b'"' | b'\\' | b'/') => char::from(*byte),
        _ => return Ok(None),
    };
    Ok(Some((simple, 2)))
}

/// What follows `\u` at the beginning of a text.
fn unit(text: &str) -> Result<Option<u16>, CutOff> {
    let digits = text.as_bytes().iter().skip(2).take(4);
    if !"\\u".starts_with(text.get(..text.len().min(2)).unwrap_or("x"))
        || !digits.clone().all(u8::is_ascii_hexdigit)
    {
        return Ok(None);
    }
    if text.len() < 6 {
        return Err(CutOff);
    }
    Ok(text.get(2..6).and_then(|digits| u16::from_str_radix(digits, 16).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(body: &str, values: &[&str]) -> String {
        let header = |value: &&str| Header { name: "X-A".into(), value: (*value).to_owned() };
        let headers: Vec<_> = values.iter().map(header).collect();
        match masked(Answer::Status { code: 200, body: body.into() }, &headers) {
            Answer::Status { code: 200, body } => body,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_and_credentials_are_masked_wherever_they_stand() {
        assert_eq!(shown("hushhush, h\u{fc}sh", &["hush"]), "****************, h\u{fc}sh");
        assert_eq!(shown("Basic dTpw / dTpw", &["Basic dTpw"]), "******** / ********");
        assert_eq!(shown("bearer  abc / abc", &["bearer  abc"]), "******** / ********");
        assert_eq!(shown("Digest abc", &["Digest abcd"]), "Digest abc");
        assert_eq!(shown("nothing", &[]), "nothing");
    }

    #[test]
    fn the_longest_goes_first_and_no_mask_is_masked() {
        assert_eq!(shown("abcd ab *", &["ab", "abcd", "*"]), "******** ******** ********");
    }

    #[test]
    fn a_value_is_found_in_json() {
        assert_eq!(shown(r#"{"x":"a\"b\\c"}"#, &[r#"a"b\c"#]), r#"{"x":"********"}"#);
    }

    /// What PHP, Go, Python and others make of the same value.
    #[test]
    fn a_value_is_found_however_its_characters_are_escaped() {
        let secret = "a/b&c<d>\u{fc}\t\u{1f511}";
        for echoed in [
            r"a\/b&c<d>\u00fc\t\ud83d\udd11",
            r"a/b\u0026c\u003cd\u003e\u00FC\u0009\uD83D\uDD11",
            "a\\/b\\u0026c<d\\u003E\u{fc}\\t\u{1f511}",
            secret,
        ] {
            assert_eq!(
                shown(&format!("{{\"x\":\"{echoed}\"}}"), &[secret]),
                r#"{"x":"********"}"#,
                "{echoed}"
            );
        }
        for other in [r"a\/b\u0027", r"a\xb", r"\u00g1\", r"\ud83d\u0041", r"\ud83dx", r"\"] {
            assert_eq!(shown(other, &[secret, "\u{1f511}"]), other);
        }
    }

    #[test]
    fn an_escape_that_was_cut_off_is_masked_as_well() {
        for end in ["hu\\", "hu\\u", "hu\\u007", "hu\\ud83d\\", "hu\\ud83d"] {
            let filler = ".".repeat(KEPT_CHARACTERS - end.len());
            assert_eq!(
                shown(&format!("{filler}{end}"), &["hu\u{1f511}"]),
                format!("{filler}{MASK}"),
                "{end}"
            );
        }
    }

    #[test]
    fn a_secret_that_was_cut_off_with_the_body_is_masked_as_well() {
        let filler = ".".repeat(KEPT_CHARACTERS - 3);
        assert_eq!(shown(&format!("{filler}hus"), &["hush"]), format!("{filler}{MASK}"));
        assert_eq!(shown("whole: hus", &["hush"]), "whole: hus");
    }
}
