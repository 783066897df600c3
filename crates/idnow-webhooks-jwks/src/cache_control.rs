use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL};

/// How long the answer says that it may be used. `None` if it does not say.
///
/// What forbids keeping it, or cannot be understood, is zero: the caller's lower bound then applies
/// (RFC 9111, section 4.2.1, asks to treat invalid freshness information as stale).
pub(crate) fn lifetime(headers: &HeaderMap) -> Option<Duration> {
    let mut found: Option<u64> = None;
    for value in headers.get_all(CACHE_CONTROL) {
        let Ok(value) = value.to_str() else {
            return Some(Duration::ZERO);
        };
        for directive in value.split(',') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            let name = name.trim();
            if name.eq_ignore_ascii_case("no-cache") || name.eq_ignore_ascii_case("no-store") {
                return Some(Duration::ZERO);
            }
            if name.eq_ignore_ascii_case("max-age") {
                let seconds = seconds(argument.trim().trim_matches('"'));
                found = Some(found.map_or(seconds, |other| other.min(seconds)));
            }
        }
    }
    found.map(|max_age| Duration::from_secs(max_age).saturating_sub(age(headers)))
}

/// The greatest age that the answer can have had when it was sent; zero if the server itself gave it.
///
/// That there is an `Age` at all means that a cache answered, and whole seconds hide up to one more (RFC 9111,
/// section 5.1).
pub(crate) fn greatest_age(headers: &HeaderMap) -> Duration {
    if headers.contains_key(AGE) {
        age(headers).saturating_add(Duration::from_secs(1))
    } else {
        Duration::ZERO
    }
}

/// For how long a cache in between had held the answer, as it says.
///
/// Of a list the first member counts, and what cannot be understood is ignored (RFC 9111, section 5.1).
fn age(headers: &HeaderMap) -> Duration {
    let text = headers.get(AGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Duration::from_secs(seconds(text.split(',').next().unwrap_or_default().trim()))
}

fn seconds(text: &str) -> u64 {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    // Only too many digits are left as a reason to fail.
    text.parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(values: &[&'static str], age: Option<&'static str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(value));
        }
        if let Some(age) = age {
            headers.insert(AGE, HeaderValue::from_static(age));
        }
        lifetime(&headers).map(|lifetime| lifetime.as_secs())
    }

    #[test]
    fn reads_max_age() {
        assert_eq!(of(&[], None), None);
        assert_eq!(of(&["public"], None), None);
        assert_eq!(of(&["max-age=300"], None), Some(300));
        assert_eq!(of(&["public, Max-Age = 300 , must-revalidate"], None), Some(300));
        assert_eq!(of(&["max-age=\"300\""], None), Some(300));
        assert_eq!(of(&["s-maxage=7, max-age=300"], None), Some(300));
        assert_eq!(of(&["max-age=300", "max-age=200"], None), Some(200));
        assert_eq!(of(&["max-age=300"], Some("100")), Some(200));
        assert_eq!(of(&["max-age=300"], Some("400")), Some(0));
        assert_eq!(of(&["max-age=300"], Some(" 100 , 7")), Some(200));
        assert_eq!(of(&["max-age=300"], Some("soon")), Some(300));
        assert_eq!(of(&["max-age=99999999999999999999999"], None), Some(u64::MAX));
    }

    #[test]
    fn an_age_hides_up_to_a_second() {
        assert_eq!(greatest_age(&HeaderMap::new()), Duration::ZERO);
        for (age, seconds) in [("0", 1), ("42", 43), ("1, 0", 2), ("soon", 1), ("", 1)] {
            let headers = HeaderMap::from_iter([(AGE, HeaderValue::from_static(age))]);
            assert_eq!(greatest_age(&headers), Duration::from_secs(seconds), "{age}");
        }
        let most = HeaderMap::from_iter([(AGE, HeaderValue::from_static("99999999999999999999999"))]);
        assert!(greatest_age(&most) >= Duration::from_secs(u64::MAX));
    }

    #[test]
    fn what_forbids_or_makes_no_sense_is_zero() {
        assert_eq!(of(&["no-store"], None), Some(0));
        assert_eq!(of(&["max-age=300, NO-CACHE"], None), Some(0));
        assert_eq!(of(&["no-cache=\"set-cookie, x\", max-age=300"], None), Some(0));
        for value in ["max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age=x", "max-age=+5"] {
            assert_eq!(of(&[value], None), Some(0), "{value}");
        }
    }
}
