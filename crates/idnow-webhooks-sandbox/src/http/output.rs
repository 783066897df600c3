//! Answers of the management API.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::LOCATION;
use serde::Serialize;
use utoipa::ToSchema;

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

/// How many deliveries are on their way again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Retriggered {
    /// Deliveries.
    pub(crate) retriggered: u64,
}
