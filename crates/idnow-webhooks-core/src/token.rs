//! The compact form of a signed token (RFC 7515): three segments, a header and the claims.
//!
//! The types borrow from, or own, bytes whose signature has not been checked, or not yet.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::base64url;
use crate::json;

/// The longest header that is read, in bytes before it was encoded. The provider's has about 70; a chain of
/// certificates (`x5c`), which is never looked at, makes it long.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// The last second of the year 9999, the end of what ISO 8601 can write.
const MAX_TIME: i64 = 253_402_300_799;

/// Why a text is not a token that could be verified at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not three segments separated by dots.
    #[error("not a compact JWS: expected three segments separated by dots")]
    Segments,
    /// The header is longer than 16 KiB.
    #[error("the token's header is longer than {MAX_HEADER_BYTES} bytes")]
    HeaderTooLong,
    /// A segment is not base64url: padding, white space, a foreign character or stray bits.
    #[error("the token's {0} is not strict base64url without padding")]
    Base64(&'static str),
    /// The header is not one JSON object that names an algorithm and at most one key.
    #[error("the token's header cannot be read: {0}")]
    Header(String),
}

/// The claims of a token whose signature holds, but which do not tell what every token must tell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// The claims are not one JSON object, or one that matters stands there twice.
    #[error("the claims cannot be read: {0}")]
    Unreadable(String),
    /// A claim that must be there is not.
    #[error("claim `{0}` is missing")]
    Missing(&'static str),
    /// A claim has another type than RFC 7519 gives it, or a time lies outside of the years 1970 to 9999.
    #[error("claim `{0}` has the wrong type or range")]
    Mistyped(&'static str),
    /// The header demands an extension (`crit`, `b64`): none is supported.
    #[error("the header uses `{0}`, which is not supported")]
    Extension(&'static str),
}

/// The members of a JOSE header that play a part. Keys that a token brings along (`jwk`, `jku`, `x5c`,
/// `x5u`) do not: they are never looked at.
#[derive(Debug)]
pub(crate) struct Header<'a> {
    pub(crate) algorithm: Cow<'a, str>,
    /// `kid`. One that is not text (RFC 7515, section 4.1.4) names no key.
    pub(crate) key_id: Option<Cow<'a, str>>,
    /// What the header demands beyond a plain signature.
    pub(crate) extension: Option<&'static str>,
}

impl<'a> Header<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, TokenError> {
        let [algorithm, key_id] = json::members(text, ["alg", "kid"]).map_err(TokenError::Header)?;
        let algorithm = algorithm
            .and_then(json::text)
            .ok_or_else(|| TokenError::Header("`alg` is missing, or no text".to_owned()))?;
        // Even as `null`, or twice, they demand something.
        let demands = |name: &&str| !matches!(json::members(text, [*name]), Ok([None]));
        let extension = ["crit", "b64"].into_iter().find(demands);
        Ok(Self { algorithm, key_id: key_id.and_then(json::text), extension })
    }
}

/// The three segments, still encoded.
pub(crate) struct Segments<'a> {
    pub(crate) signing_input: &'a [u8],
    header: &'a [u8],
    claims: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Segments<'a> {
    pub(crate) fn split(token: &'a [u8]) -> Result<Self, TokenError> {
        let mut dots = memchr::memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(TokenError::Segments);
        };
        let parts =
            (token.get(..second), token.get(..first), token.get(first + 1..second), token.get(second + 1..));
        let (Some(signing_input), Some(header), Some(claims), Some(signature)) = parts else {
            return Err(TokenError::Segments);
        };
        Ok(Self { signing_input, header, claims, signature })
    }

    pub(crate) fn header(&self) -> Result<String, TokenError> {
        if self.header.len() > MAX_HEADER_BYTES.div_ceil(3) * 4 {
            return Err(TokenError::HeaderTooLong);
        }
        let bytes = base64url::decode(self.header).map_err(|_| TokenError::Base64("header"))?;
        if bytes.len() > MAX_HEADER_BYTES {
            return Err(TokenError::HeaderTooLong);
        }
        String::from_utf8(bytes).map_err(|_| TokenError::Header("not UTF-8".to_owned()))
    }

    pub(crate) fn claims(&self) -> Result<String, ClaimsError> {
        let unreadable = |reason: &str| ClaimsError::Unreadable(reason.to_owned());
        let bytes = base64url::decode(self.claims).map_err(|_| unreadable("not strict base64url"))?;
        String::from_utf8(bytes).map_err(|_| unreadable("not UTF-8"))
    }

    pub(crate) fn signature(&self) -> Result<Vec<u8>, TokenError> {
        base64url::decode(self.signature).map_err(|_| TokenError::Base64("signature"))
    }
}

/// Whether a text is a compact JWS, genuine or not: three segments, the first of which is a header. A host name or a
/// version number has two dots as well.
pub(crate) fn is_compact_jws(text: &[u8]) -> bool {
    Segments::split(text)
        .and_then(|segments| segments.header())
        .is_ok_and(|header| Header::read(&header).is_ok())
}

/// What every token tells, with its types.
pub(crate) struct Claims<'a> {
    pub(crate) issuer: Cow<'a, str>,
    pub(crate) audiences: Vec<Cow<'a, str>>,
    pub(crate) issued_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) not_before: Option<i64>,
    pub(crate) subject: Option<Cow<'a, str>>,
    /// The text of `data`, whose form is the provider's to change.
    pub(crate) data: &'a str,
}

impl<'a> Claims<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, ClaimsError> {
        let names = ["iss", "aud", "iat", "exp", "nbf", "sub", "data"];
        let [iss, aud, iat, exp, nbf, sub, data] =
            json::members(text, names).map_err(ClaimsError::Unreadable)?;
        Ok(Self {
            issuer: required("iss", iss, json::text)?,
            audiences: required("aud", aud, audiences)?,
            issued_at: required("iat", iat, numeric_date)?,
            expires_at: required("exp", exp, numeric_date)?,
            not_before: match nbf {
                None | Some(json::NULL) => None,
                nbf => Some(required("nbf", nbf, numeric_date)?),
            },
            // Nothing depends on it, so another type than text is no reason to lose an event.
            subject: sub.and_then(json::text),
            data: data.unwrap_or(json::NULL),
        })
    }
}

fn required<'a, T>(
    name: &'static str,
    value: Option<&'a str>,
    read: impl FnOnce(&'a str) -> Option<T>,
) -> Result<T, ClaimsError> {
    let value = value.filter(|value| *value != json::NULL).ok_or(ClaimsError::Missing(name))?;
    read(value).ok_or(ClaimsError::Mistyped(name))
}

/// One text, or an array of texts.
fn audiences(value: &str) -> Option<Vec<Cow<'_, str>>> {
    if value.starts_with('[') {
        let names: Vec<&RawValue> = serde_json::from_str(value).ok()?;
        return names.into_iter().map(|name| json::text(name.get())).collect();
    }
    Some(vec![json::text(value)?])
}

/// `NumericDate` of RFC 7519: seconds since 1970, perhaps with a fraction, here within the years 1970 to 9999.
fn numeric_date(value: &str) -> Option<i64> {
    let number = json::number(value)?;
    #[expect(clippy::cast_possible_truncation, reason = "a float outside of i64 saturates, then is refused")]
    let seconds = number.parse().or_else(|_| number.parse().map(|seconds: f64| seconds.floor() as i64));
    seconds.ok().filter(|seconds| (0..=MAX_TIME).contains(seconds))
}
