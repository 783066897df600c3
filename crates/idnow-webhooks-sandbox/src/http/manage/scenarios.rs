use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::http::Api;
use crate::http::input::Body;
use crate::http::output::{Created, NoFlow};
use crate::http::problem::Problem;
use crate::model::Scenario;

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default().routes(routes!(play_scenario))
}

/// What a scenario has made.
#[derive(Debug, Serialize, ToSchema)]
struct Played {
    /// Its sessions.
    sessions: Vec<Uuid>,
}

/// Runs sessions from their beginning to their end.
#[utoipa::path(
    post, path = "/scenarios", tag = "scenarios", request_body = Scenario,
    responses(
        (
            status = 201, description = "They have run; their events are on the way.", body = Played,
            headers(("Location" = String, description = "Where sessions are listed.")),
        ),
        NoFlow,
    ),
)]
async fn play_scenario(
    State(api): State<Arc<Api>>,
    Body(scenario): Body<Scenario>,
) -> Result<Created<Played>, Problem> {
    let location = "/manage/v1/sessions".to_owned();
    Ok(Created { location, value: Played { sessions: api.sandbox.play(scenario).await? } })
}
