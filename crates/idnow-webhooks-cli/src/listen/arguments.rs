use std::net::SocketAddr;

use clap::Args;
use url::Url;

use crate::client;

const ABOUT: &str = "\
Receives webhooks, verifies them and prints each event as it comes.

Who is believed is configured as for a server, by the variables IDNOW_ISSUER, IDNOW_AUDIENCE and so on (LISTEN and \
WEBHOOK_PATH are not read). With --sandbox nothing needs to be configured: issuer and keys are those of the sandbox, and \
the audience may be any URL of this machine that leads here; IDNOW_AUDIENCE adds others, such as that of a tunnel.

Nothing is stored, and duplicates are not recognised: an event that comes twice is printed twice. What cannot be \
printed, because nobody reads it or the disk is full, is answered with 503, so that it comes again. What is refused is \
printed with the code of the answer; of its token nothing is shown, because nobody vouches for it.";

const EXAMPLES: &str = "\
Examples:
  idnow-webhooks listen --sandbox http://127.0.0.1:4390
  idnow-webhooks listen --sandbox http://127.0.0.1:4390 --forward-to http://127.0.0.1:3000/webhooks/idnow
  IDNOW_AUDIENCE=http://listener:8080/webhooks/idnow idnow-webhooks listen --listen 0.0.0.0:8080 \\
      --sandbox http://sandbox:4390 --allow-plain-http
  IDNOW_ENVIRONMENT=sandbox IDNOW_AUDIENCE=https://tunnel.example/webhooks/idnow idnow-webhooks listen
  idnow-webhooks listen --sandbox http://127.0.0.1:4390 --json | jq -r 'select(.kind == \"event\") | .data.eventName'

With --json each line is an object; its `kind` is `listening`, `event`, `refused` or `stopped`. Errors of the server go to \
standard error; RUST_LOG=info, for example, shows more.

Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 could not listen or print, or was asked to stop a second time, 2 wrong \
usage.";

/// Receives webhooks, verifies them and prints each event as it comes
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Where to listen; port 0 is any free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,

    /// The path of the webhook
    #[arg(long, value_name = "PATH", default_value = "/webhooks/idnow", value_parser = path)]
    pub(super) path: String,

    /// Sends what was verified on to this URL, and answers as it does
    ///
    /// Body and headers stay as they are. So the provider, or the sandbox, tries again what the target answers with
    /// 5xx. While the target cannot be reached, or is slower than `IDNOW_ANSWER_DEADLINE_MS` allows, the answer is 503.
    #[arg(long, value_name = "URL", value_parser = client::http_url)]
    pub(super) forward_to: Option<Url>,

    /// Believes the sandbox at this URL, instead of what the variables say
    #[arg(long, value_name = "URL", value_parser = client::http_url)]
    pub(super) sandbox: Option<Url>,

    /// Believes a sandbox that is not on this machine without TLS: whoever is on the way can make anything believed
    ///
    /// For a network of containers that is yours alone, and there only. With TLS, or on this machine, it is not needed.
    #[arg(long, requires = "sandbox")]
    pub(super) allow_plain_http: bool,

    /// Prints one JSON object a line, for other programs
    #[arg(long)]
    pub(super) json: bool,
}

fn path(text: &str) -> Result<String, &'static str> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
    if text.starts_with('/') && plain {
        Ok(text.to_owned())
    } else {
        Err("expected a path that begins with / and has only letters, digits and /-._~")
    }
}

/// What would send everything round in circles until its time is up.
pub(super) fn leads_here(target: &Url, listening: SocketAddr) -> bool {
    let local = match target.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback() || listening.ip() == address,
        Some(url::Host::Ipv6(address)) => address.is_loopback() || listening.ip() == address,
        None => false,
    };
    let reachable = listening.ip().is_loopback()
        || listening.ip().is_unspecified()
        || target.host_str() == Some(&listening.ip().to_string());
    local && reachable && target.port_or_known_default() == Some(listening.port())
}
