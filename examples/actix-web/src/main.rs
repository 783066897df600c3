//! Receives IDnow's webhooks in actix-web. The environment variables are those of [`idnow_webhooks::settings`], and `RUST_LOG`
//! says what is logged.

use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use idnow_webhooks::actix_web::Webhook;
use idnow_webhooks::event::{Event, SessionCompleted};
use idnow_webhooks::{EventRouter, Receiver, Settings};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

#[actix_web::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let coloured = std::io::stderr().is_terminal();
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env();
    let filter = filter.map_err(|error| format!("RUST_LOG: {error}; write it as info,hyper=debug"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(coloured);
    log.with_writer(std::io::stderr).init();
    let settings = Settings::from_env()?;
    let handlers = EventRouter::new().on(|event: Event<SessionCompleted>| async move {
        // Open the account, or refuse it. An error here means: try again later.
        let _ = event.payload.session_id;
        Ok(())
    });
    // The worker runs here, on the runtime of `main`; those that actix-web serves from end before it.
    let (receiver, worker) = settings.queued(handlers).await?;
    let webhook = Webhook::new(receiver.clone()).at(settings.path.as_str());

    // actix-web stops gracefully on SIGTERM by itself.
    let server = HttpServer::new(move || {
        let app = App::new().app_data(web::Data::new(receiver.clone()));
        app.wrap(webhook.clone()).route("/health", web::get().to(health))
    })
    .client_request_timeout(Duration::from_secs(10))
    .keep_alive(Duration::from_secs(10))
    .shutdown_timeout(10)
    .bind(settings.listen)
    .map_err(|error| format!("LISTEN {}: {error}", settings.listen))?;
    announce(&server.addrs(), &settings.path);
    server.run().await?;
    worker.stop().await;
    Ok(())
}

async fn health(receiver: web::Data<Receiver>) -> HttpResponse {
    let health = receiver.health().await;
    let mut answer = if health.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.json(health)
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
