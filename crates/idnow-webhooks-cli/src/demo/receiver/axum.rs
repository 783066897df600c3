use std::io;
use std::net::{SocketAddr, TcpListener};

use axum::extract::Request;
use axum::{Router, ServiceExt};
use idnow_webhooks::Receiver;
use idnow_webhooks::axum::WebhookLayer;
use tower_layer::Layer;

use super::Stop;

pub(super) async fn serve(
    listener: TcpListener,
    receiver: Receiver,
    path: &str,
    stop: Stop,
) -> io::Result<()> {
    let app = WebhookLayer::new(receiver, path).layer(Router::new());
    let app = ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(app);
    let listener = tokio::net::TcpListener::from_std(listener)?;
    axum::serve(listener, app).with_graceful_shutdown(stop.asked()).await
}
