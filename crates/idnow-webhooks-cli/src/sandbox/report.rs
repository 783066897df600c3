//! What a person, or a program, needs to know at the start.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use idnow_webhooks_sandbox::Client;
use serde_json::json;

use crate::print::{BOLD, DIM, Printer};
use crate::text;

/// Where a receiver usually listens while it is being written.
const RECEIVER: &str = "http://127.0.0.1:3000/webhooks/idnow";

pub(super) struct Started<'a> {
    pub(super) url: &'a str,
    pub(super) issuer: &'a str,
    pub(super) jwks_url: &'a str,
    pub(super) client: Option<&'a Client>,
    /// Whether its secret came with the command: then it is known, and not printed.
    pub(super) own_client: bool,
    pub(super) database: Option<&'a PathBuf>,
    /// What goes wrong on purpose.
    pub(super) chaos: Option<String>,
    pub(super) needs_token: bool,
}

impl Started<'_> {
    pub(super) fn print(&self, printer: &mut Printer) -> io::Result<bool> {
        let id = self.client.map(|client| client.id.as_str());
        let secret = self.client.filter(|_| !self.own_client).map(|client| client.secret.as_str());
        if printer.is_json() {
            return printer.document(&json!({
                "kind": "started",
                "url": self.url,
                "issuer": self.issuer,
                "jwksUrl": self.jwks_url,
                "clientId": id,
                "clientSecret": secret,
                "database": self.database,
                "chaos": self.chaos,
                "needsToken": self.needs_token,
            }));
        }
        let database = match self.database {
            Some(path) => path.display().to_string(),
            None => "in memory: gone when it stops".into(),
        };
        let mut lines = format!("sandbox on {BOLD}{}{BOLD:#}", text::line(self.url));
        for (what, value) in [
            ("database", Some(database.as_str())),
            ("issuer", Some(self.issuer)),
            ("keys", Some(self.jwks_url)),
            ("client id", id),
            ("client secret", secret),
            ("chaos", self.chaos.as_deref()),
        ] {
            if let Some(value) = value {
                // Writing to a `String` cannot fail.
                let _ = write!(lines, "\n{DIM}{what:<14}{DIM:#} {}", text::line(value));
            }
        }
        printer.text(&format!("{lines}\n\n{}\n\n{DIM}Ctrl-C stops{DIM:#}", self.next_steps()))
    }

    fn next_steps(&self) -> String {
        let Self { url, issuer, jwks_url, .. } = self;
        let token = if self.needs_token {
            " \\\n    -H \"Authorization: Bearer $IDNOW_SANDBOX_ACCESS_TOKEN\""
        } else {
            ""
        };
        let post = format!("  curl -H 'Content-Type: application/json'{token} {url}/manage/v1");
        format!(
            "\
A receiver believes it with these variables:
  export IDNOW_ISSUER={issuer}
  export IDNOW_JWKS_URL={jwks_url}
  export IDNOW_AUDIENCE={RECEIVER}
or look at what arrives: idnow-webhooks listen --sandbox {url}

Make a flow; its answer tells the id. Then an endpoint of the flow, and a session that runs through it:
{post}/flows -d '{{\"name\":\"First steps\"}}'
{post}/endpoints -d '{{\"flowId\":\"FLOW_ID\",\"environment\":\"staging\",\"url\":\"{RECEIVER}\"}}'
{post}/scenarios -d '{{\"kind\":\"happy_path\",\"flowId\":\"FLOW_ID\",\"environment\":\"staging\"}}'

Or send one event, without an endpoint:
  idnow-webhooks trigger session.completed --sandbox {url} --to {RECEIVER}"
        )
    }
}

pub(super) fn stopped(printer: &mut Printer) -> io::Result<bool> {
    if printer.is_json() {
        printer.document(&json!({ "kind": "stopped" }))
    } else {
        printer.text("\nstopped")
    }
}
