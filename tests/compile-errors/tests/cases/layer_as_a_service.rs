use axum::Router;
use idnow_webhooks::Receiver;
use idnow_webhooks::axum::WebhookLayer;

fn app(receiver: Receiver) -> Router {
    Router::new().route_service("/webhooks/idnow", WebhookLayer::new(receiver, "/webhooks/idnow"))
}

fn main() {}
