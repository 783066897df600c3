//! Flows, and the webhooks of one.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use uuid::Uuid;

use super::errors::Errors;
use super::failure::Failure;
use super::fields::{Asked, Fields, Pager, Sent, id};
use super::prose::sentence;
use super::shell::{Done, Shell, go, render};
use super::show::{Badge, Time, Tone, span};
use crate::error::Error;
use crate::model::{Endpoint, Flow, NewFlow, PageRequest, TokenPlace};
use crate::sandbox::Sandbox;

/// How many flows a page has.
const PER_PAGE: u16 = 50;
/// How many webhooks of a flow are shown.
pub(crate) const MOST_WEBHOOKS: u16 = 500;

#[derive(Template)]
#[template(path = "flows.html")]
struct FlowsPage {
    shell: Shell,
    rows: Vec<FlowRow>,
    pager: Pager,
    form: FlowForm,
}

struct FlowRow {
    id: Uuid,
    name: String,
    webhooks: String,
    ttl: String,
    created: Time,
}

struct FlowForm {
    name: String,
    ttl: String,
    errors: Errors,
}

impl Default for FlowForm {
    fn default() -> Self {
        Self { name: String::new(), ttl: "86400".to_owned(), errors: Errors::default() }
    }
}

pub(super) async fn list(
    State(sandbox): State<Sandbox>,
    shell: Shell,
    Asked(asked): Asked,
) -> Result<Response, Failure> {
    show_list(&sandbox, shell, &asked, FlowForm::default()).await
}

async fn show_list(
    sandbox: &Sandbox,
    shell: Shell,
    asked: &Fields,
    form: FlowForm,
) -> Result<Response, Failure> {
    let page = sandbox.flows(asked.page(PER_PAGE)).await?;
    let mut rows = Vec::with_capacity(page.items.len());
    for flow in page.items {
        let webhooks = sandbox.endpoints(Some(flow.id), None, webhooks_page()).await?;
        rows.push(FlowRow {
            id: flow.id,
            name: flow.name,
            webhooks: match (webhooks.items.len(), webhooks.next) {
                (0, _) => "none".to_owned(),
                (amount, None) => amount.to_string(),
                (amount, Some(_)) => format!("more than {amount}"),
            },
            ttl: span(flow.session_ttl_seconds.saturating_mul(1000)),
            created: Time::new(flow.created_at),
        });
    }
    let pager = Pager::new("/flows", &[], asked.get("after"), page.next.as_deref());
    Ok(render(&FlowsPage { shell, rows, pager, form }))
}

fn webhooks_page() -> PageRequest {
    PageRequest { limit: MOST_WEBHOOKS, after: None }
}

