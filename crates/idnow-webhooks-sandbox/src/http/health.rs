use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::problem::Problem;
use crate::database::check::Check;

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default().routes(routes!(read_health))
}

/// That the sandbox is ready.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `ready`.
    status: &'static str,
}

/// Tells whoever asks that the sandbox is ready: its database takes what is written. While it starts, nobody answers.
#[utoipa::path(
    get, path = "/health", tag = "health",
    responses(
        (status = 200, description = "It is ready.", body = Health),
        (
            status = 503, description = "`unavailable`: the database cannot be written to.", body = Problem,
            content_type = "application/problem+json",
        ),
    ),
)]
async fn read_health(State(api): State<Arc<Api>>) -> Result<Json<Health>, Problem> {
    api.sandbox.database().write(Check).await?;
    Ok(Json(Health { status: "ready" }))
}
