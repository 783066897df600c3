//! Answers of the management API.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::LOCATION;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;

/// 201, with where the new thing is found.
pub(crate) struct Created<T> {
    pub(crate) location: String,
    pub(crate) value: T,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, [(LOCATION, self.location)], Json(self.value)).into_response()
    }
}

/// What else making something is answered with, if it belongs to a flow.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "for the document")]
pub(crate) enum NoFlow {
    /// `not_found`: there is no such flow.
    #[response(status = 404, content_type = "application/problem+json")]
    Missing(#[to_schema] Problem),
}

/// How many deliveries are on their way again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Retriggered {
    /// Deliveries.
    pub(crate) retriggered: u64,
}
