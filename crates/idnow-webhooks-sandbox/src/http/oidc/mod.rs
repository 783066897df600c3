//! The provider's side of OpenID Connect: discovery, keys, and access tokens for the session API.

mod client;
mod published;
mod refusal;
mod token;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

use super::Api;

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    published::router().merge(token::router())
}
