use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::http::Api;
use crate::http::input::{Body, Everything, Listed, Part, Path};
use crate::http::output::Retriggered;
use crate::http::problem::Problem;
use crate::model::{Attempt, Delivery, DeliveryFilter, DeliveryState, Page};

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default()
        .routes(routes!(list_deliveries))
        .routes(routes!(read_delivery))
        .routes(routes!(list_attempts))
        .routes(routes!(read_token))
        .routes(routes!(retrigger_delivery))
        .routes(routes!(retrigger_deliveries))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    /// To this endpoint.
    endpoint_id: Option<Uuid>,
    /// Of this event.
    event_id: Option<Uuid>,
    /// Of this session.
    session_id: Option<Uuid>,
    /// In this state. The dead letters are those that are `dead`.
    state: Option<DeliveryState>,
}

/// The token of an attempt, decoded.
#[derive(Debug, Serialize, ToSchema)]
struct DecodedToken {
    /// The JOSE header.
    header: serde_json::Value,
    /// What was signed: `data`, the event, and who made the token, for whom and when.
    claims: serde_json::Value,
}

/// Deliveries by their identifiers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    /// Which.
    #[schema(min_items = 1, max_items = 1000)]
    ids: Vec<i64>,
}

/// Lists deliveries, newest first.
#[utoipa::path(
    get, path = "/deliveries", tag = "deliveries",
    params(Wanted, Part),
    responses((status = 200, description = "Some of them.", body = Page<Delivery>)),
)]
async fn list_deliveries(
    State(api): State<Arc<Api>>,
    Listed(wanted, page): Listed<Wanted>,
) -> Result<Json<Page<Delivery>>, Problem> {
    let Wanted { endpoint_id, event_id, session_id, state } = wanted;
    let filter = DeliveryFilter { endpoint_id, event_id, session_id, state };
    Ok(Json(api.sandbox.deliveries(filter, page).await?))
}

/// Reads a delivery.
#[utoipa::path(
    get, path = "/deliveries/{id}", tag = "deliveries",
    params(("id" = i64, Path, description = "The delivery.")),
    responses((status = 200, description = "The delivery.", body = Delivery)),
)]
async fn read_delivery(State(api): State<Arc<Api>>, Path(id): Path<i64>) -> Result<Json<Delivery>, Problem> {
    Ok(Json(api.sandbox.delivery(id).await?))
}

/// Lists the attempts of a delivery, the last one first.
#[utoipa::path(
    get, path = "/deliveries/{id}/attempts", tag = "deliveries",
    params(("id" = i64, Path, description = "The delivery."), Part),
    responses((status = 200, description = "Some of them.", body = Page<Attempt>)),
)]
async fn list_attempts(
    State(api): State<Arc<Api>>,
    Path(id): Path<i64>,
    Listed(Everything {}, page): Listed<Everything>,
) -> Result<Json<Page<Attempt>>, Problem> {
    Ok(Json(api.sandbox.attempts(id, page).await?))
}

/// Reads the token that an attempt sent.
#[utoipa::path(
    get, path = "/deliveries/{id}/attempts/{number}/token", tag = "deliveries",
    params(
        ("id" = i64, Path, description = "The delivery."),
        ("number" = u32, Path, description = "The attempt, counted from 1."),
    ),
    responses((status = 200, description = "The token, decoded.", body = DecodedToken)),
)]
async fn read_token(
    State(api): State<Arc<Api>>,
    Path((id, number)): Path<(i64, u32)>,
) -> Result<Json<DecodedToken>, Problem> {
    let header = api.sandbox.token_header(id, number).await?;
    let claims = api.sandbox.claims(id, number).await?;
    Ok(Json(DecodedToken { header, claims }))
}

/// Sends a dead letter again.
#[utoipa::path(
    post, path = "/deliveries/{id}/retrigger", tag = "deliveries",
    params(("id" = i64, Path, description = "The delivery.")),
    responses(
        (status = 200, description = "It waits for its next attempt.", body = Delivery),
        (
            status = 409, description = "`conflict`: it is not dead.", body = Problem,
            content_type = "application/problem+json",
        ),
    ),
)]
async fn retrigger_delivery(
    State(api): State<Arc<Api>>,
    Path(id): Path<i64>,
) -> Result<Json<Delivery>, Problem> {
    Ok(Json(api.sandbox.retrigger(id).await?))
}

/// Sends several dead letters again.
///
/// Those that are not dead, or not there, are left out.
#[utoipa::path(
    post, path = "/deliveries/retrigger", tag = "deliveries", request_body = Named,
    responses((status = 200, description = "They wait for their next attempt.", body = Retriggered)),
)]
async fn retrigger_deliveries(
    State(api): State<Arc<Api>>,
    Body(named): Body<Named>,
) -> Result<Json<Retriggered>, Problem> {
    Ok(Json(Retriggered { retriggered: api.sandbox.retrigger_many(&named.ids).await? }))
}
