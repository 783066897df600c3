use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt as _, stream};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::Api;
use crate::live::Change;

/// How often a comment is sent when nothing changes, so that both sides notice a broken connection.
const PULSE: Duration = Duration::from_secs(15);

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default().routes(routes!(follow_changes))
}

/// Follows what changes, as server-sent events.
///
/// The data of each event is a change as JSON (schema `Change`); it tells what has changed, not how. After `missed`
/// a client must read everything anew.
#[utoipa::path(
    get, path = "/changes", tag = "changes",
    responses(
        (
            status = 200, description = "Changes from now on, until one side ends it.", body = String,
            content_type = "text/event-stream",
        ),
    ),
)]
async fn follow_changes(
    State(api): State<Arc<Api>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
    let changes = api.sandbox.changes();
    let changes = stream::unfold(changes, async |mut changes| Some((changes.next().await?, changes)));
    let events = changes.map(|change| Ok(event(&change)));
    // So that a client sees at once that it listens.
    let ready = stream::once(async { Ok(Event::default().comment("listening")) });
    Sse::new(ready.chain(events)).keep_alive(KeepAlive::new().interval(PULSE))
}

fn event(change: &Change) -> Event {
    // A few plain members: this cannot fail.
    Event::default().data(serde_json::to_string(change).unwrap_or_default())
}
