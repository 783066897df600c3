//! Receives IDnow's webhooks in axum. The environment variables are those of [`idnow_webhooks::settings`];
//! `WEBHOOK_TLS_CERT` and `WEBHOOK_TLS_KEY` (PEM files) make it serve HTTPS, and `RUST_LOG` says what is logged.

use std::env;
use std::error::Error;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum_server::Handle;
use axum_server::accept::DefaultAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use idnow_webhooks::axum::WebhookLayer;
use idnow_webhooks::event::{Event, SessionCompleted};
use idnow_webhooks::{EventRouter, Receiver, Settings};
use tower_layer::Layer;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

#[tokio::main]
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
    let (receiver, worker) = settings.queued(handlers).await?;
    let app = Router::new().route("/health", get(health)).with_state(receiver.clone());
    let app = WebhookLayer::new(receiver, settings.path.as_str()).layer(app);

    let handle = Handle::new();
    tokio::spawn(stop_on_signal(handle.clone()));
    let tls = tls_config().await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    tokio::spawn(announce(handle.clone(), scheme, settings.path));
    let mut server = axum_server::bind(settings.listen).handle(handle);
    // A peer that never finishes its request's head must not hold the connection.
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
    let keep_alive = Some(Duration::from_secs(20));
    server.http_builder().http2().timer(TokioTimer::new()).keep_alive_interval(keep_alive);

    let app =
        axum::ServiceExt::<axum::extract::Request>::into_make_service_with_connect_info::<SocketAddr>(app);
    let result = match tls {
        Some(tls) => server.acceptor(RustlsAcceptor::new(tls)).serve(app).await,
        None => server.acceptor(DefaultAcceptor::new()).serve(app).await,
    };
    result.map_err(|error| format!("LISTEN {}: {error}", settings.listen))?;
    worker.stop().await;
    Ok(())
}

async fn health(State(receiver): State<Receiver>) -> Response {
    receiver.health().await.response().map(Body::from)
}

/// TLS 1.2 and 1.3, as the provider requires.
async fn tls_config() -> Result<Option<RustlsConfig>, Box<dyn Error>> {
    let (certificate, key) = match (env::var_os("WEBHOOK_TLS_CERT"), env::var_os("WEBHOOK_TLS_KEY")) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => return Err("set both WEBHOOK_TLS_CERT and WEBHOOK_TLS_KEY, to PEM files, or neither".into()),
    };
    // Another crate may have chosen a provider already, which serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = RustlsConfig::from_pem_file(&certificate, &key).await;
    let config = config.map_err(|error| {
        let (certificate, key) = (certificate.display(), key.display());
        format!("WEBHOOK_TLS_CERT {certificate} and WEBHOOK_TLS_KEY {key} cannot be used: {error}")
    })?;
    Ok(Some(config))
}

#[expect(clippy::print_stderr, reason = "why the service does not run, also where logs are switched off")]
fn fail(error: &dyn Error) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "the one line that tells where the service is")]
async fn announce(handle: Handle<SocketAddr>, scheme: &'static str, path: String) {
    if let Some(address) = handle.listening().await {
        println!("listening on {scheme}://{address}{path}");
    }
}

async fn stop_on_signal(handle: Handle<SocketAddr>) {
    tokio::select! {
        () = terminated() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    handle.graceful_shutdown(Some(Duration::from_secs(10)));
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => drop(terminate.recv().await),
        // Ctrl-C stops it all the same.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}
