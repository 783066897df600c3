use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::http::Api;
use crate::http::input::{Body, Listed, Part, Path};
use crate::http::output::{Created, NoFlow};
use crate::http::problem::Problem;
use crate::model::{NewSession, Page, Session, SessionFilter, SessionStatus, Step};

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default()
        .routes(routes!(list_sessions, create_session))
        .routes(routes!(read_session))
        .routes(routes!(drive_session))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    /// Of this flow.
    flow_id: Option<Uuid>,
    /// In this environment.
    environment: Option<String>,
    /// In this status.
    status: Option<SessionStatus>,
}

/// Lists sessions, newest first.
#[utoipa::path(
    get, path = "/sessions", tag = "sessions",
    params(Wanted, Part),
    responses((status = 200, description = "Some of them.", body = Page<Session>)),
)]
async fn list_sessions(
    State(api): State<Arc<Api>>,
    Listed(wanted, page): Listed<Wanted>,
) -> Result<Json<Page<Session>>, Problem> {
    let Wanted { flow_id, environment, status } = wanted;
    Ok(Json(api.sandbox.sessions(SessionFilter { flow_id, environment, status }, page).await?))
}

/// Creates a session: `session.created`.
#[utoipa::path(
    post, path = "/sessions", tag = "sessions", request_body = NewSession,
    responses(
        (
            status = 201, description = "It is made.", body = Session,
            headers(("Location" = String, description = "Its path.")),
        ),
        NoFlow,
    ),
)]
async fn create_session(
    State(api): State<Arc<Api>>,
    Body(new): Body<NewSession>,
) -> Result<Created<Session>, Problem> {
    let value = api.sandbox.create_session(new).await?;
    Ok(Created { location: format!("/manage/v1/sessions/{}", value.id), value })
}

/// Reads a session.
#[utoipa::path(
    get, path = "/sessions/{id}", tag = "sessions",
    params(("id" = Uuid, Path, description = "The session.")),
    responses((status = 200, description = "The session.", body = Session)),
)]
async fn read_session(State(api): State<Arc<Api>>, Path(id): Path<Uuid>) -> Result<Json<Session>, Problem> {
    Ok(Json(api.sandbox.session(id).await?))
}

/// Drives a session one step.
#[utoipa::path(
    post, path = "/sessions/{id}/steps", tag = "sessions", request_body = Step,
    params(("id" = Uuid, Path, description = "The session.")),
    responses(
        (status = 200, description = "As it is now.", body = Session),
        (
            status = 409, description = "`conflict`: it has ended, or has already begun.",
            body = Problem, content_type = "application/problem+json",
        ),
    ),
)]
async fn drive_session(
    State(api): State<Arc<Api>>,
    Path(id): Path<Uuid>,
    Body(step): Body<Step>,
) -> Result<Json<Session>, Problem> {
    Ok(Json(api.sandbox.drive(id, step).await?))
}
