//! Receives IDnow's webhooks in actix-web. The environment variables are those of [`idnow_webhooks::settings`].

use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use actix_web::rt::time::timeout;
use actix_web::{App, HttpServer, web};
use idnow_webhooks::actix_web::Webhook;
use idnow_webhooks::event::{Event, SessionCompleted};
use idnow_webhooks::{EventRouter, Settings};
use tokio::runtime::Handle;

#[actix_web::main]
async fn main() -> ExitCode {
    let coloured = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(coloured).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let settings = Settings::from_env()?;
    let handlers = EventRouter::new().on(|event: Event<SessionCompleted>| async move {
        // Open the account, or refuse it. An error here makes the provider send the event again.
        let _ = event.payload.session_id;
        Ok(())
    });
    // On the runtime of `main`: those that actix-web serves from end with it, and would take handlers along.
    let builder = settings.receiver_builder().await?.runtime(Handle::current());
    let receiver = builder.handlers(handlers).build()?;
    let webhook = Webhook::new(receiver.clone()).at(settings.path.as_str());

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
    // A handler may run on after its delivery was answered.
    let _ = timeout(Duration::from_secs(10), receiver.idle()).await;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "why the service does not run, also where logs are switched off")]
fn fail(error: &dyn Error) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "the one line that tells where the service is")]
fn announce(addresses: &[std::net::SocketAddr], path: &str) {
    for address in addresses {
        println!("listening on http://{address}{path}");
    }
}
