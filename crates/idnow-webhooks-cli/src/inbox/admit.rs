//! `admit` and `unpark`: puts parked tokens into the queue, or forgets them.

use std::sync::Arc;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use idnow_webhooks::store::{EventStore, ParkedToken};
use idnow_webhooks::{Outcome, Receiver, Refusal, Settings};
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

/// The parked tokens that these ids name, or all of them without any; and the ids that name none.
async fn named(store: &dyn EventStore, ids: &[String]) -> Result<(Vec<ParkedToken>, Vec<String>), Failure> {
    let (mut tokens, mut after) = (Vec::new(), 0);
    let is = |token: &ParkedToken, id: &String| *id == token.id || Some(id) == token.event_id.as_ref();
    loop {
        let page = store.parked(after, AT_ONCE).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        tokens.extend(page.into_iter().filter(|token| ids.is_empty() || ids.iter().any(|id| is(token, id))));
        tokio::time::sleep(PAUSE).await;
    }
    let missing = ids.iter().filter(|id| !tokens.iter().any(|token| is(token, id))).cloned().collect();
    Ok((tokens, missing))
}

pub(super) async fn admit(
    store: Arc<dyn EventStore>,
    admit: &Admit,
    output: &mut Output,
) -> Result<bool, Failure> {
    let receiver = Settings::from_env()?.admitting_receiver(Arc::clone(&store)).await?;
    let (tokens, missing) = named(&*store, &admit.ids).await?;
    let mut results = Vec::new();
    for token in &tokens {
        let one = one(&receiver, token, admit).await?;
        if !output.is_json() {
            output.text(&line(&one))?;
        }
        results.push(one);
    }
    if output.is_json() {
        output.document(&results)?;
    } else {
        not_there(&missing, output)?;
        output.text(&summary(&results, admit))?;
    }
    Ok(missing.is_empty() && results.iter().all(|token| token.result != "refused"))
}

pub(super) async fn unpark(
    store: &dyn EventStore,
    ids: &[String],
    output: &mut Output,
) -> Result<bool, Failure> {
    let (tokens, missing) = named(store, ids).await?;
    let mut forgotten = 0;
    for token in &tokens {
        forgotten += usize::from(store.unpark(&token.id).await?);
    }
    if output.is_json() {
        output.document(&serde_json::json!({ "unparked": forgotten }))?;
    } else {
        not_there(&missing, output)?;
        output.text(&format!("{forgotten} unparked"))?;
    }
    Ok(missing.is_empty())
}

fn not_there(missing: &[String], output: &mut Output) -> std::io::Result<()> {
    for id in missing {
        output.text(&format!("{}  {BAD}nothing of this id is parked{BAD:#}", text::line(id)))?;
    }
    Ok(())
}

async fn one(receiver: &Receiver, token: &ParkedToken, admit: &Admit) -> Result<Admitted, Failure> {
    let result = if admit.dry_run {
        receiver.verify_parked(token, admit.options()).map(|_| "fits")
    } else {
        receiver.admit(token, admit.options()).await.map(|outcome| Outcome::code(&outcome))
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
    let with =
        |codes: &[&str]| tokens.iter().any(|token| token.code.is_some_and(|code| codes.contains(&code)));
    let mut summary = format!("{done} {verb}, {refused} still parked");
    if !admit.as_of_issue && with(&["expired", "not_yet_valid", "too_old"]) {
        summary.push_str(
            "\nIf this machine's clock was wrong when they came: `--as-of-issue ID...` judges them by the provider's clock.",
        );
    }
    if !admit.trust_stored_key && with(&["unknown_key", "false_signature", "wrong_algorithm"]) {
        summary.push_str(
            "\nIf you know why their key is not published any more: `--trust-stored-key` believes the key that came with them.",
        );
    }
    summary
}
