use clap::Args;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use idnow_webhooks::event::DOCUMENTED_NAMES;
use url::Url;

use crate::client;

const ABOUT: &str = "\
Has a running sandbox sign one event and send it to a URL, once.

The URL is the audience of the token, so a receiver that trusts the sandbox, and knows itself by this URL, accepts it. \
Nothing is stored: there are no retries, and no such session. Each event has new ids unless --set gives them; --set \
eventId=... twice makes a duplicate.";

const EXAMPLES: &str = "\
Examples:
  idnow-webhooks trigger session.completed --to http://127.0.0.1:3000/webhooks/idnow
  idnow-webhooks trigger session.created --to http://127.0.0.1:3000/webhooks/idnow \\
      --set payload.sessionId=6f1d4a1e-22c7-4b57-9a5b-0d4f1f0f2c11 --header 'X-Auth-Token: the-token'
  idnow-webhooks trigger session.completed --to http://127.0.0.1:3000/webhooks/idnow --json | jq .answer

--set knows eventId, eventName, eventVersion, eventSequence, eventDeliverId, createdAt, environment, payload.flowId, \
payload.sessionId, payload.sessionStatus, payload.lastStepId, payload.lastStepType and payload.lastStepStatus.

Exit codes: 0 the receiver answered 2xx, 1 it did not, or there is no sandbox, 2 wrong usage (an unknown field, or a \
value that does not fit one).";

/// Sends one signed event to any URL, by a running sandbox
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The kind of event
    #[arg(value_name = "EVENT", value_parser = PossibleValuesParser::new(DOCUMENTED_NAMES.iter().copied()))]
    pub(super) event: String,

    /// Where to send it
    #[arg(long, value_name = "URL")]
    pub(super) to: String,

    /// The sandbox that signs and sends it
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4390", value_parser = client::http_url)]
    pub(super) sandbox: Url,

    /// Gives a field of the event another value; may be repeated
    #[arg(long, value_name = "FIELD=VALUE", value_parser = assignment)]
    pub(super) set: Vec<(String, String)>,

    /// Sends this header too; may be repeated
    // Parsed later: an error of this parser repeats the text, whose value may be a secret.
    #[arg(long, value_name = "NAME: VALUE")]
    pub(super) header: Vec<String>,

    /// The sandbox's access token, if it asks for one
    ///
    /// Other users of the machine can see the options of a command: give it in the variable instead.
    #[arg(long, value_name = "TOKEN", env = "IDNOW_SANDBOX_ACCESS_TOKEN", hide_env_values = true,
          value_parser = NonEmptyStringValueParser::new())]
    pub(super) access_token: Option<String>,

    /// Prints one JSON object, for other programs
    #[arg(long)]
    pub(super) json: bool,
}

fn assignment(text: &str) -> Result<(String, String), &'static str> {
    let (field, value) =
        text.split_once('=').ok_or("expected FIELD=VALUE, such as payload.flowId=my-flow")?;
    Ok((field.trim().to_owned(), value.to_owned()))
}
