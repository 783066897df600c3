//! The compact form of a signed token (RFC 7515): three segments, a header and the claims.
//!
//! Nothing here is believed: the types borrow from, or own, bytes whose signature has not been checked.

use std::borrow::Cow;

use crate::base64url;
use crate::event::Envelope;
use crate::json::{self, Reader};

/// The longest header segment that is read, in bytes. The provider's has about 100.
const MAX_HEADER_BYTES: usize = 4096;
/// The longest `kid` that is looked up, in bytes.
const MAX_KEY_ID_BYTES: usize = 256;
/// The longest signature segment that is decoded: an RSA key of 8192 bits gives 1366 characters.
const MAX_SIGNATURE_BYTES: usize = 1400;
/// The last second of the year 9999, the end of what ISO 8601 can write.
const MAX_TIME: i64 = 253_402_300_799;

/// Why a text is not a token that could be verified at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not three segments separated by dots.
    #[error("not a compact JWS: expected three segments separated by dots")]
    Segments,
    /// The header or the signature is longer than any that the provider could send.
    #[error("the token's {0} is too long")]
    TooLong(&'static str),
    /// A segment is not base64url: padding, white space, a foreign character or stray bits.
    #[error("the token's {0} is not strict base64url without padding")]
    Base64(&'static str),
    /// A segment is not one unambiguous JSON document of the expected shape.
    #[error("the token's {segment} cannot be read: {reason}")]
    Json {
        /// `header` or `claims`.
        segment: &'static str,
        /// What is wrong, without any of the token's content.
        reason: String,
    },
    /// The header demands an extension (`crit`, `b64`): none is supported.
    #[error("the token's header uses `{0}`, which is not supported")]
    Extension(&'static str),
}

/// The members of a JOSE header that play a part. Keys that a token brings along (`jwk`, `jku`, `x5c`,
/// `x5u`) do not: they are never looked at.
#[derive(Default)]
pub(crate) struct Header<'a> {
    pub(crate) alg: Cow<'a, str>,
    pub(crate) kid: Option<Cow<'a, str>>,
}

/// The three segments, the first two still encoded.
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
        if header.len() > MAX_HEADER_BYTES {
            return Err(TokenError::TooLong("header"));
        }
        if signature.len() > MAX_SIGNATURE_BYTES {
            return Err(TokenError::TooLong("signature"));
        }
        Ok(Self { signing_input, header, claims, signature })
    }

    pub(crate) fn header(&self) -> Result<String, TokenError> {
        document(self.header, "header")
    }

    pub(crate) fn claims(&self) -> Result<String, TokenError> {
        document(self.claims, "claims")
    }

    pub(crate) fn signature(&self) -> Result<Vec<u8>, TokenError> {
        base64url::decode(self.signature).map_err(|_| TokenError::Base64("signature"))
    }
}

fn document(segment: &[u8], name: &'static str) -> Result<String, TokenError> {
    let bytes = base64url::decode(segment).map_err(|_| TokenError::Base64(name))?;
    String::from_utf8(bytes).map_err(|_| TokenError::Json { segment: name, reason: "not UTF-8".to_owned() })
}

impl<'a> Header<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, TokenError> {
        let (mut alg, mut kid, mut extension) = (None, None, None);
        json::read(text, |name, value| {
            match name {
                "alg" => alg = Some(value.text()?),
                "kid" => kid = value.optional(Reader::text)?,
                // Even as `null` it demands something.
                "crit" => extension = Some("crit"),
                "b64" => extension = Some("b64"),
                _ => {}
            }
            Ok(matches!(name, "alg" | "kid"))
        })
        .map_err(|error| unreadable("header", error))?;
        if let Some(name) = extension {
            return Err(TokenError::Extension(name));
        }
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KEY_ID_BYTES) {
            return Err(TokenError::TooLong("kid"));
        }
        let alg =
            alg.ok_or_else(|| TokenError::Json { segment: "header", reason: "`alg` is missing".to_owned() })?;
        Ok(Self { alg, kid })
    }
}

fn unreadable(segment: &'static str, error: json::Error) -> TokenError {
    TokenError::Json { segment, reason: error.to_string() }
}

/// The registered claims that play a part (RFC 7519), and the provider's `data`.
#[derive(Default)]
pub(crate) struct RawClaims<'a> {
    pub(crate) iss: Option<Cow<'a, str>>,
    pub(crate) aud: Option<Vec<Cow<'a, str>>>,
    pub(crate) iat: Option<i64>,
    pub(crate) exp: Option<i64>,
    pub(crate) nbf: Option<i64>,
    pub(crate) sub: Option<Cow<'a, str>>,
    pub(crate) data: Option<Data<'a>>,
}

/// `data`, whose form is the provider's to change: that a token cannot be read as an event makes it no forgery.
pub(crate) struct Data<'a> {
    pub(crate) text: &'a str,
    pub(crate) envelope: Result<Envelope<'a>, json::Error>,
}

impl<'a> RawClaims<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, TokenError> {
        let mut claims = Self::default();
        json::read(text, |name, value| {
            match name {
                "iss" => claims.iss = value.optional(Reader::text)?,
                "aud" => claims.aud = value.optional(audience)?,
                "iat" => claims.iat = value.optional(numeric_date)?,
                "exp" => claims.exp = value.optional(numeric_date)?,
                "nbf" => claims.nbf = value.optional(numeric_date)?,
                // Nothing depends on it, so another type than text is no reason to lose an event.
                "sub" if value.peek() == Some(b'"') => claims.sub = Some(value.text()?),
                "data" => {
                    let (envelope, text) = value.attempt(Envelope::read)?;
                    claims.data = Some(Data { text, envelope });
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
        .map_err(|error| unreadable("claims", error))?;
        Ok(claims)
    }
}

/// One text, or an array of texts.
fn audience<'a>(value: &mut Reader<'a>) -> Result<Vec<Cow<'a, str>>, json::Error> {
    let mut names = Vec::with_capacity(1);
    if value.peek() == Some(b'[') {
        value.items(|item| {
            names.push(item.text()?);
            Ok(())
        })?;
    } else {
        names.push(value.text()?);
    }
    Ok(names)
}

/// `NumericDate` of RFC 7519: seconds since 1970, perhaps with a fraction, here within the years 1970 to 9999.
fn numeric_date(value: &mut Reader<'_>) -> Result<i64, json::Error> {
    let number = value.number()?;
    #[expect(clippy::cast_possible_truncation, reason = "a float outside of i64 saturates, then is refused")]
    let seconds = number.parse().or_else(|_| number.parse().map(|seconds: f64| seconds.floor() as i64));
    seconds
        .ok()
        .filter(|seconds| (0..=MAX_TIME).contains(seconds))
        .ok_or_else(|| value.error("expected seconds between the years 1970 and 9999"))
}
