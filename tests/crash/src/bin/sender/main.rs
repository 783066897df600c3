//! The provider that crash tests kill: a sandbox with a file, one endpoint, and sessions that run all the time.
//!
//! It says `ready`, then `event SESSION SEQUENCE` for each event that the sandbox has accepted, and at the end, when it
//! makes no events, `done DELIVERED OTHERS`.

#![allow(clippy::print_stdout, reason = "the test reads it")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use idnow_webhooks_sandbox::Sandbox;
use idnow_webhooks_sandbox::model::{NewEndpoint, NewFlow, NewSession, Outcome, PageRequest, Step};
use uuid::Uuid;

const ENVIRONMENT: &str = "live";
const MAKERS: usize = 8;

#[derive(Debug, Parser)]
struct Arguments {
    #[arg(long)]
    database: PathBuf,
    /// The URL of the endpoint.
    #[arg(long)]
    sink: String,
    /// Makes no events: sends what is left, and ends.
    #[arg(long)]
    drain: bool,
}

type AnyError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let level = tracing_subscriber::EnvFilter::new("warn");
    tracing_subscriber::fmt().with_env_filter(level).with_writer(std::io::stderr).with_ansi(false).init();
    let arguments = Arguments::parse();
    let builder = Sandbox::builder().database(&arguments.database).time_scale(100.0).max_retries(100);
    let sandbox = builder.start().await?;
    let flow = flow(&sandbox, &arguments.sink).await?;
    println!("ready");
    if arguments.drain {
        return drain(sandbox).await;
    }
    let makers: Vec<_> = (0..MAKERS).map(|_| tokio::spawn(make(sandbox.clone(), flow))).collect();
    for maker in makers {
        maker.await??;
    }
    Ok(())
}

/// The only flow, which has the only endpoint. Any of the processes before may have been killed on the way to it.
async fn flow(sandbox: &Sandbox, sink: &str) -> Result<Uuid, AnyError> {
    let flows = sandbox.flows(PageRequest::default()).await?;
    let flow = match flows.items.first() {
        Some(flow) => flow.id,
        None => {
            sandbox.create_flow(NewFlow { name: "flow".into(), session_ttl_seconds: 7_000_000 }).await?.id
        }
    };
    if sandbox.endpoints(Some(flow), None, PageRequest::default()).await?.items.is_empty() {
        let endpoint = NewEndpoint { concurrency: 16, ..NewEndpoint::new(flow, ENVIRONMENT, sink) };
        sandbox.create_endpoint(endpoint).await?;
    }
    Ok(flow)
}

async fn make(sandbox: Sandbox, flow: Uuid) -> Result<(), AnyError> {
    loop {
        let new = NewSession::new(flow, ENVIRONMENT);
        let session = sandbox.create_session(new).await?.id;
        println!("event {session} 1");
        sandbox.drive(session, Step::Start).await?;
        sandbox.drive(session, Step::Complete { outcome: Outcome::Accepted }).await?;
        println!("event {session} 2");
    }
}

async fn drain(sandbox: Sandbox) -> Result<(), AnyError> {
    loop {
        let counts = sandbox.counts().await?.deliveries;
        if counts.waiting + counts.sending == 0 {
            println!("done {} {}", counts.delivered, counts.dead + counts.endpoint_deleted);
            sandbox.stop().await;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
