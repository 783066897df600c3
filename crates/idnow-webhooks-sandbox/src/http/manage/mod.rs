//! The management API.

mod changes;
mod chaos;
mod deliveries;
mod endpoints;
mod events;
mod flows;
mod keys;
mod overview;
mod scenarios;
mod sessions;
mod trigger;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

use super::Api;

pub(super) use changes::LISTENERS;

/// Its paths, below [`PREFIX`].
pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    let routes = [
        changes::router(),
        chaos::router(),
        deliveries::router(),
        endpoints::router(),
        events::router(),
        flows::router(),
        keys::router(),
        overview::router(),
        scenarios::router(),
        sessions::router(),
        trigger::router(),
    ];
    let all = routes.into_iter().fold(OpenApiRouter::default(), OpenApiRouter::merge);
    OpenApiRouter::default().nest(PREFIX, all)
}

/// Where the management API begins.
pub(super) const PREFIX: &str = "/manage/v1";
