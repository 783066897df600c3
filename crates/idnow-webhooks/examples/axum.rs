//! The program of the README; below these lines word for word.

use std::io::{Write, stdout};

use idnow_webhooks::axum::WebhookLayer;
use idnow_webhooks::event::{Event, SessionCompleted};
use idnow_webhooks::{EventRouter, Settings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::from_env()?;
    let handlers = EventRouter::new().on(|event: Event<SessionCompleted>| async move {
        let session = event.payload;
        writeln!(stdout(), "session {} is {}", session.session_id, session.session_status)?;
        Ok(())
    });
    let (receiver, worker) = settings.queued(handlers).await?;
    let webhook = WebhookLayer::new(receiver, settings.path);
    let app = axum::Router::new().layer(webhook);
    let listener = tokio::net::TcpListener::bind(settings.listen).await?;
    let app = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    worker.stop().await;
    Ok(())
}
