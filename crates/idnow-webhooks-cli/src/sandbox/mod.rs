//! `idnow-webhooks sandbox`: the provider's side, on this machine.

mod arguments;
mod report;

use idnow_webhooks::program::Log;
use idnow_webhooks_sandbox::{Client, Error, Sandbox};

use crate::print::Printer;
use crate::stop::Stop;
use crate::{Failure, wrong_usage};
pub(crate) use arguments::Arguments;
use report::Started;

/// Runs a sandbox until it is told to stop.
pub(crate) async fn run(arguments: Arguments, log: &Log) -> Result<bool, Failure> {
    log.install("warn").map_err(|error| wrong_usage("sandbox", error))?;

    let mut builder = Sandbox::builder()
        .listen(arguments.listen)
        .time_scale(arguments.time_scale)
        .answer_deadline(arguments.answer_deadline)
        .max_retries(arguments.max_retries)
        .keep_history(arguments.keep_history)
        .public_only(arguments.public_only)
        .allow_private(arguments.allow_private)
        .allow_plain_http(arguments.allow_plain_http);
    if !arguments.in_memory {
        builder = builder.database(&arguments.database);
    }
    if let Some(chaos) = &arguments.chaos {
        builder = builder.chaos(chaos.clone());
    }
    for path in &arguments.ca {
        builder = builder.root_certificates_file(path);
    }
    if let Some(token) = &arguments.access_token {
        builder = builder.access_token(token);
    }
    if let Some(url) = &arguments.base_url {
        builder = builder.base_url(url);
    }
    if let Some(issuer) = &arguments.issuer {
        builder = builder.issuer(issuer);
    }
    let own_client = arguments.client_id.is_some();
    if let (Some(id), Some(secret)) = (&arguments.client_id, &arguments.client_secret) {
        builder = builder.client(Client::new(id, secret));
    }
    // Before it starts: who asks it to stop meanwhile must not leave a half of it behind.
    let stop = Stop::watch()?;
    let sandbox = builder.start().await.map_err(explain)?;
    let mut printer = Printer::new(arguments.json);
    let started = Started {
        url: sandbox.base_url(),
        issuer: sandbox.issuer(),
        jwks_url: sandbox.jwks_url(),
        client: sandbox.clients().first(),
        own_client,
        database: (!arguments.in_memory).then_some(&arguments.database),
        chaos: arguments.chaos.as_ref().map(ToString::to_string),
        needs_token: arguments.access_token.is_some(),
    };
    // It may well run on when nobody reads what it says.
    let said = started.print(&mut printer);
    let mut broken = false;
    if said.is_ok() {
        tokio::select! {
            () = stop.asked() => {}
            () = sandbox.stopped() => broken = true,
        }
    }
    sandbox.stop().await;
    said?;
    if broken {
        return Err("the sandbox has broken down; the log above says why".into());
    }
    report::stopped(&mut printer)?;
    Ok(true)
}

fn explain(error: Error) -> Failure {
    match error {
        Error::Invalid { field, reason } => {
            let error = format!("{}: {reason}", arguments::option(field).unwrap_or(field));
            // The command is right: it is the file or its folder that is not.
            let of_file = matches!(field, "database" | "root_certificates_file");
            if of_file { error.into() } else { wrong_usage("sandbox", error).into() }
        }
        other => other.into(),
    }
}
