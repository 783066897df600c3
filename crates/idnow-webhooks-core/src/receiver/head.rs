use std::fmt;
use std::net::IpAddr;

use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};

use super::Inner;
use crate::outcome::Refusal;
use crate::telemetry;
use crate::verifier::Seen;

/// What an adapter knows of a request before its body.
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// All header lines; repeated ones must be kept apart.
    pub headers: &'a HeaderMap,
    /// The address at the other end of the connection, if the server tells it.
    pub peer: Option<IpAddr>,
}

/// Without the values of the headers, which may be secrets.
impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", self.method)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("peer", &self.peer)
            .finish()
    }
}

/// A request extension for servers that an adapter cannot ask: the address at the other end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub IpAddr);

impl Inner {
    /// Everything that is checked before the body. Gives the token's header, where there is one.
    pub(super) fn admit<'a>(&self, head: &Head<'a>) -> Result<Option<&'a HeaderValue>, Refusal> {
        if head.method != Method::POST {
            return Err(Refusal::Method);
        }
        let source = self.admission.source(head.headers, head.peer);
        if let Ok(Some(source)) = source {
            tracing::Span::current().record("source", tracing::field::display(source));
        }
        if let Some(reason) = self.admission.judge(source, head.headers)? {
            telemetry::monitored_source(&reason);
        }
        let mut encodings = head.headers.get_all(CONTENT_ENCODING).iter();
        if let Some(encoding) = encodings.find(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(Refusal::Encoding(seen(encoding)));
        }
        self.token_header(head.headers)
    }

    /// The header that carries the token, unless the body does.
    fn token_header<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a HeaderValue>, Refusal> {
        let media_type = headers.get(CONTENT_TYPE);
        let is =
            |name: &str| media_type.is_some_and(|value| essence(value).eq_ignore_ascii_case(name.as_bytes()));
        if is("application/jwt") {
            return Ok(None);
        }
        let mut tokens = headers.get_all(&self.token_header).iter();
        let token = tokens.next();
        if tokens.next().is_some() {
            return Err(Refusal::AmbiguousToken);
        }
        // Servers let through headers that are much longer than any body that is accepted here.
        if token.is_some_and(|token| token.len() > self.max_body_bytes) {
            return Err(Refusal::TooLarge(self.max_body_bytes));
        }
        match media_type {
            Some(value) if token.is_none() || !is("application/json") => Err(Refusal::MediaType(seen(value))),
            // A missing media type says nothing wrong; the signature decides.
            _ => Ok(token),
        }
    }
}

/// A media type without its parameters.
fn essence(media_type: &HeaderValue) -> &[u8] {
    media_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

fn seen(value: &HeaderValue) -> Seen {
    Seen::new(&String::from_utf8_lossy(value.as_bytes()))
}
