//! Every refusal of the management API is a `application/problem+json` (RFC 9457) with a stable code.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;

/// The longest `detail`, in characters: it may quote what the request said.
const LONGEST_DETAIL: usize = 500;

/// Why a request was refused (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: what went wrong is told by `code`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The same for every problem of this code.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What went wrong, for programs. Codes do not change.
    code: Code,
    /// What went wrong this time and what to do, for people.
    detail: String,
    /// The input that is wrong: a member of the body (`headers[0].name`), a parameter of the query or the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<String>,
    /// For the header.
    #[serde(skip)]
    retry_after: Option<Duration>,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    /// The body is not JSON.
    MalformedJson,
    /// A value is missing, unknown, of the wrong type or not allowed: `field` names it.
    InvalidInput,
    /// The access token is missing or wrong.
    Unauthorized,
    /// The request did not name this machine: it may come from a page that rebinds its name to it.
    HostNotAllowed,
    /// The request was made by a page of another site.
    CrossSite,
    /// There were too many wrong access tokens.
    TooManyAttempts,
    /// Too many follow what changes.
    TooManyListeners,
    /// There is no such path.
    UnknownPath,
    /// There is no such thing.
    NotFound,
    /// The path does not have this method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The state of things does not allow it.
    Conflict,
    /// The body is too large.
    BodyTooLarge,
    /// The body is not `application/json`.
    UnsupportedMediaType,
    /// The sandbox cannot do it now.
    Unavailable,
}

impl Code {
    /// The status and the title: the one table.
    fn row(self) -> (StatusCode, &'static str) {
        match self {
            Self::MalformedJson => (StatusCode::BAD_REQUEST, "The body is not JSON"),
            Self::InvalidInput => (StatusCode::BAD_REQUEST, "The input is not valid"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "The access token is missing or wrong"),
            Self::HostNotAllowed => (StatusCode::FORBIDDEN, "The request names another host"),
            Self::CrossSite => (StatusCode::FORBIDDEN, "The request comes from another site"),
            Self::TooManyAttempts => {
                (StatusCode::TOO_MANY_REQUESTS, "There were too many wrong access tokens")
            }
            Self::TooManyListeners => (StatusCode::SERVICE_UNAVAILABLE, "Too many follow what changes"),
            Self::UnknownPath => (StatusCode::NOT_FOUND, "There is no such path"),
            Self::NotFound => (StatusCode::NOT_FOUND, "There is no such thing"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "The path does not have this method"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time"),
            Self::Conflict => (StatusCode::CONFLICT, "The state of things does not allow it"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is of another type"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "The sandbox cannot do it now"),
        }
    }
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let (status, title) = code.row();
        let mut detail = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(LONGEST_DETAIL) {
            detail.truncate(end);
            detail.push('…');
        }
        Self {
            kind: "about:blank",
            title,
            status: status.as_u16(),
            code,
            detail,
            field: None,
            retry_after: None,
        }
    }

    pub(crate) fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidInput, detail).at(field)
    }

    pub(crate) fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// When it is worth another try.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The status, and what went wrong: in general, and this time.
    pub(crate) fn told(&self) -> (StatusCode, &'static str, &str) {
        (self.code.row().0, self.title, &self.detail)
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    #[cfg(test)]
    pub(crate) fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NotFound { .. } => Self::new(Code::NotFound, detail),
            Error::Invalid { field, reason } => Self::invalid(field, reason),
            Error::Conflict { .. } => Self::new(Code::Conflict, detail),
            Error::Unavailable(_) => {
                tracing::error!(target: "idnow_webhooks::sandbox", error = %detail, "the sandbox cannot answer");
                Self::new(Code::Unavailable, detail)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, _) = self.code.row();
        // Texts and a number: this cannot fail, and an empty body would still be the right answer.
        let mut response = Response::new(Body::from(serde_json::to_vec(&self).unwrap_or_default()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.code == Code::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            // Rounded up: a client that comes at once would come too early.
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use http::HeaderMap;
    use serde_json::Value;

    use super::*;

    const ALL: [Code; 15] = [
        Code::TooManyAttempts,
        Code::TooManyListeners,
        Code::MalformedJson,
        Code::InvalidInput,
        Code::Unauthorized,
        Code::HostNotAllowed,
        Code::CrossSite,
        Code::UnknownPath,
        Code::NotFound,
        Code::MethodNotAllowed,
        Code::RequestTimeout,
        Code::Conflict,
        Code::BodyTooLarge,
        Code::UnsupportedMediaType,
        Code::Unavailable,
    ];

    async fn answered(problem: Problem) -> (StatusCode, HeaderMap, Value) {
        let (parts, body) = problem.into_response().into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, parts.headers, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn every_problem_is_as_documented() {
        let document = serde_json::to_value(crate::http::document()).unwrap();
        let components = &document["components"];
        let schema = serde_json::json!({ "$ref": "#/components/schemas/Problem", "components": components });
        let schema = jsonschema::validator_for(&schema).unwrap();
        let documented = components["schemas"]["Code"]["enum"].as_array().unwrap();
        assert_eq!(documented.len(), ALL.len());
        for code in ALL {
            for problem in [Problem::new(code, "why"), Problem::new(code, "why").at("where")] {
                let field = problem.field().map(str::to_owned);
                let (status, headers, body) = answered(problem).await;
                assert!(schema.is_valid(&body), "{body}");
                assert_eq!(body["status"], status.as_u16(), "{body}");
                assert_eq!(body["field"].as_str(), field.as_deref());
                assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
                assert_eq!(headers[CACHE_CONTROL], "no-store");
                assert_eq!(headers.contains_key(WWW_AUTHENTICATE), status == 401);
            }
        }
    }

    #[tokio::test]
    async fn what_the_sandbox_refuses_has_its_code() {
        for (error, status, code, field) in [
            (Error::not_found("flow", 1), 404, "not_found", None),
            (Error::invalid("url", "no"), 400, "invalid_input", Some("url")),
            (Error::conflict("no"), 409, "conflict", None),
            (Error::unavailable("the disk is full"), 503, "unavailable", None),
        ] {
            let (found, _, body) = answered(error.into()).await;
            assert_eq!(
                (found.as_u16(), body["code"].as_str(), body["field"].as_str()),
                (status, Some(code), field)
            );
        }
    }

    #[test]
    fn what_a_request_said_is_not_repeated_without_bound() {
        let problem = Problem::new(Code::InvalidInput, "ü".repeat(10_000));
        assert_eq!(problem.detail.chars().count(), LONGEST_DETAIL + 1);
    }
}
