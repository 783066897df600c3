use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};

use super::Inner;
use crate::outcome::Refusal;
use crate::verifier::Untrusted;
use crate::{telemetry, token};

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
    /// Everything that is checked before the body.
    pub(super) fn admit(&self, head: &Head<'_>) -> Result<(), Refusal> {
        if head.method != Method::POST {
            return Err(Refusal::Method);
        }
        let source = self.admission.source(head.headers, head.peer);
        if let Ok(Some(source)) = source {
            telemetry::source(source);
        }
        if let Some(reason) = self.admission.classify(source, head.headers)? {
            telemetry::monitored_source(&reason);
        }
        let mut encodings = head.headers.get_all(CONTENT_ENCODING).iter();
        match encodings.find(|value| is_encoded(value)) {
            Some(encoding) => {
                Err(Refusal::Encoding(Untrusted::new(&String::from_utf8_lossy(encoding.as_bytes()))))
            }
            None => Ok(()),
        }
    }

    /// The token: a body that is a compact JWS, or else the token's header. Neither `Content-Type` nor a loose body
    /// beside the header decides anything: only the token is signed.
    pub(super) fn token(&self, headers: &HeaderMap, body: &Bytes) -> Result<Bytes, Refusal> {
        let in_body = token_in(body);
        let mut values = headers.get_all(&self.token_header).iter();
        let Some(value) = values.next() else { return Ok(in_body) };
        if token::is_compact_jws(&in_body) {
            return Ok(in_body);
        }
        if values.next().is_some() {
            return Err(Refusal::AmbiguousToken);
        }
        // Servers let through headers that are much longer than any body that is accepted here.
        if value.len() > self.max_body_bytes {
            return Err(Refusal::TooLarge(self.max_body_bytes));
        }
        Ok(token_in(&Bytes::copy_from_slice(value.as_bytes())))
    }
}

/// Without a byte order mark and white space around it, and without the quotation marks of a JSON string: senders add them
/// by accident.
fn token_in(text: &Bytes) -> Bytes {
    let trimmed = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii();
    if trimmed.first() == Some(&b'"')
        && let Ok(token) = serde_json::from_slice::<String>(trimmed)
    {
        return Bytes::copy_from_slice(token.trim_ascii().as_bytes());
    }
    text.slice_ref(trimmed)
}

/// Whether a `Content-Encoding` changes the body. An empty one, and an empty member of the list, is none.
fn is_encoded(value: &HeaderValue) -> bool {
    let mut codings = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}
