use axum::Router;
use axum::routing::post;
use idnow_webhooks::axum::Verified;
use idnow_webhooks::event::{Event, SessionCompleted};

async fn completed(Verified(event): Verified<Event<SessionCompleted>>) -> String {
    event.payload.session_id.to_string()
}

fn app() -> Router {
    Router::new().route("/webhooks/idnow", post(completed)).with_state(())
}

fn main() {}
