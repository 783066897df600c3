//! `idnow-webhooks completions`: what a shell needs to complete these commands.

use clap::{Args, CommandFactory};
use clap_complete::{Generator, Shell};

use crate::Failure;
use crate::print::Printer;

const INSTALL: &str = "\
Examples:
  idnow-webhooks completions bash > ~/.local/share/bash-completion/completions/idnow-webhooks
  idnow-webhooks completions zsh > ~/.zfunc/_idnow-webhooks    (a folder that is in $fpath)
  idnow-webhooks completions fish > ~/.config/fish/completions/idnow-webhooks.fish

Exit codes: 0 printed, 1 not printed, 2 wrong usage.";

/// Prints a script that lets a shell complete these commands
#[derive(Debug, Args)]
#[command(after_help = INSTALL)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(Arguments { shell }: &Arguments) -> Result<bool, Failure> {
    let mut command = crate::Arguments::command().bin_name("idnow-webhooks");
    command.build();
    let mut script = Vec::new();
    shell.try_generate(&command, &mut script)?;
    // clap_complete 4.6 spells a command with a hyphen in two ways in the script for bash, so that nothing is found below
    // the first level.
    let script = String::from_utf8(script)?.replace("idnow__subcmd__webhooks", "idnow__webhooks");
    Printer::new(false).text(script.trim_end())?;
    Ok(true)
}
