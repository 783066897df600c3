//! The `idnow-webhooks` command.

mod client;
mod completions;
mod demo;
mod forward;
mod health;
mod inbox;
mod listen;
mod print;
mod sandbox;
mod stop;
mod text;
mod trigger;

use std::error::Error;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use idnow_webhooks::program::Log;

type Failure = Box<dyn Error + Send + Sync>;

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 not done (the reason is on standard error), 2 wrong usage. What each command calls done stands in \
its own --help.";

/// Tools for the webhooks of IDnow.
#[derive(Parser)]
#[command(name = "idnow-webhooks", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Arguments),

    Health(health::Arguments),

    Inbox(inbox::Arguments),

    Listen(listen::Arguments),

    Sandbox(sandbox::Arguments),

    Trigger(trigger::Arguments),

    Completions(completions::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let log = Log::to_stderr();
    let done = match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Health(arguments) => health::run(arguments).await,
        Command::Inbox(arguments) => inbox::run(arguments).await,
        Command::Listen(arguments) => listen::run(arguments, &log).await,
        Command::Sandbox(arguments) => sandbox::run(arguments, &log).await,
        Command::Trigger(arguments) => trigger::run(arguments).await,
        Command::Completions(arguments) => completions::run(&arguments),
    };
    match done {
        Ok(true) => log.close(Ok(())),
        Ok(false) => ExitCode::FAILURE,
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(wrong_usage) => wrong_usage.exit(),
            // Nobody may be there to read it.
            Err(error) => log.close(Err(format!("idnow-webhooks: {error}").into())),
        },
    }
}

/// An error like those that clap finds by itself: it is printed with the usage of the subcommand, and the exit code is 2.
fn wrong_usage(subcommand: &str, reason: impl std::fmt::Display) -> clap::Error {
    let mut whole = Arguments::command();
    whole.build();
    let command = match whole.find_subcommand_mut(subcommand) {
        Some(command) => command,
        None => &mut whole,
    };
    command.error(ErrorKind::ValueValidation, reason)
}
