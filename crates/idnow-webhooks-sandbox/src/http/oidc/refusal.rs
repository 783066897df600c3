//! Why there is no access token.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, PRAGMA, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

/// Why there is no access token (RFC 6749, section 5.2).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenError {
    /// What went wrong, for programs.
    error: TokenErrorCode,
    /// What went wrong, for people.
    error_description: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TokenErrorCode {
    InvalidRequest,
    InvalidClient,
    UnsupportedGrantType,
    TemporarilyUnavailable,
}

impl TokenError {
    pub(super) fn new(error: TokenErrorCode, description: &str) -> Self {
        Self { error, error_description: description.to_owned() }
    }
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let status = match self.error {
            TokenErrorCode::InvalidClient => StatusCode::UNAUTHORIZED,
            TokenErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut response = (status, UNSTORED, Json(self)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"sandbox\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Nothing that has to do with secrets is kept.
pub(super) const UNSTORED: [(HeaderName, &str); 2] = [(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")];

pub(super) fn invalid_request(description: &str) -> TokenError {
    TokenError::new(TokenErrorCode::InvalidRequest, description)
}
