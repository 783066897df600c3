//! The program of the README; below these lines word for word.

use std::io::{Write, stdout};

use actix_web::{App, HttpServer};
use idnow_webhooks::actix_web::Webhook;
use idnow_webhooks::event::{Event, SessionCompleted};
use idnow_webhooks::{EventRouter, Settings};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::from_env()?;
    let handlers = EventRouter::new().on(|event: Event<SessionCompleted>| async move {
        let session = event.payload;
        writeln!(stdout(), "session {} is {}", session.session_id, session.session_status)?;
        Ok(())
    });
    let (receiver, worker) = settings.queued(handlers).await?;
    let webhook = Webhook::new(receiver).at(settings.path);
    let server = HttpServer::new(move || App::new().wrap(webhook.clone()));
    server.bind(settings.listen)?.run().await?;
    worker.stop().await;
    Ok(())
}
