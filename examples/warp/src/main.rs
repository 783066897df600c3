//! Receives IDnow's webhooks in warp. The environment variables are those of [`idnow_webhooks::settings`], and `RUST_LOG`
//! says what is logged.
//!
//! warp's own server has no time-out for a request's head, so this one runs warp's filters in another.

use std::convert::Infallible;
use std::error::Error;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use axum_server::Handle;
use hyper_util::rt::TokioTimer;
use idnow_webhooks::event::{Event, SessionCompleted};
use idnow_webhooks::{EventRouter, PeerAddr, Settings};
use tower::{ServiceExt, service_fn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use warp::Filter;
use warp::http::Request;

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
    let webhook = idnow_webhooks::warp::webhook_at(receiver.clone(), &settings.path);
    let health = warp::path!("health").then(move || {
        let receiver = receiver.clone();
        async move { receiver.health().await.response() }
    });
    let routes = warp::service(webhook.or(health));

    let handle = Handle::new();
    tokio::spawn(stop_on_signal(handle.clone()));
    tokio::spawn(announce(handle.clone(), settings.path));
    let mut server = axum_server::bind(settings.listen).handle(handle);
    // A peer that never finishes its request's head must not hold the connection.
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
    let keep_alive = Some(Duration::from_secs(20));
    server.http_builder().http2().timer(TokioTimer::new()).keep_alive_interval(keep_alive);
    let connections = service_fn(|peer: SocketAddr| {
        let service = routes.clone().map_request(move |mut request: Request<_>| {
            request.extensions_mut().insert(PeerAddr(peer.ip()));
            request
        });
        std::future::ready(Ok::<_, Infallible>(service))
    });
    let result = server.serve(connections).await;
    result.map_err(|error| format!("LISTEN {}: {error}", settings.listen))?;
    worker.stop().await;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "why the service does not run, also where logs are switched off")]
fn fail(error: &dyn Error) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "the one line that tells where the service is")]
async fn announce(handle: Handle<SocketAddr>, path: String) {
    if let Some(address) = handle.listening().await {
        println!("listening on http://{address}{path}");
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
