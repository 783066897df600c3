//! The program of the README; below these lines word for word.
#![allow(clippy::print_stdout, reason = "a first look")]

use idnow_webhooks::event::{Event, SessionCompleted};
use idnow_webhooks::{EventRouter, Settings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::from_env()?;
    let handlers = EventRouter::new().on(|event: Event<SessionCompleted>| async move {
        println!("session {} is {}", event.payload.session_id, event.payload.session_status);
        Ok(())
    });
    let (receiver, worker) = settings.queued(handlers).await?;
    let routes = idnow_webhooks::warp::webhook_at(receiver, &settings.path);
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    warp::serve(routes).bind(settings.listen).await.graceful(stop).run().await;
    worker.stop().await;
    Ok(())
}
