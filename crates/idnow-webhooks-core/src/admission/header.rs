use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::secret::Secret;

/// A header that every request must carry, with the values that are accepted.
///
/// It is what was entered under "custom headers" when the endpoint was configured at the provider. Several
/// values allow a change of secret without a gap: accept both, change the endpoint, then drop the old one.
#[derive(Debug, Clone)]
pub struct RequiredHeader {
    name: HeaderName,
    accepted: Vec<Secret>,
}

/// A required header that is not as it should be in a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The request does not carry the header.
    #[error("`{0}` is missing")]
    Missing(HeaderName),
    /// The request carries it more than once, so that it is unclear which one counts.
    #[error("`{0}` is repeated")]
    Repeated(HeaderName),
    /// It has none of the accepted values.
    #[error("`{0}` has none of the accepted values")]
    Wrong(HeaderName),
}

/// A header that cannot be required, because nothing would be protected, or nobody admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequiredHeaderError {
    /// The name is not that of a header.
    #[error("not a header name: letters, digits and hyphens are expected")]
    InvalidName,
    /// No value, or an empty one, was given.
    #[error("`{0}` needs at least one value, and none that is empty")]
    NoValue(HeaderName),
    /// A value has white space at an end, or a control character in it: HTTP takes the one away and carries no other, so
    /// every request would be refused.
    #[error("`{0}` has a value that no request can carry: white space at an end, or a control character")]
    ImpossibleValue(HeaderName),
}

impl RequiredHeader {
    /// Requires the header `name` with one of these values, compared exactly and in constant time.
    ///
    /// # Errors
    ///
    /// [`RequiredHeaderError`] for what is no header name, without a value, and with one that is empty or that no request
    /// can carry.
    pub fn new<V: Into<Secret>>(
        name: &str,
        accepted: impl IntoIterator<Item = V>,
    ) -> Result<Self, RequiredHeaderError> {
        let name: HeaderName = name.trim().parse().map_err(|_| RequiredHeaderError::InvalidName)?;
        let accepted: Vec<Secret> = accepted.into_iter().map(Into::into).collect();
        if accepted.is_empty() || accepted.iter().any(|value| value.expose().is_empty()) {
            return Err(RequiredHeaderError::NoValue(name));
        }
        if !accepted.iter().all(|value| can_be_carried(value.expose())) {
            return Err(RequiredHeaderError::ImpossibleValue(name));
        }
        Ok(Self { name, accepted })
    }

    /// Requires HTTP Basic authentication (RFC 7617).
    pub fn basic(user: &str, password: &str) -> Self {
        let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        Self { name: AUTHORIZATION, accepted: vec![value.into()] }
    }

    /// The header's name.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), HeaderError> {
        let mut values = headers.get_all(&self.name).iter();
        let value = values.next().ok_or_else(|| HeaderError::Missing(self.name.clone()))?;
        if values.next().is_some() {
            return Err(HeaderError::Repeated(self.name.clone()));
        }
        let value = value.as_bytes();
        // No early end: the time must not tell which of the accepted values came close.
        let matched =
            self.accepted.iter().fold(false, |matched, accepted| matched | self.matches(accepted, value));
        if matched { Ok(()) } else { Err(HeaderError::Wrong(self.name.clone())) }
    }

    fn matches(&self, accepted: &Secret, value: &[u8]) -> bool {
        if self.name == AUTHORIZATION
            && let (Some((scheme, credentials)), Some((seen, candidate))) =
                (split_scheme(accepted.expose()), split_scheme(value))
        {
            // RFC 9110, section 11.1: the scheme's name is compared without regard to case.
            return scheme.eq_ignore_ascii_case(seen) & Secret::from(credentials.to_vec()).matches(candidate);
        }
        accepted.matches(value)
    }
}

/// Whether a request can have exactly this value.
fn can_be_carried(value: &[u8]) -> bool {
    HeaderValue::from_bytes(value).is_ok() && value.trim_ascii().len() == value.len()
}

fn split_scheme(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = value.iter().position(|byte| *byte == b' ')?;
    Some((value.get(..space)?, value.get(space + 1..)?))
}
