use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::Api;
use crate::http::input::Path;
use crate::http::output::Created;
use crate::http::problem::Problem;
use crate::model::Key;

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default()
        .routes(routes!(list_keys))
        .routes(routes!(rotate_keys))
        .routes(routes!(retire_key))
}

/// Lists all keys, the oldest first.
#[utoipa::path(
    get, path = "/keys", tag = "keys",
    responses((status = 200, description = "All of them.", body = Vec<Key>)),
)]
async fn list_keys(State(api): State<Arc<Api>>) -> Result<Json<Vec<Key>>, Problem> {
    Ok(Json(api.sandbox.keys().await?))
}

/// Makes a new key, which signs from now on.
///
/// The one before stays published until it is retired.
#[utoipa::path(
    post, path = "/keys/rotate", tag = "keys",
    responses(
        (
            status = 201, description = "The new key.", body = Key,
            headers(("Location" = String, description = "Where keys are listed.")),
        ),
        (
            status = 409, description = "`conflict`: 100 keys are published, retire old ones.", body = Problem,
            content_type = "application/problem+json",
        ),
    ),
)]
async fn rotate_keys(State(api): State<Arc<Api>>) -> Result<Created<Key>, Problem> {
    Ok(Created { location: "/manage/v1/keys".to_owned(), value: api.sandbox.rotate_keys().await? })
}

/// Takes a key that signs no more out of the key set.
#[utoipa::path(
    post, path = "/keys/{kid}/retire", tag = "keys",
    params(("kid" = String, Path, description = "The key.")),
    responses(
        (status = 200, description = "As it is now.", body = Key),
        (
            status = 409, description = "`conflict`: it is the key that signs.", body = Problem,
            content_type = "application/problem+json",
        ),
    ),
)]
async fn retire_key(State(api): State<Arc<Api>>, Path(kid): Path<String>) -> Result<Json<Key>, Problem> {
    Ok(Json(api.sandbox.retire_key(&kid).await?))
}
