//! What becomes of a delivery, and the one table that turns it into an answer.
//!
//! The provider retries after 5xx and after time-outs, and never after 4xx: a 4xx to a genuine event loses it. So a 4xx is
//! given only when the request is proven not to be an event for this receiver to keep, and everything else is a 503. What
//! the provider's key has signed is never refused for good.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::admission::AdmissionError;
use crate::event::Unreadable;
use crate::handler::HandlerError;
use crate::keys::KeysUnavailable;
use crate::store::StoreError;
use crate::verifier::{Untrusted, VerifyError};

/// How long the provider is asked to wait where nothing better is known. Its own schedule starts at 1 s.
const RETRY_SOON: Duration = Duration::from_secs(1);

/// What became of a delivery.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Queued mode: the event is stored, and will be handled after the answer.
    Stored,
    /// Inline mode: the handler has finished.
    Handled,
    /// The event was stored or handled before.
    Duplicate,
    /// The delivery was not accepted.
    Refused(Refusal),
}

/// Why a delivery was not accepted. The text is for the receiver's own log, never part of an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The method is not POST.
    #[error("method: expected POST")]
    Method,
    /// The source or a required header was refused.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    /// The body is compressed.
    #[error("content encoding: expected none, seen {0}")]
    Encoding(Untrusted),
    /// The body, or the token in its header, is longer than accepted.
    #[error("the body or the token is longer than {0} bytes")]
    TooLarge(usize),
    /// The connection broke before the body was complete, or it was not complete when the answer was due.
    #[error("the body ended early, came too slowly, or its framing is wrong")]
    Incomplete,
    /// The header that carries the token is repeated, so that it is unclear which one counts.
    #[error("the token's header is repeated")]
    AmbiguousToken,
    /// The token is not believed.
    #[error(transparent)]
    Token(#[from] VerifyError),
    /// The keys at hand do not verify the token, and the key server could not be asked for others.
    #[error("{token}; and the keys could not be refreshed: {keys}")]
    KeysUnavailable {
        /// What the token asked for.
        token: VerifyError,
        /// Why the keys could not be refreshed.
        keys: KeysUnavailable,
    },
    /// The keys at hand do not verify the token, and others were not there when the answer was due.
    #[error("the keys could not be refreshed within the answer deadline of {0:?}")]
    KeysTooSlow(Duration),
    /// The token is genuine, but its `data` is not an event as this version understands it.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The handler failed.
    #[error("the handler failed: {0}")]
    Handler(HandlerError),
    /// The receiver was built with neither handlers nor a queue.
    #[error("nobody handles events: build the receiver with `handlers` or `queued`")]
    NoHandlers,
    /// An earlier attempt of the same event failed for good.
    #[error("an earlier attempt of this event failed for good")]
    Buried,
    /// An earlier attempt of the same event is still being handled.
    #[error("an earlier attempt of this event is still being handled")]
    InProgress,
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
    /// Too many events are being handled.
    #[error("too many events are being handled")]
    Overloaded,
    /// Our own deadline passed, after the token was believed.
    #[error("no result within the answer deadline of {0:?}")]
    Deadline(Duration),
}

impl Outcome {
    /// Whether the provider may forget the event.
    pub fn is_accepted(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Stored | Self::Handled | Self::Duplicate => StatusCode::OK,
            Self::Refused(refusal) => refusal.status(),
        }
    }

    /// A stable machine code, the same in the answer's body, in logs and in metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Handled => "handled",
            Self::Duplicate => "duplicate",
            Self::Refused(refusal) => refusal.code(),
        }
    }

    /// How long the provider is asked to wait before it tries again; with every 503.
    pub fn retry_after(&self) -> Option<Duration> {
        if self.status() != StatusCode::SERVICE_UNAVAILABLE {
            return None;
        }
        match self {
            Self::Refused(Refusal::KeysUnavailable { keys, .. }) => Some(keys.retry_after.max(RETRY_SOON)),
            _ => Some(RETRY_SOON),
        }
    }

    /// The answer: empty with 2xx, else a small `application/problem+json` (RFC 9457) that holds the status and
    /// the [`code`](Self::code), and nothing that came from the request.
    pub fn response(&self) -> Response<Bytes> {
        let (status, code) = (self.status(), self.code());
        let body = if self.is_accepted() { Bytes::new() } else { problem(status, code) };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let length = response.body().len();
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, length.into());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if length > 0 {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        }
        if let Some(wait) = self.retry_after() {
            headers.insert(
                RETRY_AFTER,
                wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).into(),
            );
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

impl Refusal {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.row().0
    }

    /// A stable machine code, the same in the answer's body, in logs and in metrics.
    pub fn code(&self) -> &'static str {
        self.row().1
    }

    /// The status and the machine code of the answer: the one table.
    fn row(&self) -> (StatusCode, &'static str) {
        match self {
            // All final answers. Either the request holds no token that could be read, now or later,
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Encoding(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::AmbiguousToken | Self::Token(VerifyError::Malformed(_)) => {
                (StatusCode::BAD_REQUEST, "malformed_token")
            }
            // or the operator's own lists exclude it,
            Self::Admission(AdmissionError::NotAllowed(_)) => (StatusCode::FORBIDDEN, "source_not_allowed"),
            Self::Admission(AdmissionError::Header(_)) => (StatusCode::UNAUTHORIZED, "unauthorized"),
            // or the provider's keys prove that none of them has signed it,
            Self::Token(error @ (VerifyError::Signature { .. } | VerifyError::Algorithm { .. })) => {
                (StatusCode::UNAUTHORIZED, error.code())
            }
            // or the user's own handler says so.
            Self::Handler(error) if error.is_permanent() => {
                (StatusCode::UNPROCESSABLE_ENTITY, "handler_refused")
            }
            Self::Buried => (StatusCode::UNPROCESSABLE_ENTITY, "handler_refused"),

            // Everything else is asked for again. The server or the proxy is set up wrongly,
            Self::Admission(AdmissionError::NoPeerAddress | AdmissionError::Forwarded { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "source_unknown")
            }
            // the body may come in time the next time,
            Self::Incomplete => (StatusCode::SERVICE_UNAVAILABLE, "body_incomplete"),
            // the key may be published by then,
            Self::KeysUnavailable { .. } | Self::KeysTooSlow(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable")
            }
            // a setting or a clock may be corrected by then,
            Self::Token(
                error @ (VerifyError::UnknownKey { .. } | VerifyError::Claims(_) | VerifyError::Mismatch(_)),
            ) => (StatusCode::SERVICE_UNAVAILABLE, error.code()),
            // or what happens here may work.
            Self::Handler(_) | Self::NoHandlers => (StatusCode::SERVICE_UNAVAILABLE, "handler_failed"),
            Self::Unreadable(_) => (StatusCode::SERVICE_UNAVAILABLE, "event_unreadable"),
            Self::InProgress => (StatusCode::SERVICE_UNAVAILABLE, "in_progress"),
            Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            Self::Deadline(_) => (StatusCode::SERVICE_UNAVAILABLE, "deadline_exceeded"),
        }
    }
}

fn problem(status: StatusCode, code: &str) -> Bytes {
    let title = status.canonical_reason().unwrap_or_default();
    let number = status.as_u16();
    format!(r#"{{"type":"about:blank","title":"{title}","status":{number},"code":"{code}"}}"#).into()
}
