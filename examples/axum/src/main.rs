//! Receives IDnow's webhooks in axum. The environment variables are those of [`idnow_webhooks::settings`];
//! `WEBHOOK_TLS_CERT` and `WEBHOOK_TLS_KEY` (PEM files) make it serve HTTPS, and `RUST_LOG` says what is logged.

use std::env;
use std::error::Error;
use std::io::{Write, stdout};
use std::process::ExitCode;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use idnow_webhooks::axum::WebhookLayer;
use idnow_webhooks::event::{Event, SessionCompleted};
use idnow_webhooks::program::{Log, Server, Tls, stop_signal};
use idnow_webhooks::{EventRouter, Receiver, Settings};
use tower_layer::Layer;

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
    let app = Router::new().route("/health", get(health)).with_state(receiver.clone());
    let app = WebhookLayer::new(receiver, settings.path.as_str()).layer(app);

    let tls = tls()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    // It serves also where nobody wants to know where.
    let _ = writeln!(stdout(), "listening on {scheme}://{}{}", server.local_addr()?, settings.path);
    let server = match tls {
        Some(tls) => server.tls(tls),
        None => server,
    };
    server.answer_deadline(settings.answer_deadline).serve(app, stop_signal()).await;
    worker.stop().await;
    Ok(())
}

async fn health(State(receiver): State<Receiver>) -> Response {
    receiver.health().await.response().map(Body::from)
}

fn tls() -> Result<Option<Tls>, Box<dyn Error>> {
    let (certificate, key) = match (env::var_os("WEBHOOK_TLS_CERT"), env::var_os("WEBHOOK_TLS_KEY")) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => return Err("set both WEBHOOK_TLS_CERT and WEBHOOK_TLS_KEY, to PEM files, or neither".into()),
    };
    let tls = Tls::from_pem_files(&certificate, &key).map_err(|error| {
        let (certificate, key) = (certificate.display(), key.display());
        format!("WEBHOOK_TLS_CERT {certificate} and WEBHOOK_TLS_KEY {key} cannot be used: {error}")
    })?;
    Ok(Some(tls))
}
