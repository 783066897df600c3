//! `idnow-webhooks trigger`: one signed event.

mod arguments;
mod report;

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::print::Printer;
use crate::{Failure, client, text, wrong_usage};
pub(crate) use arguments::Arguments;
use report::Triggered;

/// An attempt of the sandbox takes ten minutes at most.
const LIMIT: Duration = Duration::from_mins(11);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The claims, and the beginning of an answer.
const LONGEST_ANSWER: usize = 256 * 1024;

/// What the management API says when it does not do something.
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
    field: Option<String>,
}

/// Sends it. Gives `false` if the receiver did not answer with 2xx.
pub(crate) async fn run(arguments: Arguments) -> Result<bool, Failure> {
    let Arguments { event, to, sandbox, set, header, access_token, json } = arguments;
    let mut overrides = BTreeMap::new();
    for (field, value) in set {
        if overrides.contains_key(&field) {
            return Err(wrong_usage("trigger", format!("--set {field} is given twice")).into());
        }
        overrides.insert(field, value);
    }
    let headers = header.iter().map(|text| {
        let (name, value) = text.split_once(':').ok_or_else(|| {
            wrong_usage(
                "trigger",
                "--header: expected 'Name: value'; what was given is not shown, as it may be a secret",
            )
        })?;
        Ok(json!({ "name": name.trim(), "value": value.trim() }))
    });
    let headers: Vec<_> = headers.collect::<Result<_, clap::Error>>()?;
    let body = json!({ "eventName": event, "url": to, "set": overrides, "headers": headers }).to_string();

    let url = client::below(&sandbox, "manage/v1/triggers");
    let client = client::builder(&url).timeout(LIMIT).connect_timeout(CONNECT_LIMIT).build();
    let mut request = client.map_err(client::explain)?.post(url).header("content-type", "application/json");
    if let Some(token) = access_token {
        request = request.bearer_auth(token);
    }
    let sandbox = client::shown(&sandbox);
    let mut response = request.body(body).send().await.map_err(|error| {
        let why = client::explain(error);
        format!("no sandbox answers at {sandbox}: {why}. To start one: idnow-webhooks sandbox")
    })?;
    let status = response.status();
    let broken = |why: String| format!("the sandbox at {sandbox} answered {status}, but {why}");
    let answer = client::read(&mut response, LONGEST_ANSWER).await;
    let answer = answer.map_err(|error| broken(client::explain(error)))?;
    if !status.is_success() {
        return Err(refused(status, &answer, &sandbox));
    }
    let triggered: Triggered<'_> = serde_json::from_slice(&answer).map_err(|_| {
        broken("not as this version of the command expects; have both the same version?".into())
    })?;
    triggered.print(&mut Printer::new(json))?;
    Ok(triggered.delivered)
}

fn refused(status: StatusCode, answer: &[u8], sandbox: &str) -> Failure {
    match serde_json::from_slice(answer) {
        Ok(Problem { code, field, detail }) if code == "invalid_input" => {
            let option = match field.as_deref() {
                Some("url") => "--to: ".into(),
                Some(field) if field.starts_with("headers") => "--header: ".into(),
                Some(field) if field.starts_with("set") => "--set: ".into(),
                Some(field) => format!("{field}: "),
                None => String::new(),
            };
            wrong_usage("trigger", text::line(&format!("{option}{detail}"))).into()
        }
        Ok(Problem { code, .. }) if code == "unauthorized" => format!(
            "the sandbox at {sandbox} asks for its access token, and has not got the right one: give it in \
             IDNOW_SANDBOX_ACCESS_TOKEN, or by --access-token"
        )
        .into(),
        Ok(Problem { detail, .. }) => format!("the sandbox did not send it: {}", text::line(&detail)).into(),
        Err(_) => {
            format!("what answers at {sandbox} is no sandbox, or one of another version: {status}").into()
        }
    }
}
