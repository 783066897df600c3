//! The provider's session API, for receivers that fetch the details of a session.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::authorization::bearer;
use super::input::{Path, Query};
use super::problem::{Code, Problem};
use crate::error::Error;
use crate::model::{LastStep, Outcome, Session, SessionFilter, SessionStatus};

/// Its paths, with and without `/api` in front: both are documented.
pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default()
        .routes(routes!(read_session_details))
        .routes(routes!(read_session_details_unprefixed))
        .routes(routes!(list_session_details))
        .routes(routes!(list_session_details_unprefixed))
}

/// Lets holders of an access token in.
pub(super) async fn authorized(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let known =
        bearer(request.headers()).is_some_and(|token| api.access_tokens.accepts(token, Instant::now()));
    if known {
        return next.run(request).await;
    }
    Problem::new(
        Code::Unauthorized,
        "send an access token from /oidc/token, as `Authorization: Bearer <token>`; it is valid for a day, and not \
         after the sandbox has stopped",
    )
    .into_response()
}

/// A session, as the provider shows it to receivers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SessionDetails {
    /// Its identifier.
    session_id: Uuid,
    /// Where it is.
    session_status: SessionStatus,
    /// The flow that it runs through.
    flow_id: Uuid,
    /// Always 1: flows of the sandbox do not change.
    flow_version: u32,
    /// Its environment.
    environment: String,
    /// How it ended.
    outcome: FinalOutcome,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When the person began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    started_at: Option<DateTime<Utc>>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
    /// When it ended, however it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    completed_at: Option<DateTime<Utc>>,
    /// When it expires, if it has not ended by then.
    expires_at: DateTime<Utc>,
    /// The last step that ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last_step: Option<LastStep>,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
enum FinalOutcome {
    #[serde(rename = "accepted")]
    Accepted,
    #[serde(rename = "rejected")]
    Rejected,
    #[serde(rename = "NO_OUTCOME")]
    None,
}

impl From<Session> for SessionDetails {
    fn from(session: Session) -> Self {
        Self {
            session_id: session.id,
            session_status: session.status,
            flow_id: session.flow_id,
            flow_version: 1,
            environment: session.environment,
            outcome: match session.outcome {
                Some(Outcome::Accepted) => FinalOutcome::Accepted,
                Some(Outcome::Rejected) => FinalOutcome::Rejected,
                None => FinalOutcome::None,
            },
            created_at: session.created_at,
            started_at: session.started_at,
            updated_at: session.updated_at,
            completed_at: session.completed_at,
            expires_at: session.expires_at,
            last_step: session.last_step,
        }
    }
}

/// Some sessions of a flow.
#[derive(Debug, Serialize, ToSchema)]
struct SessionDetailsList {
    /// Newest first.
    content: Vec<SessionDetails>,
    /// Which part of the list it is.
    page: PageDetails,
}

/// Which part of a list it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PageDetails {
    /// How many a page has at most.
    size: u16,
    /// Counted from 0.
    number: u32,
    /// How many sessions there are.
    total_elements: u64,
    /// How many pages there are.
    total_pages: u64,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Which page, counted from 0.
    #[serde(default)]
    #[param(default = 0)]
    page: u32,
    /// How many sessions a page has at most.
    #[serde(default = "usual_size")]
    #[param(minimum = 1, maximum = 500, default = 20)]
    size: u16,
}

fn usual_size() -> u16 {
    20
}

/// Reads a session.
#[utoipa::path(
    get, path = "/api/v1/{environment}/sessions/{sessionId}", tag = "provider",
    params(
        ("environment" = String, Path, description = "Its environment."),
        ("sessionId" = Uuid, Path, description = "The session."),
    ),
    responses((status = 200, description = "The session.", body = SessionDetails)),
)]
async fn read_session_details(
    State(api): State<Arc<Api>>,
    Path((environment, id)): Path<(String, Uuid)>,
) -> Result<Json<SessionDetails>, Problem> {
    let session = api.sandbox.session(id).await?;
    if session.environment != environment {
        return Err(Error::not_found("session", id).into());
    }
    Ok(Json(session.into()))
}

/// Reads a session, by the path of older versions.
#[utoipa::path(
    get, path = "/v1/{environment}/sessions/{sessionId}", tag = "provider",
    params(
        ("environment" = String, Path, description = "Its environment."),
        ("sessionId" = Uuid, Path, description = "The session."),
    ),
    responses((status = 200, description = "The session.", body = SessionDetails)),
)]
async fn read_session_details_unprefixed(
    state: State<Arc<Api>>,
    path: Path<(String, Uuid)>,
) -> Result<Json<SessionDetails>, Problem> {
    read_session_details(state, path).await
}

/// Lists the sessions of a flow, newest first.
#[utoipa::path(
    get, path = "/api/v1/flows/{flowId}/{environment}/sessions", tag = "provider",
    params(
        ("flowId" = Uuid, Path, description = "The flow."),
        ("environment" = String, Path, description = "The environment."),
        Wanted,
    ),
    responses((status = 200, description = "A page of them.", body = SessionDetailsList)),
)]
async fn list_session_details(
    State(api): State<Arc<Api>>,
    Path((flow, environment)): Path<(Uuid, String)>,
    Query(Wanted { page, size }): Query<Wanted>,
) -> Result<Json<SessionDetailsList>, Problem> {
    if !(1..=500).contains(&size) {
        return Err(Problem::invalid("size", "must be 1 to 500"));
    }
    let flow = api.sandbox.flow(flow).await?;
    let filter = SessionFilter { flow_id: Some(flow.id), environment: Some(environment), status: None };
    let offset = u64::from(page) * u64::from(size);
    let (sessions, total) = api.sandbox.sessions_at(filter, offset, size).await?;
    let content = sessions.into_iter().map(SessionDetails::from).collect();
    let page = PageDetails {
        size,
        number: page,
        total_elements: total,
        total_pages: total.div_ceil(u64::from(size)),
    };
    Ok(Json(SessionDetailsList { content, page }))
}

/// Lists the sessions of a flow, newest first, by the path of older versions.
#[utoipa::path(
    get, path = "/v1/flows/{flowId}/{environment}/sessions", tag = "provider",
    params(
        ("flowId" = Uuid, Path, description = "The flow."),
        ("environment" = String, Path, description = "The environment."),
        Wanted,
    ),
    responses((status = 200, description = "A page of them.", body = SessionDetailsList)),
)]
async fn list_session_details_unprefixed(
    state: State<Arc<Api>>,
    path: Path<(Uuid, String)>,
    query: Query<Wanted>,
) -> Result<Json<SessionDetailsList>, Problem> {
    list_session_details(state, path, query).await
}
