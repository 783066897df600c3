use axum::Router;
use idnow_webhooks::Receiver;

fn app(receiver: Receiver) -> Router {
    Router::new().layer(receiver)
}

fn main() {}
