//! `list`, `show`, `parked` and `stats`: nothing is changed.

use anstyle::Style;
use chrono::{DateTime, Utc};
use idnow_webhooks::store::{Backlog, EventFilter, EventState, EventStore, StoredEvent};
use serde::Serialize;

use super::arguments::{List, Parked};
use super::{Failure, Output, table, text};

const DIM: Style = Style::new().dimmed();

pub(super) async fn list(
    store: &dyn EventStore,
    list: List,
    now: DateTime<Utc>,
    output: &mut Output,
) -> Result<bool, Failure> {
    let List { state, name, session, limit, before } = list;
    // One more than is shown tells whether there are more.
    let filter = EventFilter { state, name, session_id: session, before, limit: limit + 1 };
    let mut events = store.list(&filter).await?;
    let more = events.len() > limit;
    events.truncate(limit);
    if output.is_json() {
        output.document(&events)?;
        return Ok(true);
    }
    let Some(oldest) = events.last() else {
        output.text("There are no such events.")?;
        return Ok(true);
    };
    output.text(&table::events(&events, now, output.width()))?;
    if more {
        output.text(&format!("{DIM}There are more: add --before {}{DIM:#}", oldest.position))?;
    }
    Ok(true)
}

pub(super) async fn show(
    store: &dyn EventStore,
    event_id: &str,
    now: DateTime<Utc>,
    output: &mut Output,
) -> Result<bool, Failure> {
    let Some(event) = store.get(event_id).await? else {
        return Err(format!("there is no event {event_id:?} in this store").into());
    };
    if output.is_json() {
        output.document(&event)?;
    } else {
        output.text(&sheet(&event, now))?;
    }
    Ok(true)
}

/// All that is known of an event.
fn sheet(event: &StoredEvent, now: DateTime<Utc>) -> String {
    let due = if event.state == EventState::Running { "lease ends" } else { "due" };
    let of = |text: &Option<String>| text.as_deref().map(|text| text::line(text).into_owned());
    let at = |time: Option<DateTime<Utc>>| time.map(|time| text::time(time, now));
    let evidence = event.evidence.as_ref();
    let lines = [
        ("event", Some(text::line(&event.id).into_owned())),
        ("name", of(&event.name)),
        ("session", of(&event.session_id)),
        ("sequence", Some(event.sequence.to_string())),
        ("position", Some(event.position.to_string())),
        ("state", Some(event.state.name().to_owned())),
        ("runs", Some(event.runs.to_string())),
        ("received", at(Some(event.received_at))),
        (due, at(event.due_at)),
        ("finished", at(event.finished_at)),
        ("error", of(&event.error)),
        ("data", event.data.as_deref().map(block)),
        ("token", evidence.map(|evidence| text::line(&evidence.token).into_owned())),
        ("key", evidence.and_then(|evidence| Some(block(evidence.key.as_deref()?)))),
    ];
    let lines: Vec<_> = lines
        .into_iter()
        .filter_map(|(label, value)| Some(format!("{DIM}{label:<11}{DIM:#}{}", value?)))
        .collect();
    lines.join("\n")
}

/// JSON, in lines of its own below its label.
fn block(document: &str) -> String {
    format!("\n{}", text::pretty(document))
}

pub(super) async fn parked(
    store: &dyn EventStore,
    Parked { limit, after }: &Parked,
    now: DateTime<Utc>,
    output: &mut Output,
) -> Result<bool, Failure> {
    // As above.
    let mut tokens = store.parked(*after, limit + 1).await?;
    let more = tokens.len() > *limit;
    tokens.truncate(*limit);
    if output.is_json() {
        output.document(&tokens)?;
        return Ok(true);
    }
    let Some(last) = tokens.last() else {
        output.text("There are no such tokens.")?;
        return Ok(true);
    };
    output.text(&table::parked(&tokens, now, output.width()))?;
    if more {
        output.text(&format!("{DIM}There are more: add --after {}{DIM:#}", last.position))?;
    }
    Ok(true)
}

#[derive(Serialize)]
struct Stats {
    #[serde(flatten)]
    backlog: Backlog,
    completed: u64,
}

pub(super) async fn stats(store: &dyn EventStore, output: &mut Output) -> Result<bool, Failure> {
    let stats = Stats { backlog: store.backlog().await?, completed: store.completed().await? };
    if output.is_json() {
        output.document(&stats)?;
        return Ok(true);
    }
    let Stats { backlog: Backlog { waiting, running, dead, parked, oldest_waiting }, completed } = stats;
    let oldest = oldest_waiting.map(|age| format!(" (the oldest for {})", text::short(age)));
    output.text(&format!(
        "waiting    {waiting}{}\nrunning    {running}\ncompleted  {completed}\ndead       {dead}\nparked     {parked}",
        oldest.unwrap_or_default()
    ))?;
    Ok(true)
}
