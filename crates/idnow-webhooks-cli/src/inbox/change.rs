//! `retry`, `retry-dead` and `purge`.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use idnow_webhooks::store::{self, EventState, EventStore, Replay, Retention, StoreError, StoredEvent};
use serde::Serialize;

use super::arguments::Purge;
use super::output::Progress;
use super::source::Source;
use super::{Failure, Output, text};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

const REPLAYED_AT_ONCE: usize = 100;
const PURGED_AT_ONCE: usize = 500;
/// Lets a server that writes to the same file have its turn.
const PAUSE: Duration = Duration::from_millis(20);

/// What became of one event, for other programs.
#[derive(Serialize)]
struct Retried<'a> {
    id: &'a str,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<EventState>,
}

pub(super) async fn retry(
    store: &dyn EventStore,
    event_ids: &[String],
    output: &mut Output,
) -> Result<bool, Failure> {
    let mut retried = Vec::new();
    let mut failed = None;
    for id in event_ids {
        let (result, state) = match store.replay(id).await {
            Ok(Replay::Queued) => ("queued", None),
            Ok(Replay::Refused(state)) => ("refused", Some(state)),
            Ok(Replay::Unknown) => ("unknown", None),
            Err(error) => {
                failed = Some(error);
                break;
            }
        };
        retried.push(Retried { id, result, state });
        if !output.is_json() {
            let shown = text::line(id);
            output.text(&match (result, state) {
                ("queued", _) => format!("{shown}  {GOOD}queued{GOOD:#}"),
                (_, Some(EventState::Running)) => {
                    format!("{shown}  {BAD}not queued{BAD:#}: {}", running(store, id).await)
                }
                (_, Some(state)) => format!("{shown}  {BAD}not queued{BAD:#}: it is {}", state.name()),
                (_, None) => format!("{shown}  {BAD}not queued{BAD:#}: there is no such event in this store"),
            })?;
        }
    }
    if output.is_json() {
        output.document(&retried)?;
    }
    match failed {
        None => Ok(retried.iter().all(|event| event.result == "queued")),
        Some(error) => {
            Err(format!("{error}; of {} events, {} were looked at before", event_ids.len(), retried.len())
                .into())
        }
    }
}

/// Why an event that runs is not queued, and what comes of it without an operator.
async fn running(store: &dyn EventStore, id: &str) -> String {
    let now = super::now();
    match store.get(id).await {
        Ok(Some(event)) if event.state != EventState::Running => {
            format!("it was being handled, and is {} now", event.state.name())
        }
        Ok(Some(StoredEvent { due_at: Some(until), .. })) if until > now => format!(
            "a worker holds it until {} UTC (in {}); if that worker is dead, it is handled when this ends",
            until.format("%H:%M:%S"),
            text::age(now, until),
        ),
        Ok(Some(StoredEvent { due_at: Some(_), .. })) => {
            "the worker that held it is late or dead; the next one handles it, as soon as one runs".into()
        }
        _ => "it is being handled right now".into(),
    }
}

pub(super) async fn retry_dead(
    store: &dyn EventStore,
    limit: Option<usize>,
    output: &mut Output,
) -> Result<bool, Failure> {
    // Some may fail again at once: they must not be taken for further ones, without end.
    let dead = usize::try_from(store.backlog().await?.dead).unwrap_or(usize::MAX);
    let most = limit.unwrap_or(dead).min(dead);
    let progress = Progress::new("queued", Some(most), output);
    let step = async |limit| store.replay_dead(limit).await;
    let queued = in_steps(progress, REPLAYED_AT_ONCE, most, step).await?;
    if output.is_json() {
        output.document(&serde_json::json!({ "queued": queued }))?;
    } else {
        output.text(&format!("queued {queued} {}", plural(queued, "dead letter", "dead letters")))?;
    }
    Ok(true)
}

/// What is wrong with the arguments, found before the store is opened.
pub(super) fn check(purge: &Purge) -> Result<(), String> {
    if !purge.dead {
        Retention::new(purge.older_than).map_err(|_| {
            format!(
                "completed events must be kept for at least {}, not {}: the provider may send one again for that long, \
                 and it would be taken for a new event",
                humantime::format_duration(Retention::MIN),
                humantime::format_duration(purge.older_than),
            )
        })?;
    }
    let somebody_there = io::stdin().is_terminal() && io::stderr().is_terminal();
    if !purge.yes && !somebody_there {
        return Err("nobody can be asked here whether to go on: add --yes to purge without a question".into());
    }
    Ok(())
}

pub(super) async fn purge(
    store: &dyn EventStore,
    purge: &Purge,
    source: &Source,
    output: &mut Output,
) -> Result<bool, Failure> {
    if !purge.yes && !confirmed(purge, source)? {
        return Err("nothing was purged".into());
    }
    let (state, older_than) = (purge.state(), purge.older_than);
    let step = async |limit| store.purge(store::Purge { state, older_than, limit }).await;
    // How many are old enough, no store tells.
    let progress = Progress::new("purged", None, output);
    let purged = in_steps(progress, PURGED_AT_ONCE, usize::MAX, step).await?;
    if output.is_json() {
        output.document(&serde_json::json!({ "purged": purged }))?;
    } else {
        output.text(&format!("purged {purged} {}", what(purge.dead, purged)))?;
    }
    Ok(true)
}

fn confirmed(purge: &Purge, source: &Source) -> io::Result<bool> {
    let mut to = io::stderr();
    let age = humantime::format_duration(purge.older_than);
    let (what, source) = (what(purge.dead, 2), source.to_string());
    write!(to, "Forget all {what} older than {age} in {}, for good? [y/N] ", text::line(&source))?;
    to.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn what(dead: bool, count: usize) -> &'static str {
    if dead {
        plural(count, "dead letter", "dead letters")
    } else {
        plural(count, "completed event", "completed events")
    }
}

fn plural(count: usize, one: &'static str, many: &'static str) -> &'static str {
    if count == 1 { one } else { many }
}

/// Calls `step` with the number of events that it may change, until it finds none or `most` are done.
pub(super) async fn in_steps(
    progress: Progress,
    at_once: usize,
    most: usize,
    step: impl AsyncFn(usize) -> Result<usize, StoreError>,
) -> Result<usize, Failure> {
    let mut done = 0;
    while done < most {
        let limit = at_once.min(most - done);
        let changed = step(limit)
            .await
            .map_err(|error| format!("{error}; {done} were {} before, and stay so", progress.verb))?;
        done += changed;
        if changed == 0 {
            // A store may do less at once than it is asked for, so anything else does not tell the end.
            break;
        }
        progress.show(done);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(done)
}
