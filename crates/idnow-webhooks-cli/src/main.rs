//! The `idnow-webhooks` command.

mod demo;
mod inbox;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tools for the webhooks of IDnow.
#[derive(Parser)]
#[command(name = "idnow-webhooks", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts a receiver, a key server and a sender, and shows how genuine and forged webhooks are answered.
    ///
    /// Everything runs on this machine, on free ports, and is gone afterwards. Exits with 0 only if every
    /// answer was the right one, with 1 otherwise.
    Demo,

    Inbox(inbox::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Demo => demo::run().await,
        Command::Inbox(arguments) => inbox::run(arguments).await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(wrong_usage) => wrong_usage.exit(),
            Err(error) => {
                // Nobody may be there to read it.
                let _ = writeln!(anstream::stderr(), "idnow-webhooks: {error}");
                ExitCode::FAILURE
            }
        },
    }
}
