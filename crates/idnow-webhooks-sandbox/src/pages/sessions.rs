//! Sessions: all of them, and how more are started.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use uuid::Uuid;

use super::errors::Errors;
use super::failure::Failure;
use super::fields::{Asked, Fields, Pager, Sent};
use super::shell::{Done, Shell, go, render};
use super::show::{Badge, Choice, Time, Tone};
use crate::error::Error;
use crate::model::{
    LastStep, NewSession, PageRequest, Scenario, ScenarioKind, Session, SessionFilter, SessionStatus,
};
use crate::sandbox::Sandbox;

/// How many sessions a page has.
const PER_PAGE: u16 = 50;

const STATUSES: [(SessionStatus, &str, &str); 6] = [
    (SessionStatus::Created, "created", "Created"),
    (SessionStatus::Running, "running", "Running"),
    (SessionStatus::Completed, "completed", "Completed"),
    (SessionStatus::Aborted, "aborted", "Aborted"),
    (SessionStatus::Expired, "expired", "Expired"),
    (SessionStatus::Error, "error", "Error"),
];

const KINDS: [(ScenarioKind, &str, &str); 5] = [
    (ScenarioKind::HappyPath, "happy_path", "Happy path"),
    (ScenarioKind::Expired, "expired", "Expired"),
    (ScenarioKind::Aborted, "aborted", "Aborted"),
    (ScenarioKind::Error, "error", "Error"),
    (ScenarioKind::Storm, "storm", "Storm of 1,000 sessions, mixed ends"),
];

#[derive(Template)]
#[template(path = "sessions.html")]
struct SessionsPage {
    shell: Shell,
    start: StartForm,
    play: StartForm,
    kinds: Vec<Choice>,
    flows: Vec<Choice>,
    statuses: Vec<Choice>,
    environment: String,
    filtered: bool,
    rows: Vec<SessionRow>,
    summary: String,
    pager: Pager,
}

/// What is typed to start sessions.
struct StartForm {
    flows: Vec<Choice>,
    environment: String,
    number: String,
    errors: Errors,
}

pub(super) struct SessionRow {
    pub(super) id: Uuid,
    pub(super) status: Badge,
    pub(super) flow_id: Uuid,
    pub(super) flow_name: String,
    pub(super) environment: String,
    pub(super) events: u64,
    pub(super) last_step: String,
    pub(super) expires: Option<Time>,
    pub(super) updated: Time,
}

impl SessionRow {
    pub(super) fn new(session: &Session, flow_name: String) -> Self {
        let has_ended = session.completed_at.is_some();
        Self {
            id: session.id,
            status: badge(session.status),
            flow_id: session.flow_id,
            flow_name,
            environment: session.environment.clone(),
            events: session.events,
            last_step: session.last_step.as_ref().map(last_step).unwrap_or_default(),
            expires: (!has_ended).then(|| Time::due(session.expires_at)),
            updated: Time::new(session.updated_at),
        }
    }
}

fn badge(status: SessionStatus) -> Badge {
    let tone = match status {
        SessionStatus::Created => Tone::Wait,
        SessionStatus::Running => Tone::Busy,
        SessionStatus::Completed => Tone::Good,
        SessionStatus::Aborted | SessionStatus::Expired => Tone::Off,
        SessionStatus::Error => Tone::Bad,
    };
    let label = STATUSES.iter().find(|(known, ..)| *known == status).map_or("Unknown", |(.., label)| label);
    Badge::new(tone, label)
}

fn last_step(step: &LastStep) -> String {
    format!("{} {}", step.id, step.status)
}

pub(super) async fn flow_name(sandbox: &Sandbox, flow: Uuid) -> Result<String, Error> {
    match sandbox.flow(flow).await {
        Ok(flow) => Ok(flow.name),
        Err(Error::NotFound { .. }) => Ok("a deleted flow".to_owned()),
        Err(error) => Err(error),
    }
}

async fn flows(sandbox: &Sandbox, chosen: &str) -> Result<Vec<Choice>, Error> {
    let flows = sandbox.flows(PageRequest { limit: PageRequest::MOST, after: None }).await?.items;
    Ok(flows.into_iter().map(|flow| Choice::new(flow.id.to_string(), flow.name, chosen)).collect())
}

pub(super) async fn list(
    State(sandbox): State<Sandbox>,
    shell: Shell,
    Asked(asked): Asked,
) -> Result<Response, Failure> {
    let nothing = Fields::default();
    show_list(&sandbox, shell, &asked, (&nothing, Errors::default()), (&nothing, Errors::default())).await
}

