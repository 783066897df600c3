use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::http::Api;
use crate::http::input::{Listed, Part, Path};
use crate::http::problem::Problem;
use crate::model::{Event, Page};

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default().routes(routes!(list_events)).routes(routes!(read_event))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    /// Of this session.
    session_id: Option<Uuid>,
}

/// Lists events, newest first.
#[utoipa::path(
    get, path = "/events", tag = "events",
    params(Wanted, Part),
    responses((status = 200, description = "Some of them.", body = Page<Event>)),
)]
async fn list_events(
    State(api): State<Arc<Api>>,
    Listed(wanted, page): Listed<Wanted>,
) -> Result<Json<Page<Event>>, Problem> {
    Ok(Json(api.sandbox.events(wanted.session_id, page).await?))
}

/// Reads an event.
#[utoipa::path(
    get, path = "/events/{id}", tag = "events",
    params(("id" = Uuid, Path, description = "The event.")),
    responses((status = 200, description = "The event.", body = Event)),
)]
async fn read_event(State(api): State<Arc<Api>>, Path(id): Path<Uuid>) -> Result<Json<Event>, Problem> {
    Ok(Json(api.sandbox.event(id).await?))
}
