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
            // As it stands in JSON.
            secrets.push(secret.replace('\\', "\\\\").replace('"', "\\\"").replace('\t', "\\t"));
        }
    }
    secrets.retain(|secret| !secret.is_empty());
    // Where several fit, the longest does: nothing of it is left.
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    secrets
}

/// In one pass, so that masks are not masked.
fn without(body: &str, secrets: &[String]) -> String {
    // The rest of a secret at its end may have been cut off.
    let is_cut = body.chars().count() >= KEPT_CHARACTERS;
    let (mut kept, mut rest) = (String::with_capacity(body.len()), body);
    while let Some(first) = rest.chars().next() {
        let whole = secrets.iter().find(|secret| rest.starts_with(secret.as_str()));
        let skipped = match whole {
            Some(secret) => Some(secret.len()),
            None if is_cut && secrets.iter().any(|secret| secret.starts_with(rest)) => Some(rest.len()),
            None => None,
        };
        kept.push_str(if skipped.is_some() {
            MASK
        } else {
            rest.get(..first.len_utf8()).unwrap_or_default()
        });
        rest = rest.get(skipped.unwrap_or(first.len_utf8())..).unwrap_or_default();
    }
    kept
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

    #[test]
    fn a_secret_that_was_cut_off_with_the_body_is_masked_as_well() {
        let filler = ".".repeat(KEPT_CHARACTERS - 3);
        assert_eq!(shown(&format!("{filler}hus"), &["hush"]), format!("{filler}{MASK}"));
        assert_eq!(shown("whole: hus", &["hush"]), "whole: hus");
    }
}
