//! Which headers an endpoint may have.

use http::{HeaderName, HeaderValue};

use crate::error::Error;
use crate::model::{Header, MASK};

const MOST: usize = 20;
const LONGEST_NAME: usize = 128;
const LONGEST_VALUE: usize = 4096;

/// They belong to the connection, to the body or to the delivery.
const OURS: [&str; 17] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-idnow-signature",
];

pub(crate) fn check(headers: &[Header]) -> Result<(), Error> {
    match headers.iter().enumerate().find_map(|(index, header)| reason(headers, index, header)) {
        Some(reason) => Err(Error::invalid("headers", reason)),
        None if headers.len() > MOST => Err(Error::invalid("headers", "there may be at most 20")),
        None => Ok(()),
    }
}

/// Those that are wanted, with the values that those have which were read, and so came as the mask.
pub(crate) fn merge(current: &[Header], wanted: Vec<Header>) -> Result<Vec<Header>, Error> {
    let merged = wanted.into_iter().map(|header| {
        if header.value != MASK {
            return Ok(header);
        }
        let same = current.iter().find(|other| other.name.eq_ignore_ascii_case(&header.name));
        same.map(|same| Header { name: header.name.clone(), value: same.value.clone() }).ok_or_else(|| {
            let name: String = header.name.chars().take(LONGEST_NAME).collect();
            let reason =
                format!("{name:?} is new: it needs a value, not the mask that stands for a saved one");
            Error::invalid("headers", reason)
        })
    });
    let merged = merged.collect::<Result<Vec<_>, _>>()?;
    check(&merged)?;
    Ok(merged)
}

/// Never says the value.
fn reason(headers: &[Header], index: usize, header: &Header) -> Option<String> {
    let number = index + 1;
    let name = &header.name;
    if name.len() > LONGEST_NAME || HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Some(format!(
            "the name of the header no. {number} must have 1 to 128 letters, digits or characters of `!#$%&'*+-.^_|~`"
        ));
    }
    if OURS.contains(&name.to_ascii_lowercase().as_str()) {
        return Some(format!("`{name}` cannot be set: it is the sandbox's own"));
    }
    let value = &header.value;
    let visible = value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    if !visible
        || value.len() > LONGEST_VALUE
        || value.trim() != value
        || HeaderValue::from_str(value).is_err()
    {
        return Some(format!(
            "the value of `{name}` must have at most 4096 visible ASCII characters, and no spaces at its ends"
        ));
    }
    if value.is_empty() || value == MASK {
        return Some(format!("`{name}` needs a value"));
    }
    let twice = headers.iter().take(index).any(|other| other.name.eq_ignore_ascii_case(name));
    twice.then(|| format!("`{name}` is there twice"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> Header {
        Header { name: name.into(), value: value.into() }
    }

    fn refusal(headers: &[Header]) -> String {
        check(headers).unwrap_err().to_string()
    }

    #[test]
    fn usual_headers_are_accepted() {
        let headers = [
            header("X-Auth-Token", "s3cret"),
            header("Authorization", "Basic dXNlcjpwYXNz"),
            header("X-!#$%&'*+-.^_`|~0", "a b\tc \"~\""),
            header("Cookie", &"x".repeat(LONGEST_VALUE)),
        ];
        assert!(check(&headers).is_ok());
        assert!(check(&[]).is_ok());
    }

    #[test]
    fn nothing_can_be_injected() {
        for name in ["", "a b", "a:", "a\r\nb", "ä", "a\0", "(", &"x".repeat(129)] {
            assert!(refusal(&[header(name, "v")]).contains("the name of the header no. 1"), "{name:?}");
        }
        for value in ["a\r\nX: y", "a\nb", "a\rb", "a\0", "\u{7f}", "ä", " a", "a ", "\t", &"x".repeat(4097)]
        {
            assert!(refusal(&[header("X-A", value)]).contains("the value of `X-A` must"), "{value:?}");
        }
        assert!(refusal(&[header("X-A", "")]).contains("needs a value"));
    }

    #[test]
    fn what_the_sandbox_sets_is_its_own() {
        for name in OURS {
            let upper = name.to_ascii_uppercase();
            assert!(refusal(&[header(&upper, "v")]).contains("cannot be set"), "{name}");
        }
    }

    #[test]
    fn there_are_few_and_none_twice() {
        assert!(refusal(&[header("X-A", "1"), header("x-a", "2")]).contains("twice"));
        let many: Vec<_> = (0..=MOST).map(|number| header(&format!("X-{number}"), "v")).collect();
        assert!(refusal(&many).contains("at most 20"));
        assert!(check(&many[1..]).is_ok());
    }

    #[test]
    fn a_refusal_never_tells_a_value() {
        for headers in [
            vec![header("X-A", "hush\n")],
            vec![header("Host", "hush")],
            vec![header("b ad", "hush")],
            vec![header("X-A", "hush"), header("X-A", "hush")],
        ] {
            assert!(!refusal(&headers).contains("hush"));
        }
    }

    #[test]
    fn a_masked_value_stays_what_it_was() {
        let current = [header("X-Auth-Token", "old"), header("X-Other", "other")];
        let merged = merge(&current, vec![header("x-auth-token", MASK), header("X-New", "new")]).unwrap();
        assert_eq!(merged, [header("x-auth-token", "old"), header("X-New", "new")]);
        let error = merge(&current, vec![header("X-New", MASK)]).unwrap_err().to_string();
        assert!(error.contains("is new"), "{error}");
        assert!(refusal(&[header("X-New", MASK)]).contains("needs a value"));
    }
}
