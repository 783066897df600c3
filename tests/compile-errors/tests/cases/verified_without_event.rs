use axum::Router;
use axum::routing::post;
use idnow_webhooks::Receiver;
use idnow_webhooks::axum::Verified;
use idnow_webhooks::event::SessionCompleted;

async fn completed(Verified(payload): Verified<SessionCompleted>) -> String {
    payload.session_id.to_string()
}

fn app(receiver: Receiver) -> Router {
    Router::new().route("/webhooks/idnow", post(completed)).with_state(receiver)
}

fn main() {}
