use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::Api;
use crate::http::problem::Problem;
use crate::model::Counts;

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default().routes(routes!(read_overview))
}

/// Counts everything.
#[utoipa::path(
    get, path = "/overview", tag = "overview",
    responses((status = 200, description = "How much there is.", body = Counts)),
)]
async fn read_overview(State(api): State<Arc<Api>>) -> Result<Json<Counts>, Problem> {
    Ok(Json(api.sandbox.counts().await?))
}