async fn show_list(
    sandbox: &Sandbox,
    shell: Shell,
    asked: &Fields,
    start: (&Fields, Errors),
    play: (&Fields, Errors),
) -> Result<Response, Failure> {
    let (flow, environment, status) = (asked.get("flow"), asked.get("environment"), asked.get("status"));
    let filter = SessionFilter {
        flow_id: asked.read("flow"),
        environment: (!environment.is_empty()).then(|| environment.to_owned()),
        status: STATUSES.iter().find(|(_, name, _)| *name == status).map(|(status, ..)| *status),
    };
    let filtered = filter != SessionFilter::default();
    let page = sandbox.sessions(filter, asked.page(PER_PAGE)).await?;
    let mut names: HashMap<Uuid, String> = HashMap::new();
    let mut rows = Vec::with_capacity(page.items.len());
    for session in &page.items {
        let name = if let Some(name) = names.get(&session.flow_id) {
            name.clone()
        } else {
            let name = flow_name(sandbox, session.flow_id).await?;
            names.insert(session.flow_id, name.clone());
            name
        };
        rows.push(SessionRow::new(session, name));
    }
    let query = [("flow", flow), ("environment", environment), ("status", status)];
    let kind = play.0.get("kind");
    // Whoever looks at one flow probably starts sessions of it.
    Ok(render(&SessionsPage {
        start: start_form(sandbox, start, flow, "ttlSeconds").await?,
        play: start_form(sandbox, play, flow, "sessions").await?,
        kinds: KINDS.iter().map(|(_, name, label)| Choice::new(*name, *label, kind)).collect(),
        flows: flows(sandbox, flow).await?,
        statuses: STATUSES.iter().map(|(_, name, label)| Choice::new(*name, *label, status)).collect(),
        environment: environment.to_owned(),
        filtered,
        rows,
        summary: summary(&shell),
        pager: Pager::new("/sessions", &query, asked.get("after"), page.next.as_deref()),
        shell: shell.following("session"),
    }))
}

async fn start_form(
    sandbox: &Sandbox,
    (sent, errors): (&Fields, Errors),
    flow: &str,
    number: &str,
) -> Result<StartForm, Error> {
    let environment = sent.get("environment");
    Ok(StartForm {
        flows: flows(sandbox, if sent.has("flowId") { sent.get("flowId") } else { flow }).await?,
        environment: if sent.has("environment") { environment } else { "staging" }.to_owned(),
        number: sent.get(number).to_owned(),
        errors,
    })
}

fn summary(shell: &Shell) -> String {
    let counts = shell.counts.sessions;
    format!(
        "In all: {} created, {} running, {} completed, {} aborted, {} expired, {} failed.",
        counts.created, counts.running, counts.completed, counts.aborted, counts.expired, counts.error
    )
}

/// An optional number; `Err` if it is something else.
fn number<T: std::str::FromStr>(sent: &Fields, name: &str) -> Result<Option<T>, ()> {
    let text = sent.get(name);
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| ()) }
}

pub(super) async fn start(
    State(sandbox): State<Sandbox>,
    shell: Shell,
    Sent(sent): Sent,
) -> Result<Response, Failure> {
    let mut errors = Errors::default();
    match (sent.read("flowId"), number(&sent, "ttlSeconds")) {
        (None, _) => errors.add("flowId", "Choose a flow."),
        (_, Err(())) => errors.add("ttlSeconds", "A whole number of seconds, or nothing."),
        (Some(flow_id), Ok(ttl_seconds)) => {
            let new = NewSession { flow_id, environment: sent.get("environment").to_owned(), ttl_seconds };
            match sandbox.create_session(new).await {
                Ok(session) => return Ok(go(&format!("/sessions/{}", session.id), None)),
                Err(error) => errors = Errors::about(error, &["environment", "ttlSeconds"])?,
            }
        }
    }
    let nothing = Fields::default();
    let page = show_list(&sandbox, shell, &nothing, (&sent, errors), (&nothing, Errors::default())).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

pub(super) async fn play(
    State(sandbox): State<Sandbox>,
    shell: Shell,
    Sent(sent): Sent,
) -> Result<Response, Failure> {
    let mut errors = Errors::default();
    let name = sent.get("kind");
    let kind = KINDS.iter().find(|(_, known, _)| *known == name).map(|(kind, ..)| *kind);
    match (sent.read("flowId"), kind, number(&sent, "sessions")) {
        (None, ..) => errors.add("flowId", "Choose a flow."),
        (_, None, _) => errors.add("kind", "Choose a scenario."),
        (.., Err(())) => errors.add("sessions", "A whole number, or nothing."),
        (Some(flow_id), Some(kind), Ok(sessions)) => {
            let scenario =
                Scenario { kind, flow_id, environment: sent.get("environment").to_owned(), sessions };
            match sandbox.play(scenario).await {
                Ok(_) => return Ok(go("/sessions", Some(Done::ScenarioPlayed))),
                Err(error) => errors = Errors::about(error, &["environment", "sessions"])?,
            }
        }
    }
    let nothing = Fields::default();
    let page = show_list(&sandbox, shell, &nothing, (&nothing, Errors::default()), (&sent, errors)).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}
