//! A request, made of claims and a key.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

use super::token::Claims;
use crate::error::Error;
use crate::keys::SigningKey;
use crate::model::{Answer, Header, TokenPlace};

const SIGNATURE: HeaderName = HeaderName::from_static("x-idnow-signature");

/// What is sent: cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is nothing to send.
#[derive(Debug)]
pub(crate) enum Unsendable {
    /// The header of this name.
    Header(String),
    Token(Error),
}

impl From<Unsendable> for Answer {
    fn from(unsendable: Unsendable) -> Self {
        match unsendable {
            Unsendable::Header(name) => {
                Self::NotSent { reason: format!("the header {name:?} cannot be sent: save it again") }
            }
            Unsendable::Token(error) => Self::ConnectionFailed { reason: error.to_string() },
        }
    }
}

impl Message {
    /// With the headers of an endpoint.
    pub(crate) fn new(
        own: &[Header],
        place: TokenPlace,
        claims: &Claims<'_, impl Serialize>,
        key: &SigningKey,
    ) -> Result<Self, Unsendable> {
        let token = json(claims).and_then(|claims| key.sign(&claims)).map_err(Unsendable::Token)?;
        Self::with_token(own, place, claims, token)
    }

    /// The token may be of anything; the body of the older form tells the data of the claims.
    pub(crate) fn with_token(
        own: &[Header],
        place: TokenPlace,
        claims: &Claims<'_, impl Serialize>,
        token: String,
    ) -> Result<Self, Unsendable> {
        let mut headers = own_headers(own)?;
        // Last, so that nothing takes their place.
        match place {
            TokenPlace::Body => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jwt"));
                Ok(Self { headers, body: token.into() })
            }
            TokenPlace::Header => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                let token = HeaderValue::try_from(token).map_err(|error| {
                    Unsendable::Token(Error::unavailable_because("a token does not fit into a header", error))
                })?;
                headers.insert(SIGNATURE, token);
                Ok(Self { headers, body: json(&claims.data).map_err(Unsendable::Token)?.into() })
            }
        }
    }
}

fn own_headers(own: &[Header]) -> Result<HeaderMap, Unsendable> {
    let mut headers = HeaderMap::with_capacity(own.len() + 2);
    for header in own {
        // They were checked when they were saved. Whatever changed them since then, no line break gets through here.
        let (Ok(name), Ok(mut value)) =
            (HeaderName::try_from(&header.name), HeaderValue::try_from(&header.value))
        else {
            return Err(Unsendable::Header(header.name.clone()));
        };
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

pub(crate) fn json(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value)
        .map_err(|error| Error::unavailable_because("the claims cannot be written", error))
}
