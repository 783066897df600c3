use clap::{Args, ValueEnum};

use super::receiver::Framework;

const ABOUT: &str = "\
Shows how webhooks are answered: a sandbox plays the provider, and a receiver stands behind a reverse proxy.

The sandbox delivers, retries and rotates its keys; answers get lost, the store is locked, the receiver restarts; then a \
forger sends what he has made of what he saw on the way. Everything runs on this machine, on free ports, and is gone \
afterwards.";

const EXAMPLES: &str = "\
Examples:
  idnow-webhooks demo
  idnow-webhooks demo --framework all
  idnow-webhooks demo --json | jq -r 'select(.kind == \"step\") | .what'

With --json each line is an object; its `kind` is `started`, `step` or `finished`.

Exit codes: 0 every answer and every callback was right, 1 one was not, or the demo could not be run, 2 wrong usage.";

/// Shows how genuine and forged webhooks are answered, in axum, actix-web or warp
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What the receiver is mounted in
    #[arg(long, value_name = "NAME", default_value = "axum")]
    framework: Choice,

    /// Prints one JSON object a line, for other programs
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Choice {
    Axum,
    ActixWeb,
    Warp,
    /// One after the other
    All,
}

impl Arguments {
    pub(super) fn frameworks(&self) -> &'static [Framework] {
        match self.framework {
            Choice::Axum => &[Framework::Axum],
            Choice::ActixWeb => &[Framework::ActixWeb],
            Choice::Warp => &[Framework::Warp],
            Choice::All => &[Framework::Axum, Framework::ActixWeb, Framework::Warp],
        }
    }
}
