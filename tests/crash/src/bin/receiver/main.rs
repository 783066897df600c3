//! The receiver that crash tests kill: the SDK in an axum server, in queued mode, with a worker.

mod handlers;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use clap::Parser;
use idnow_webhooks_core::keys::{KeySet, StaticKeys};
use idnow_webhooks_core::store::EventStore;
use idnow_webhooks_core::{Backoff, EventRouter, Receiver, Verifier, Worker};
use idnow_webhooks_crash::{ALGORITHM, Journal, PATH};
use idnow_webhooks_postgres::PostgresStore;
use idnow_webhooks_sqlite::SqliteStore;
use idnow_webhooks_tower::WebhookLayer;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use handlers::{Counts, Handler};

#[derive(Debug, Parser)]
struct Arguments {
    /// `sqlite:PATH` or `postgres://...`
    #[arg(long)]
    store: String,
    #[arg(long)]
    handler: Handler,
    /// A JWKS.
    #[arg(long)]
    keys: PathBuf,
    #[arg(long)]
    issuer: String,
    #[arg(long)]
    audience: String,
    #[arg(long)]
    journal: PathBuf,
    #[arg(long)]
    lease_millis: u64,
    #[arg(long)]
    drain_millis: u64,
}

type AnyError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let level = tracing_subscriber::EnvFilter::new("warn");
    tracing_subscriber::fmt().with_env_filter(level).with_writer(std::io::stderr).with_ansi(false).init();
    let arguments = Arguments::parse();
    match arguments.store.split_once(':') {
        Some(("sqlite", path)) => serve(SqliteStore::open(path).await?, &arguments).await,
        Some(("postgres", _)) => serve(PostgresStore::connect(&arguments.store).await?, &arguments).await,
        _ => Err("the store is `sqlite:PATH` or `postgres://...`".into()),
    }
}

async fn serve<S: Counts + EventStore + Clone>(store: S, arguments: &Arguments) -> Result<(), AnyError> {
    // First of all: whoever is told that this listens may send the signal at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let journal = Arc::new(Journal::open(&arguments.journal)?);
    let lease = Duration::from_millis(arguments.lease_millis);
    let worker = match arguments.handler.router(&store, &journal, lease) {
        Some(handlers) => Some(worker(store.clone(), handlers, arguments)?),
        None => None,
    };

    let keys = KeySet::from_jwks(&std::fs::read(&arguments.keys)?)?;
    let verifier = Verifier::builder()
        .issuer(&arguments.issuer)
        .audience(&arguments.audience)
        .algorithms([ALGORITHM])
        .build()?;
    let receiver = Receiver::builder(verifier, StaticKeys::new(keys)).queued(store).build()?;
    let app = Router::new().layer(WebhookLayer::new(receiver, PATH));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(listener.local_addr()?);
    let terminated = async move {
        terminate.recv().await;
    };
    axum::serve(listener, app).with_graceful_shutdown(terminated).await?;
    if let Some(worker) = worker {
        worker.stop().await;
    }
    Ok(())
}

/// It looks often and never gives up, so that a test need not wait.
fn worker<S: EventStore>(store: S, handlers: EventRouter, arguments: &Arguments) -> Result<Worker, AnyError> {
    let backoff = Backoff { first: Duration::from_millis(20), most: Duration::from_millis(200), jitter: 0.5 };
    let worker = Worker::builder(store, handlers)
        .concurrency(8)
        .lease(Duration::from_millis(arguments.lease_millis))
        .drain_limit(Duration::from_millis(arguments.drain_millis))
        .poll_interval(Duration::from_millis(50))
        .backoff(backoff)
        .max_runs(u32::MAX)
        .start()?;
    Ok(worker)
}

#[expect(clippy::print_stdout, reason = "the test waits for it")]
fn announce(address: SocketAddr) {
    println!("listening {address} {}", std::process::id());
}
