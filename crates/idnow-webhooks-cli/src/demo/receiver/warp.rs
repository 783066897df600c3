use std::io;
use std::net::TcpListener;

use idnow_webhooks::Receiver;
use idnow_webhooks::warp::webhook_at;

use super::Stop;

pub(super) async fn serve(
    listener: TcpListener,
    receiver: Receiver,
    path: &str,
    stop: Stop,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let server = warp::serve(webhook_at(receiver, path)).incoming(listener);
    server.graceful(stop.asked()).run().await;
    Ok(())
}
