//! One session: driven by hand, and what came of it.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use uuid::Uuid;

use super::failure::Failure;
use super::fields::{Sent, id};
use super::rows::{Rows, rows};
use super::sessions::{SessionRow, flow_name};
use super::shell::{Shell, go, render};
use super::show::Time;
use crate::model::{DeliveryFilter, Outcome, PageRequest, SessionStatus, Step};
use crate::sandbox::Sandbox;

/// What can happen to a session: the name in forms, the label, and what it is.
const STEPS: [(&str, &str, Step); 6] = [
    ("start", "Start", Step::Start),
    ("complete", "Complete: accepted", Step::Complete { outcome: Outcome::Accepted }),
    ("reject", "Complete: rejected", Step::Complete { outcome: Outcome::Rejected }),
    ("abort", "Abort", Step::Abort),
    ("expire", "Expire", Step::Expire),
    ("error", "Error", Step::Error),
];

#[derive(Template)]
#[template(path = "session.html")]
struct SessionPage {
    shell: Shell,
    session: SessionRow,
    outcome: &'static str,
    created: Time,
    started: Option<Time>,
    ended: Option<Time>,
    steps: Vec<StepButton>,
    events: Vec<EventRow>,
    more: bool,
}

struct StepButton {
    value: &'static str,
    label: &'static str,
    main: bool,
}

struct EventRow {
    id: Uuid,
    name: &'static str,
    sequence: u64,
    occurred: Time,
    rows: Rows,
}

pub(super) async fn one(
    State(sandbox): State<Sandbox>,
    shell: Shell,
    Path(session): Path<String>,
) -> Result<Response, Failure> {
    let session = sandbox.session(id("session", &session)?).await?;
    let most = || PageRequest { limit: PageRequest::MOST, after: None };
    let filter = DeliveryFilter { session_id: Some(session.id), ..DeliveryFilter::default() };
    let deliveries = sandbox.deliveries(filter, most()).await?;
    let page = sandbox.events(Some(session.id), most()).await?;
    let mut events = Vec::with_capacity(page.items.len());
    for event in page.items {
        let of_event: Vec<_> =
            deliveries.items.iter().filter(|delivery| delivery.event_id == event.id).cloned().collect();
        events.push(EventRow {
            id: event.id,
            name: event.name.name(),
            sequence: event.sequence,
            occurred: Time::new(event.occurred_at),
            rows: rows(&sandbox, format!("rows-{}", event.id), &of_event).await?,
        });
    }
    Ok(render(&SessionPage {
        outcome: match session.outcome {
            Some(Outcome::Accepted) => "accepted",
            Some(Outcome::Rejected) => "rejected",
            None => "",
        },
        created: Time::new(session.created_at),
        started: session.started_at.map(Time::new),
        ended: session.completed_at.map(Time::new),
        steps: steps(session.status),
        session: SessionRow::new(&session, flow_name(&sandbox, session.flow_id).await?),
        events,
        more: deliveries.next.is_some() || page.next.is_some(),
        shell: shell.following("session endpoint delivery deliveries"),
    }))
}

/// What can happen next.
fn steps(status: SessionStatus) -> Vec<StepButton> {
    let running = match status {
        SessionStatus::Created => false,
        SessionStatus::Running => true,
        _ => return Vec::new(),
    };
    let main = if running { "complete" } else { "start" };
    STEPS
        .iter()
        .filter(|(.., step)| !(running && *step == Step::Start))
        .map(|(value, label, ..)| StepButton { value, label, main: *value == main })
        .collect()
}

pub(super) async fn drive(
    State(sandbox): State<Sandbox>,
    Path(session): Path<String>,
    Sent(sent): Sent,
) -> Result<Response, Failure> {
    let id: Uuid = id("session", &session)?;
    let href = format!("/sessions/{id}");
    let name = sent.get("step");
    let Some((.., step)) = STEPS.iter().find(|(known, ..)| *known == name) else {
        let reason = "There is no such step of a session.";
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "Unknown step", reason).back_to(href));
    };
    sandbox.drive(id, *step).await.map_err(|error| Failure::from(error).back_to(href.clone()))?;
    Ok(go(&href, None))
}
