//! The program of the README; below these lines word for word.

use std::io::{Write, stdout};

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
    let routes = idnow_webhooks::warp::webhook_at(receiver, &settings.path);
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    warp::serve(routes).bind(settings.listen).await.graceful(stop).run().await;
    worker.stop().await;
    Ok(())
}
