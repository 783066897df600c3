use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::http::Api;
use crate::http::input::{Body, Listed, Part, Path};
use crate::http::output::{Created, NoFlow, Retriggered};
use crate::http::problem::Problem;
use crate::model::{Endpoint, EndpointChange, NewEndpoint, Page};

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default()
        .routes(routes!(list_endpoints, create_endpoint))
        .routes(routes!(read_endpoint, change_endpoint, delete_endpoint))
        .routes(routes!(retrigger_endpoint))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    /// Of this flow.
    flow_id: Option<Uuid>,
    /// In this environment.
    environment: Option<String>,
}

/// Lists endpoints, newest first.
#[utoipa::path(
    get, path = "/endpoints", tag = "endpoints",
    params(Wanted, Part),
    responses((status = 200, description = "Some of them.", body = Page<Endpoint>)),
)]
async fn list_endpoints(
    State(api): State<Arc<Api>>,
    Listed(wanted, page): Listed<Wanted>,
) -> Result<Json<Page<Endpoint>>, Problem> {
    Ok(Json(api.sandbox.endpoints(wanted.flow_id, wanted.environment.as_deref(), page).await?))
}

/// Makes an endpoint.
#[utoipa::path(
    post, path = "/endpoints", tag = "endpoints", request_body = NewEndpoint,
    responses(
        (
            status = 201, description = "It is made.", body = Endpoint,
            headers(("Location" = String, description = "Its path.")),
        ),
        NoFlow,
    ),
)]
async fn create_endpoint(
    State(api): State<Arc<Api>>,
    Body(new): Body<NewEndpoint>,
) -> Result<Created<Endpoint>, Problem> {
    let value = api.sandbox.create_endpoint(new).await?;
    Ok(Created { location: format!("/manage/v1/endpoints/{}", value.id), value })
}

/// Reads an endpoint.
#[utoipa::path(
    get, path = "/endpoints/{id}", tag = "endpoints",
    params(("id" = Uuid, Path, description = "The endpoint.")),
    responses(
        (status = 200, description = "The endpoint. Values of headers are masked.", body = Endpoint),
    ),
)]
async fn read_endpoint(State(api): State<Arc<Api>>, Path(id): Path<Uuid>) -> Result<Json<Endpoint>, Problem> {
    Ok(Json(api.sandbox.endpoint(id).await?))
}

/// Changes an endpoint.
///
/// What is left out stays. The next attempt of each delivery obeys the change.
#[utoipa::path(
    patch, path = "/endpoints/{id}", tag = "endpoints", request_body = EndpointChange,
    params(("id" = Uuid, Path, description = "The endpoint.")),
    responses((status = 200, description = "As it is now.", body = Endpoint)),
)]
async fn change_endpoint(
    State(api): State<Arc<Api>>,
    Path(id): Path<Uuid>,
    Body(change): Body<EndpointChange>,
) -> Result<Json<Endpoint>, Problem> {
    Ok(Json(api.sandbox.change_endpoint(id, change).await?))
}

/// Deletes an endpoint.
///
/// Its deliveries that are not finished end as `endpoint_deleted`. The history stays.
#[utoipa::path(
    delete, path = "/endpoints/{id}", tag = "endpoints",
    params(("id" = Uuid, Path, description = "The endpoint.")),
    responses((status = 204, description = "It is gone.")),
)]
async fn delete_endpoint(State(api): State<Arc<Api>>, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    api.sandbox.delete_endpoint(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends all dead letters of an endpoint again.
#[utoipa::path(
    post, path = "/endpoints/{id}/retrigger", tag = "endpoints",
    params(("id" = Uuid, Path, description = "The endpoint.")),
    responses((status = 200, description = "They wait for their next attempt.", body = Retriggered)),
)]
async fn retrigger_endpoint(
    State(api): State<Arc<Api>>,
    Path(id): Path<Uuid>,
) -> Result<Json<Retriggered>, Problem> {
    Ok(Json(Retriggered { retriggered: api.sandbox.retrigger_endpoint(id).await? }))
}
