use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt as _, stream};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::Api;
use crate::http::problem::{Code, Problem};
use crate::live::Change;

/// How often a comment is sent when nothing changes, so that both sides notice a broken connection.
const PULSE: Duration = Duration::from_secs(15);
/// How many may listen at once. Each keeps a connection for as long as it likes: without a limit, forgotten pages could use
/// up those that receivers need.
pub(in crate::http) const LISTENERS: usize = 64;
/// When it is worth another try.
const RETRY: Duration = Duration::from_secs(9);

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default().routes(routes!(follow_changes))
}

/// Follows what changes, as server-sent events.
///
/// The data of each event is a change as JSON (schema `Change`); it tells what has changed, not how. After `missed`
/// a client must read everything anew. At most 64 can listen at once.
#[utoipa::path(
    get, path = "/changes", tag = "changes",
    responses(
        (
            status = 200, description = "Changes from now on, until one side ends it.", body = String,
            content_type = "text/event-stream",
        ),
        (
            status = 503, description = "`too_many_listeners` or `unavailable`", body = Problem,
            content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "When it is worth another try, in seconds.")),
        ),
    ),
)]
async fn follow_changes(
    State(api): State<Arc<Api>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>, Problem> {
    let place = Arc::clone(&api.listeners).try_acquire_owned().map_err(|_| {
        let detail = format!("{LISTENERS} listen already: close a page or a program that does");
        Problem::new(Code::TooManyListeners, detail).retry_after(RETRY)
    })?;
    // The place is taken for as long as the stream lasts.
    let changes = stream::unfold((api.sandbox.changes(), place), async |(mut changes, place)| {
        Some((changes.next().await?, (changes, place)))
    });
    let events = changes.map(|change| Ok(event(&change)));
    // So that a client sees at once that it listens.
    let ready = stream::once(async { Ok(Event::default().comment("listening")) });
    Ok(Sse::new(ready.chain(events)).keep_alive(KeepAlive::new().interval(PULSE)))
}

fn event(change: &Change) -> Event {
    // A few plain members: this cannot fail.
    Event::default().data(serde_json::to_string(change).unwrap_or_default())
}
