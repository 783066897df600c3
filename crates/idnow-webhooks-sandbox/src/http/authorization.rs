//! The header `Authorization`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use percent_encoding::percent_decode;

/// The token of `Authorization: Bearer`, if that is the one thing which the header says.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    credentials(headers, "bearer")
}

/// The client and its secret of `Authorization: Basic`, as RFC 6749, section 2.3.1 has it: both are
/// form-urlencoded before they are joined. `Err` if the header is there and not that.
pub(crate) fn basic(headers: &HeaderMap) -> Result<Option<IdAndSecret>, Unreadable> {
    if !headers.contains_key(AUTHORIZATION) {
        return Ok(None);
    }
    let encoded = credentials(headers, "basic").ok_or(Unreadable)?;
    let joined = STANDARD.decode(encoded).map_err(|_| Unreadable)?;
    let colon = joined.iter().position(|&byte| byte == b':').ok_or(Unreadable)?;
    let (id, secret) = joined.split_at(colon);
    Ok(Some((form_decoded(id), form_decoded(secret.get(1..).unwrap_or_default()))))
}

pub(crate) type IdAndSecret = (Vec<u8>, Vec<u8>);

/// A header `Authorization` that cannot be understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    // Two of them: it would be unclear which one counts.
    if values.next().is_some() {
        return None;
    }
    let (named, credentials) = value.split_once(' ')?;
    named.eq_ignore_ascii_case(scheme).then(|| credentials.trim_matches(' '))
}

fn form_decoded(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_decode(&spaced).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn with(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn joined(id: &str, secret: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_the_scheme() {
        assert_eq!(bearer(&with(&["Bearer abc"])), Some("abc"));
        assert_eq!(bearer(&with(&["bEARER  abc"])), Some("abc"));
        assert_eq!(bearer(&with(&["Basic abc"])), None);
        assert_eq!(bearer(&with(&["Bearer"])), None);
        assert_eq!(bearer(&with(&[])), None);
        assert_eq!(bearer(&with(&["Bearer abc", "Bearer abc"])), None);
    }

    #[test]
    fn client_and_secret_are_decoded_after_they_are_split() {
        let (id, secret) = basic(&with(&[&joined("a%3Ab", "p%40ss+w%2Brd%25")])).unwrap().unwrap();
        assert_eq!((id.as_slice(), secret.as_slice()), (&b"a:b"[..], &b"p@ss w+rd%"[..]));
        let (id, secret) = basic(&with(&[&joined("", "a:b")])).unwrap().unwrap();
        assert_eq!((id.as_slice(), secret.as_slice()), (&b""[..], &b"a:b"[..]));
    }

    #[test]
    fn another_scheme_or_broken_base64_is_not_taken_for_no_credentials() {
        assert_eq!(basic(&with(&[])), Ok(None));
        for wrong in ["Bearer abc", "Basic ***", "Basic", "Basic YWJj"] {
            assert_eq!(basic(&with(&[wrong])), Err(Unreadable), "{wrong}");
        }
        assert_eq!(basic(&with(&[&joined("a", "b"), &joined("a", "b")])), Err(Unreadable));
    }
}
