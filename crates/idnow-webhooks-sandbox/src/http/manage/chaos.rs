use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::chaos::{Chaos, ChaosReport};
use crate::http::Api;
use crate::http::input::Body;
use crate::http::problem::Problem;

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default().routes(routes!(read_chaos, set_chaos, end_chaos))
}

/// Tells what goes wrong on purpose, and what has come of it.
///
/// Counts are those since it was set.
#[utoipa::path(
    get, path = "/chaos", tag = "chaos",
    responses((status = 200, description = "How it is.", body = ChaosReport)),
)]
async fn read_chaos(State(api): State<Arc<Api>>) -> Result<Json<ChaosReport>, Problem> {
    Ok(Json(api.sandbox.chaos().await?))
}

/// Sets what goes wrong on purpose, with attempts that begin from now on.
///
/// Faults that are not named do not happen. Counts begin anew. It ends with the process.
#[utoipa::path(
    put, path = "/chaos", tag = "chaos", request_body = Chaos,
    responses((status = 200, description = "How it is now.", body = ChaosReport)),
)]
async fn set_chaos(
    State(api): State<Arc<Api>>,
    Body(chaos): Body<Chaos>,
) -> Result<Json<ChaosReport>, Problem> {
    Ok(Json(api.sandbox.set_chaos(chaos).await?))
}

/// Lets nothing go wrong any more.
///
/// What is held by chaos is still held to its end. The counts stay.
#[utoipa::path(
    delete, path = "/chaos", tag = "chaos",
    responses((status = 204, description = "There is no chaos now.")),
)]
async fn end_chaos(State(api): State<Arc<Api>>) -> Result<StatusCode, Problem> {
    api.sandbox.set_chaos(None).await?;
    Ok(StatusCode::NO_CONTENT)
}
