//! Receives IDnow's webhooks in warp. The environment variables are those of [`idnow_webhooks::settings`], and `RUST_LOG`
//! says what is logged.
//!
//! warp's own server has no time-outs, so this one runs warp's filters in another.

use std::error::Error;
use std::io::{Write, stdout};
use std::process::ExitCode;

use idnow_webhooks::event::{Event, SessionCompleted};
use idnow_webhooks::program::{Log, Server, stop_signal};
use idnow_webhooks::{EventRouter, Settings};
use warp::Filter;

#[tokio::main]
async fn main() -> ExitCode {
    let log = Log::to_stderr();
    let result = run(&log).await;
    log.close(result)
}

async fn run(log: &Log) -> Result<(), Box<dyn Error>> {
    log.install("info")?;
    let settings = Settings::from_env()?;
    let server = Server::bind(settings.listen).await;
    let server = server.map_err(|error| format!("LISTEN {}: {error}", settings.listen))?;
    let handlers = EventRouter::new().on(|event: Event<SessionCompleted>| async move {
        // Open the account, or refuse it. An error here means: try again later.
        let _ = event.payload.session_id;
        Ok(())
    });
    let (receiver, worker) = settings.queued(handlers).await?;
    let webhook = idnow_webhooks::warp::webhook_at(receiver.clone(), &settings.path);
    let health = warp::path!("health").then(move || {
        let receiver = receiver.clone();
        async move { receiver.health().await.response() }
    });
    let routes = warp::service(webhook.or(health));

    // It serves also where nobody wants to know where.
    let _ = writeln!(stdout(), "listening on http://{}{}", server.local_addr()?, settings.path);
    server.answer_deadline(settings.answer_deadline).serve(routes, stop_signal()).await;
    worker.stop().await;
    Ok(())
}
