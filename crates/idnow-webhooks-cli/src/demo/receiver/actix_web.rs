use std::io;
use std::net::TcpListener;

use actix_web::{App, HttpServer};
use idnow_webhooks::Receiver;
use idnow_webhooks::actix_web::Webhook;

use super::Stop;

pub(super) async fn serve(
    listener: TcpListener,
    receiver: Receiver,
    path: &str,
    stop: Stop,
) -> io::Result<()> {
    let webhook = Webhook::new(receiver).at(path);
    let server = HttpServer::new(move || App::new().wrap(webhook.clone()));
    let server = server.workers(1).disable_signals().listen(listener)?.run();
    let handle = server.handle();
    let serving = tokio::spawn(server);
    stop.asked().await;
    // Not gracefully: it would wait for connections that are only kept.
    handle.stop(false).await;
    serving.await.map_err(io::Error::other)?
}
