use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use idnow_webhooks_sandbox::Chaos;

pub(super) const DATABASE: &str = "idnow-sandbox.db";

const ABOUT: &str = "\
Plays the provider: keeps endpoints and sessions, signs events and delivers them, with retries and dead letters.

It says at start where it is, and how to point a receiver at it. Everything survives a restart, in the file \
idnow-sandbox.db of the current folder unless told otherwise; one sandbox at a time can have a file open.";

const EXAMPLES: &str = "\
Examples:
  idnow-webhooks sandbox
  idnow-webhooks sandbox --in-memory --time-scale 100
  idnow-webhooks sandbox --chaos seed=7,duplicate=0.2,reorder=0.3
  IDNOW_SANDBOX_ACCESS_TOKEN=$(openssl rand -hex 24) idnow-webhooks sandbox --listen 0.0.0.0:4390

With --json each line is an object; its `kind` is `started` or `stopped`. Warnings go to standard error; RUST_LOG=info, \
or warn,idnow_webhooks=debug, says what else.

Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 could not start (the port is taken, another sandbox has the file, a newer \
version has written it) or broke down, 2 wrong usage.";

/// Plays the provider on this machine: endpoints, sessions, signed deliveries, retries
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Where to listen; port 0 is any free one. Addresses that others may reach need an access token
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4390", overrides_with = "listen")]
    pub(super) listen: SocketAddr,

    /// The file that everything is kept in; it is made if there is none
    #[arg(long, value_name = "FILE", default_value = DATABASE)]
    pub(super) database: PathBuf,

    /// Keeps nothing
    #[arg(long, conflicts_with = "database")]
    pub(super) in_memory: bool,

    /// Divides every wait of the sandbox itself by this: before retries, and until sessions expire; 1 to 1000000
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub(super) time_scale: f64,

    /// Within what time a receiver must have answered; not divided
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(super) answer_deadline: Duration,

    /// How often a delivery is retried before it is a dead letter, at most 100
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(super) max_retries: u32,

    /// For how long sessions are kept after they have ended, and deliveries after they were delivered or given up; not divided
    #[arg(long, value_name = "TIME", default_value = "30days", value_parser = humantime::parse_duration)]
    pub(super) keep_history: Duration,

    /// Trusts these certificate authorities too, when it delivers by TLS: PEM; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Vec<PathBuf>,

    /// Delivers to addresses of the public internet only, not even to this machine
    #[arg(long, conflicts_with = "allow_private")]
    pub(super) public_only: bool,

    /// Delivers to private networks too, but never to link-local addresses and metadata services of clouds
    #[arg(long)]
    pub(super) allow_private: bool,

    /// Delivers without TLS to other machines too, as to receivers in other containers (with --allow-private)
    ///
    /// Anybody on the way can read and change what is sent; the provider itself never does this.
    #[arg(long)]
    pub(super) allow_plain_http: bool,

    /// Makes deliveries go wrong on purpose, repeatably: a seed, and how likely each fault is, from 0 to 1
    ///
    /// Of genuine attempts: duplicate, lost, reorder, delay, drop, half, slow, skew, rotate, burst. Sent before them, and
    /// to be refused: corrupt, expired, unknown, retired, future. `all` is every one that is not named.
    #[arg(long, value_name = "seed=N,FAULT=P,...")]
    pub(super) chaos: Option<Chaos>,

    /// What the management API asks for as a bearer token: 16 to 1024 visible characters
    ///
    /// Other users of the machine can see the options of a command: give it in the variable instead.
    #[arg(long, value_name = "TOKEN", env = "IDNOW_SANDBOX_ACCESS_TOKEN", hide_env_values = true,
          value_parser = NonEmptyStringValueParser::new())]
    pub(super) access_token: Option<String>,

    /// How others reach the sandbox, if not by the address it listens on: `http://sandbox:4390` from other containers
    ///
    /// Discovery, keys and issuer go by it, and the dashboard and the management API answer under its host, too. Needs
    /// an access token, unless its host is this machine.
    #[arg(long, value_name = "URL")]
    pub(super) base_url: Option<String>,

    /// The `iss` of the tokens [default: the sandbox's URL, followed by `/oidc`]
    #[arg(long, value_name = "URL")]
    pub(super) issuer: Option<String>,

    /// Who may ask the session API [default: a client with a random secret, which the database keeps]
    #[arg(long, value_name = "ID", requires = "client_secret")]
    pub(super) client_id: Option<String>,

    /// The secret of this client
    #[arg(long, value_name = "SECRET", env = "IDNOW_SANDBOX_CLIENT_SECRET", hide_env_values = true,
          requires = "client_id", value_parser = NonEmptyStringValueParser::new())]
    pub(super) client_secret: Option<String>,

    /// Prints one JSON object a line, for other programs
    #[arg(long)]
    pub(super) json: bool,
}

/// The option of a setting that the sandbox refused.
pub(super) fn option(field: &str) -> Option<&'static str> {
    Some(match field {
        "access_token" => "--access-token (or IDNOW_SANDBOX_ACCESS_TOKEN)",
        "allow_private" => "--allow-private",
        "answer_deadline" => "--answer-deadline",
        "base_url" => "--base-url",
        "client" => "--client-id and --client-secret",
        "database" => "--database",
        "root_certificates_file" => "--ca",
        "issuer" => "--issuer",
        "listen" => "--listen",
        "keep_history" => "--keep-history",
        "max_retries" => "--max-retries",
        "time_scale" => "--time-scale",
        _ => return None,
    })
}
