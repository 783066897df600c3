//! What things may be called.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::error::Error;
use crate::model::EventKind;

const LONGEST_ENVIRONMENT: usize = 64;
const LONGEST_NAME: usize = 200;
const LONGEST_DESCRIPTION: usize = 500;
const LONGEST_TTL: u64 = 90 * 24 * 60 * 60;

/// It becomes a part of paths, so nothing in it needs escaping.
pub(crate) fn environment(name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let dots = name.bytes().all(|byte| byte == b'.');
    if !dots && name.len() <= LONGEST_ENVIRONMENT && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Error::invalid(
        "environment",
        "it must have 1 to 64 letters, digits, `-`, `_` or `.`, not dots alone",
    ))
}

pub(crate) fn flow(name: &str) -> Result<(), Error> {
    let length = name.chars().count();
    if (1..=LONGEST_NAME).contains(&length) && !name.contains(char::is_control) && !name.trim().is_empty() {
        return Ok(());
    }
    Err(Error::invalid("name", "it must have 1 to 200 characters, none of them a control character"))
}

pub(crate) fn description(text: &str) -> Result<(), Error> {
    let control = |c: char| c.is_control() && c != '\n';
    if text.chars().count() <= LONGEST_DESCRIPTION && !text.contains(control) {
        return Ok(());
    }
    Err(Error::invalid(
        "description",
        "it must have at most 500 characters, no control characters but line feeds",
    ))
}

/// A name that is never used would be a webhook that never comes, so only the known ones are accepted.
pub(crate) fn events(names: &BTreeSet<String>) -> Result<(), Error> {
    let known = EventKind::ALL.map(EventKind::name);
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let name: String = name.chars().take(LONGEST_ENVIRONMENT).collect();
            let known = known.join(", ");
            Err(Error::invalid(
                "events",
                format!("there is no event {name:?}: choose among {known}, or none for all"),
            ))
        }
    }
}

pub(crate) fn ttl(field: &'static str, seconds: u64) -> Result<Duration, Error> {
    if (1..=LONGEST_TTL).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(Error::invalid(field, "it must be between 1 second and 90 days (7776000 seconds)"))
}

pub(crate) fn concurrency(deliveries: u16) -> Result<(), Error> {
    if (1..=1000).contains(&deliveries) {
        return Ok(());
    }
    Err(Error::invalid("concurrency", "it must be between 1 and 1000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_fit_into_a_path() {
        for good in ["staging", "live", "a", "A-b_c.9", "...x", &"x".repeat(64)] {
            assert!(environment(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", "a%20", "a?b", "a\n", &"x".repeat(65)] {
            let error = environment(bad).unwrap_err().to_string();
            assert!(error.starts_with("environment: it must have 1 to 64"), "{bad}: {error}");
        }
    }

    #[test]
    fn names_and_descriptions_are_bounded() {
        assert!(flow("ä".repeat(200).as_str()).is_ok());
        for bad in ["", " ", "a\nb", "a\u{0}", &"x".repeat(201)] {
            assert!(flow(bad).is_err(), "{bad:?}");
        }
        assert!(description("").is_ok());
        assert!(description(&format!("{}\n", "ä".repeat(499))).is_ok());
        for bad in ["\r", "\u{7f}", &"x".repeat(501)] {
            assert!(description(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn events_are_those_that_exist() {
        let all = EventKind::ALL.map(|kind| kind.name().to_owned()).into();
        assert!(events(&all).is_ok());
        assert!(events(&BTreeSet::new()).is_ok());
        let error = events(&["session.complete".to_owned()].into()).unwrap_err().to_string();
        assert!(error.contains("\"session.complete\"") && error.contains("session.completed"), "{error}");
        assert!(events(&["x".repeat(100_000)].into()).unwrap_err().to_string().len() < 300);
    }

    #[test]
    fn times_and_numbers_have_limits() {
        assert_eq!(ttl("ttl", 1).unwrap(), Duration::from_secs(1));
        assert!(ttl("ttl", LONGEST_TTL).is_ok());
        for bad in [0, LONGEST_TTL + 1, u64::MAX] {
            assert!(ttl("ttl", bad).unwrap_err().to_string().starts_with("ttl: "), "{bad}");
        }
        assert!(concurrency(1).is_ok() && concurrency(1000).is_ok());
        assert!(concurrency(0).is_err() && concurrency(1001).is_err());
    }
}
