use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::http::Api;
use crate::http::input::{Body, Everything, Listed, Part, Path};
use crate::http::output::Created;
use crate::http::problem::Problem;
use crate::model::{Flow, NewFlow, Page};

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default().routes(routes!(list_flows, create_flow)).routes(routes!(read_flow, delete_flow))
}

/// Lists flows, newest first.
#[utoipa::path(
    get, path = "/flows", tag = "flows",
    params(Part),
    responses((status = 200, description = "Some of them.", body = Page<Flow>)),
)]
async fn list_flows(
    State(api): State<Arc<Api>>,
    Listed(Everything {}, page): Listed<Everything>,
) -> Result<Json<Page<Flow>>, Problem> {
    Ok(Json(api.sandbox.flows(page).await?))
}

/// Makes a flow.
#[utoipa::path(
    post, path = "/flows", tag = "flows", request_body = NewFlow,
    responses(
        (
            status = 201, description = "It is made.", body = Flow,
            headers(("Location" = String, description = "Its path.")),
        ),
    ),
)]
async fn create_flow(
    State(api): State<Arc<Api>>,
    Body(new): Body<NewFlow>,
) -> Result<Created<Flow>, Problem> {
    let value = api.sandbox.create_flow(new).await?;
    Ok(Created { location: format!("/manage/v1/flows/{}", value.id), value })
}

/// Reads a flow.
#[utoipa::path(
    get, path = "/flows/{id}", tag = "flows",
    params(("id" = Uuid, Path, description = "The flow.")),
    responses((status = 200, description = "The flow.", body = Flow)),
)]
async fn read_flow(State(api): State<Arc<Api>>, Path(id): Path<Uuid>) -> Result<Json<Flow>, Problem> {
    Ok(Json(api.sandbox.flow(id).await?))
}

/// Deletes a flow that has no endpoints.
#[utoipa::path(
    delete, path = "/flows/{id}", tag = "flows",
    params(("id" = Uuid, Path, description = "The flow.")),
    responses(
        (status = 204, description = "It is gone."),
        (
            status = 409, description = "`conflict`: it has endpoints.", body = Problem,
            content_type = "application/problem+json",
        ),
    ),
)]
async fn delete_flow(State(api): State<Arc<Api>>, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    api.sandbox.delete_flow(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