pub(super) async fn add(
    State(sandbox): State<Sandbox>,
    shell: Shell,
    Sent(sent): Sent,
) -> Result<Response, Failure> {
    let mut form = FlowForm {
        name: sent.get("name").to_owned(),
        ttl: sent.get("sessionTtlSeconds").to_owned(),
        errors: Errors::default(),
    };
    if let Ok(session_ttl_seconds) = form.ttl.parse() {
        match sandbox.create_flow(NewFlow { name: form.name.clone(), session_ttl_seconds }).await {
            Ok(flow) => return Ok(go(&format!("/flows/{}", flow.id), Some(Done::FlowAdded))),
            Err(error) => form.errors = Errors::about(error, &["name", "sessionTtlSeconds"])?,
        }
    } else {
        form.errors.add("sessionTtlSeconds", "A whole number of seconds, such as 3600.");
    }
    let page = show_list(&sandbox, shell, &Fields::default(), form).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

#[derive(Template)]
#[template(path = "flow.html")]
struct FlowPage {
    shell: Shell,
    flow: Flow,
    ttl: String,
    created: Time,
    groups: Vec<Group>,
    more: bool,
}

/// The webhooks of an environment.
struct Group {
    environment: String,
    items: Vec<WebhookRow>,
}

struct WebhookRow {
    id: Uuid,
    state: Badge,
    enabled: bool,
    url: String,
    description: String,
    events: String,
    events_whole: String,
    token_place: &'static str,
    headers: String,
    concurrency: u16,
}

impl WebhookRow {
    fn new(endpoint: Endpoint) -> Self {
        let names: Vec<String> = endpoint.events.into_iter().collect();
        let headers: Vec<&str> = endpoint.headers.iter().map(|header| header.name.as_str()).collect();
        Self {
            id: endpoint.id,
            state: if endpoint.enabled {
                Badge::new(Tone::Good, "Enabled")
            } else {
                Badge::new(Tone::Off, "Disabled")
            },
            enabled: endpoint.enabled,
            url: endpoint.url,
            description: endpoint.description,
            events: match names.as_slice() {
                [] => "all".to_owned(),
                [one] => one.clone(),
                several => format!("{} kinds", several.len()),
            },
            events_whole: if names.is_empty() {
                "All, kinds that do not exist yet included".to_owned()
            } else {
                names.join(", ")
            },
            token_place: match endpoint.token_place {
                TokenPlace::Body => "body",
                TokenPlace::Header => "header",
            },
            headers: match headers.as_slice() {
                [] => "none".to_owned(),
                [one] => (*one).to_owned(),
                several => format!("{} headers", several.len()),
            },
            concurrency: endpoint.concurrency,
        }
    }
}

pub(super) async fn one(
    State(sandbox): State<Sandbox>,
    shell: Shell,
    Path(flow): Path<String>,
) -> Result<Response, Failure> {
    let flow = sandbox.flow(id("flow", &flow)?).await?;
    let page = sandbox.endpoints(Some(flow.id), None, webhooks_page()).await?;
    let mut groups: BTreeMap<String, Vec<WebhookRow>> = BTreeMap::new();
    for endpoint in page.items {
        groups.entry(endpoint.environment.clone()).or_default().push(WebhookRow::new(endpoint));
    }
    let groups = groups.into_iter().map(|(environment, items)| Group { environment, items }).collect();
    Ok(render(&FlowPage {
        shell,
        ttl: span(flow.session_ttl_seconds.saturating_mul(1000)),
        created: Time::new(flow.created_at),
        flow,
        groups,
        more: page.next.is_some(),
    }))
}

/// Something that is only done after a second look.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(super) struct Confirm {
    pub(super) shell: Shell,
    pub(super) heading: &'static str,
    pub(super) subject: String,
    pub(super) consequence: &'static str,
    pub(super) problem: Option<String>,
    pub(super) action: String,
    pub(super) verb: &'static str,
    pub(super) back: String,
}

pub(super) async fn confirm(
    State(sandbox): State<Sandbox>,
    shell: Shell,
    Path(flow): Path<String>,
) -> Result<Response, Failure> {
    let flow = sandbox.flow(id("flow", &flow)?).await?;
    Ok(render(&confirmation(shell, &flow, None)))
}

fn confirmation(shell: Shell, flow: &Flow, problem: Option<String>) -> Confirm {
    Confirm {
        shell,
        heading: "Delete this flow?",
        subject: flow.name.clone(),
        consequence: "Sessions that ran through it stay, and so does the history of their deliveries.",
        problem,
        action: format!("/flows/{}/delete", flow.id),
        verb: "Delete flow",
        back: format!("/flows/{}", flow.id),
    }
}

pub(super) async fn delete(
    State(sandbox): State<Sandbox>,
    shell: Shell,
    Path(flow): Path<String>,
) -> Result<Response, Failure> {
    let flow = sandbox.flow(id("flow", &flow)?).await?;
    match sandbox.delete_flow(flow.id).await {
        Ok(()) => Ok(go("/flows", Some(Done::FlowDeleted))),
        Err(Error::Conflict { reason }) => {
            let page = render(&confirmation(shell, &flow, Some(sentence(&reason))));
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}
