use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::Api;
use crate::http::input::Body;
use crate::http::problem::Problem;
use crate::trigger::{Trigger, Triggered};

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default().routes(routes!(trigger_event))
}

/// Signs one event and sends it, once, to any URL.
///
/// Nothing is stored: there are no retries, and no session. The answer comes when the receiver has answered, or has not
/// in time.
#[utoipa::path(post, path = "/triggers", tag = "triggers", request_body = Trigger, responses(
    (status = 200, description = "What came of it. Whether it was delivered is told by `delivered`.", body = Triggered),
))]
async fn trigger_event(
    State(api): State<Arc<Api>>,
    Body(trigger): Body<Trigger>,
) -> Result<Json<Triggered>, Problem> {
    Ok(Json(api.sandbox.trigger(trigger).await?))
}
