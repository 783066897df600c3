use axum::Router;
use axum::routing::post;
use idnow_webhooks::Receiver;
use idnow_webhooks::axum::WebhookLayer;

fn app(receiver: Receiver) -> Router {
    Router::new().route("/webhooks/idnow", post(WebhookLayer::new(receiver, "/webhooks/idnow")))
}

fn main() {}
