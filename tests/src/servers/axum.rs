use std::net::{SocketAddr, TcpListener};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use idnow_webhooks_core::Receiver;
use idnow_webhooks_tower::{WebhookLayer, WebhookService};

use crate::subject::{HEALTH, PATH};

pub(super) fn layered(receiver: Receiver) -> Router {
    application().layer(WebhookLayer::new(receiver, PATH))
}

pub(super) fn routed(receiver: Receiver) -> Router {
    application().route_service(PATH, WebhookService::new(receiver))
}

pub(super) async fn serve(listener: TcpListener, app: Router) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await.unwrap();
}

fn application() -> Router {
    Router::new().route(HEALTH, get(healthy).post(echo))
}

async fn healthy() -> impl IntoResponse {
    ([("x-app", "yes")], "healthy")
}

async fn echo(request: Request) -> Response {
    let seen = request.headers().get_all("x-mark").iter().count();
    Response::builder().header("x-seen", seen).body(Body::new(request.into_body())).unwrap()
}
