//! `admit`: verifies parked tokens again, and queues their events.

use std::sync::Arc;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use idnow_webhooks::store::{EventStore, ParkedToken};
use idnow_webhooks::{AsOf, Outcome, Receiver, Refusal, Settings};
use serde::Serialize;

use super::arguments::Admit;
use super::{Failure, Output, text};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

const AT_ONCE: usize = 100;
/// Lets a server that writes to the same file have its turn.
const PAUSE: Duration = Duration::from_millis(20);

/// What became of one token, for other programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Admitted {
    id: String,
    event_id: Option<String>,
    /// `stored`, `duplicate`, `fits` (with `--dry-run`) or `refused`.
    result: &'static str,
    /// Why it is still refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(super) async fn run(
    store: Arc<dyn EventStore>,
    admit: &Admit,
    output: &mut Output,
) -> Result<bool, Failure> {
    let receiver = Settings::from_env()?.admitting_receiver(Arc::clone(&store))?;
    let (mut looked_at, mut after, mut found) = (Vec::new(), 0, Vec::new());
    loop {
        let page = store.parked(after, AT_ONCE).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for token in page.iter().filter(|token| admit.names(token)) {
            found.extend([token.id.clone()].into_iter().chain(token.event_id.clone()));
            let one = one(&receiver, token, admit).await?;
            if !output.is_json() {
                output.text(&line(&one))?;
            }
            looked_at.push(one);
        }
        tokio::time::sleep(PAUSE).await;
    }
    let missing: Vec<_> = admit.ids.iter().filter(|id| !found.contains(id)).collect();
    if output.is_json() {
        output.document(&looked_at)?;
    } else {
        for id in &missing {
            output.text(&format!(
                "{}  {BAD}not admitted{BAD:#}: nothing of this id is parked",
                text::line(id)
            ))?;
        }
        output.text(&summary(&looked_at, admit))?;
    }
    Ok(missing.is_empty() && looked_at.iter().all(|token| token.result != "refused"))
}

async fn one(receiver: &Receiver, token: &ParkedToken, admit: &Admit) -> Result<Admitted, Failure> {
    let as_of = if admit.as_of_issue { AsOf::Issue } else { AsOf::Receipt };
    let result = if admit.dry_run {
        receiver.verify_parked(token, as_of).map(|_| "fits")
    } else {
        receiver.admit(token, as_of).await.map(|outcome| Outcome::code(&outcome))
    };
    let (id, event_id) = (token.id.clone(), token.event_id.clone());
    match result {
        Ok(result) => Ok(Admitted { id, event_id, result, code: None, reason: None }),
        Err(refusal @ Refusal::Token(_)) => {
            let (code, reason) = (Some(refusal.code()), Some(refusal.to_string()));
            Ok(Admitted { id, event_id, result: "refused", code, reason })
        }
        // Whatever was admitted before stays so, and the rest stays parked.
        Err(failed) => Err(failed.into()),
    }
}

fn line(token: &Admitted) -> String {
    let shown = text::line(token.event_id.as_deref().unwrap_or(&token.id));
    match (token.result, &token.reason) {
        (_, Some(reason)) => format!("{shown}  {BAD}stays parked{BAD:#}: {}", text::line(reason)),
        ("duplicate", None) => format!("{shown}  {GOOD}is in the inbox already{GOOD:#}"),
        ("fits", None) => format!("{shown}  {GOOD}fits{GOOD:#}"),
        (_, None) => format!("{shown}  {GOOD}queued{GOOD:#}"),
    }
}

fn summary(tokens: &[Admitted], admit: &Admit) -> String {
    let refused = tokens.iter().filter(|token| token.result == "refused").count();
    let done = tokens.len() - refused;
    let verb = if admit.dry_run { "would be admitted" } else { "admitted" };
    let by_time = |token: &Admitted| matches!(token.code, Some("expired" | "not_yet_valid" | "too_old"));
    let hint = if !admit.as_of_issue && tokens.iter().any(by_time) {
        "\nIf this machine's clock was wrong when they came: --as-of-issue judges them by the provider's clock."
    } else {
        ""
    };
    format!("{done} {verb}, {refused} still parked{hint}")
}
