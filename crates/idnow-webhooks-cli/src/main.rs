//! The `idnow-webhooks` command.

mod demo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tools for the webhooks of IDnow.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
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
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Demo => demo::run().await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            anstream::eprintln!("idnow-webhooks: {error}");
            ExitCode::FAILURE
        }
    }
}
