//! `idnow-webhooks health`: whether something is ready.

use std::time::Duration;

use clap::Args;
use reqwest::Client;
use serde_json::json;
use tokio::time::{Instant, sleep};
use url::Url;

use crate::print::{GOOD, Printer};
use crate::{Failure, client};

const ABOUT: &str = "\
Asks whether a sandbox, or a receiver with such a route, is ready, and tells it by the exit code.

For scripts that start a sandbox and go on when it is there, and for the health check of a container. No access token is \
needed.";

const EXAMPLES: &str = "\
Examples:
  idnow-webhooks health
  idnow-webhooks health --wait 30s && npm test
  idnow-webhooks health http://127.0.0.1:3000/health

Exit codes: 0 it is ready (2xx), 1 it is not, or nobody answers, 2 wrong usage.";

/// One answer.
const LIMIT: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(50);

/// Says whether a sandbox or a receiver is ready
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What to ask
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:4390/health", value_parser = client::http_url)]
    url: Url,

    /// For how long to ask again until it is ready
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    wait: Duration,

    /// Prints one JSON object, for other programs
    #[arg(long)]
    json: bool,
}

/// Asks. Gives `false` if it is not ready in time.
pub(crate) async fn run(Arguments { url, wait, json }: Arguments) -> Result<bool, Failure> {
    let client = client::builder(&url).timeout(LIMIT).build().map_err(client::explain)?;
    let begun = Instant::now();
    let outcome = loop {
        let outcome = ask(&client, &url).await;
        let left = wait.saturating_sub(begun.elapsed());
        if outcome.is_ok() || left.is_zero() {
            break outcome;
        }
        sleep(PAUSE.min(left)).await;
    };
    let (shown, mut printer) = (client::shown(&url), Printer::new(json));
    match outcome {
        Ok(()) if json => printer.document(&json!({ "url": shown, "ready": true }))?,
        Ok(()) => printer.text(&format!("{GOOD}ready{GOOD:#} {shown}"))?,
        Err(reason) if json => {
            printer.document(&json!({ "url": shown, "ready": false, "reason": reason }))?;
            return Ok(false);
        }
        Err(reason) => return Err(format!("{shown} is not ready: {reason}").into()),
    };
    Ok(true)
}

async fn ask(client: &Client, url: &Url) -> Result<(), String> {
    let response = client.get(url.clone()).send().await.map_err(client::explain)?;
    if response.status().is_success() { Ok(()) } else { Err(format!("it answers {}", response.status())) }
}
