use axum::Router;
use idnow_webhooks::Receiver;
use idnow_webhooks::axum::WebhookService;

fn app(receiver: Receiver) -> Router {
    Router::new().layer(WebhookService::new(receiver))
}

fn main() {}
