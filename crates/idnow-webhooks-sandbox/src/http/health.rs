use std::sync::Arc;

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default().routes(routes!(read_health))
}

/// That the sandbox is ready.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `ready`.
    status: &'static str,
}

/// Tells that the sandbox is ready, whoever asks. While it starts, and once its database has failed, nobody answers.
#[utoipa::path(
    get, path = "/health", tag = "health",
    responses((status = 200, description = "It is ready.", body = Health)),
)]
async fn read_health() -> Json<Health> {
    Json(Health { status: "ready" })
}
