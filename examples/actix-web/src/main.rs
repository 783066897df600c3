//! Receives IDnow's webhooks in actix-web. The environment variables are those of [`idnow_webhooks::settings`].

use std::error::Error;
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use idnow_webhooks::actix_web::Webhook;
use idnow_webhooks::event::{Event, SessionCompleted};
use idnow_webhooks::{EventRouter, Settings};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let settings = Settings::from_env()?;
    let handlers = EventRouter::new().on(|event: Event<SessionCompleted>| async move {
        // Open the account, or refuse it. An error here makes the provider send the event again.
        let _ = event.payload.session_id;
        Ok(())
    });
    let webhook = Webhook::new(settings.receiver(handlers).await?).at(settings.path.as_str());

    // actix-web stops gracefully on SIGTERM by itself.
    let server = HttpServer::new(move || {
        App::new().wrap(webhook.clone()).route("/health", web::get().to(async || "ok"))
    })
    .client_request_timeout(Duration::from_secs(10))
    .shutdown_timeout(10)
    .bind(settings.listen)
    .map_err(|error| format!("LISTEN {}: {error}", settings.listen))?;
    announce(&server.addrs(), &settings.path);
    server.run().await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the one line that tells where the service is")]
fn announce(addresses: &[std::net::SocketAddr], path: &str) {
    for address in addresses {
        println!("listening on http://{address}{path}");
    }
}
