//! The compact form of a signed token (RFC 7515): three segments, a header and the claims.
//!
//! Nothing here is believed: the types borrow from, or own, bytes whose signature has not been checked.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::{base64url, json};

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
#[derive(Deserialize)]
pub(crate) struct Header<'a> {
    #[serde(borrow)]
    pub(crate) alg: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) kid: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
    #[serde(default, deserialize_with = "present")]
    b64: bool,
}

/// Whether a member is there at all, even as `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
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
        let mut dots = token.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
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
    let text = String::from_utf8(bytes)
        .map_err(|_| TokenError::Json { segment: name, reason: "not UTF-8".to_owned() })?;
    json::check(&text).map_err(|error| unreadable(name, &error))?;
    if !json::is_object(&text) {
        return Err(TokenError::Json { segment: name, reason: "not an object".to_owned() });
    }
    Ok(text)
}

/// Says where a document went wrong. Only our own wording is kept: `serde_json` quotes the input.
fn unreadable(segment: &'static str, error: &serde_json::Error) -> TokenError {
    let what = match error.classify() {
        serde_json::error::Category::Eof | serde_json::error::Category::Syntax => "not valid JSON",
        _ => "a member is missing, repeated or of the wrong type",
    };
    TokenError::Json { segment, reason: format!("{what}, at column {}", error.column()) }
}

impl<'a> Header<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, TokenError> {
        let header: Self = serde_json::from_str(text).map_err(|error| unreadable("header", &error))?;
        if header.crit {
            return Err(TokenError::Extension("crit"));
        }
        if header.b64 {
            return Err(TokenError::Extension("b64"));
        }
        if header.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KEY_ID_BYTES) {
            return Err(TokenError::TooLong("kid"));
        }
        Ok(header)
    }
}

/// The registered claims that play a part (RFC 7519), and the provider's `data`.
#[derive(Deserialize)]
pub(crate) struct RawClaims<'a> {
    #[serde(borrow, default)]
    pub(crate) iss: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) aud: Option<Audience<'a>>,
    #[serde(default)]
    pub(crate) iat: Option<NumericDate>,
    #[serde(default)]
    pub(crate) exp: Option<NumericDate>,
    #[serde(default)]
    pub(crate) nbf: Option<NumericDate>,
    #[serde(borrow, default)]
    pub(crate) sub: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) data: Option<&'a RawValue>,
}

impl<'a> RawClaims<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, TokenError> {
        serde_json::from_str(text).map_err(|error| unreadable("claims", &error))
    }
}

/// `aud`: one text, or an array of texts.
pub(crate) struct Audience<'a>(pub(crate) Vec<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Audience<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Audience<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or an array of texts")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Audience(vec![Cow::Borrowed(name)]))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Audience(vec![Cow::Owned(name.to_owned())]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
                #[derive(Deserialize)]
                struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

                let mut names = Vec::new();
                while let Some(Name(name)) = array.next_element()? {
                    names.push(name);
                }
                Ok(Audience(names))
            }

            fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
                Err(A::Error::custom("expected text or an array of texts"))
            }
        }

        deserializer.deserialize_any(Names)
    }
}

/// `NumericDate` of RFC 7519: seconds since 1970, perhaps with a fraction, here within the years 1970 to 9999.
#[derive(Clone, Copy)]
pub(crate) struct NumericDate(pub(crate) i64);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float outside of i64 saturates, then is refused"
        )]
        let seconds = number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds.floor() as i64));
        seconds
            .filter(|seconds| (0..=MAX_TIME).contains(seconds))
            .map(Self)
            .ok_or_else(|| D::Error::custom("expected seconds between the years 1970 and 9999"))
    }
}
