//! The provider's session API, for receivers that fetch the details of a session.

mod details;

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use self::details::{PageDetails, SessionDetails, SessionDetailsList};
use super::Api;
use super::authorization::bearer;
use super::input::{Path, Query};
use super::problem::{Code, Problem};
use crate::error::Error;
use crate::model::SessionFilter;

/// Its paths, with `/api` in front and, as older versions have them, without: both are documented.
pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    let mut older = unprefixed();
    for item in older.get_openapi_mut().paths.paths.values_mut() {
        // All operations read.
        if let Some(operation) = &mut item.get {
            for (text, end) in [
                (&mut operation.operation_id, "_unprefixed"),
                (&mut operation.summary, " This is the path of older versions."),
            ] {
                text.get_or_insert_default().push_str(end);
            }
        }
    }
    OpenApiRouter::default().nest("/api", unprefixed()).merge(older)
}

fn unprefixed() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default().routes(routes!(read_session_details)).routes(routes!(list_session_details))
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
    get, path = "/v1/{environment}/sessions/{sessionId}", tag = "provider",
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

/// Lists the sessions of a flow, newest first.
#[utoipa::path(
    get, path = "/v1/flows/{flowId}/{environment}/sessions", tag = "provider",
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
