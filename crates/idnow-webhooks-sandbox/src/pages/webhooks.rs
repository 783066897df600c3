//! Webhooks: added, changed, switched off and deleted.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use uuid::Uuid;

use super::errors::Errors;
use super::failure::Failure;
use super::fields::{Asked, Sent, id};
use super::flows::Confirm;
use super::shell::{Done, Shell, go, render};
use super::webhook_form::Form;
use crate::model::{EndpointChange, Flow};
use crate::sandbox::Sandbox;

const FIELDS: [&str; 6] = ["url", "environment", "description", "events", "headers", "concurrency"];
#[derive(Template)]
#[template(path = "webhook.html")]
struct WebhookPage {
    shell: Shell,
    heading: &'static str,
    flow: Flow,
    /// `None`: it is to be added.
    id: Option<Uuid>,
    action: String,
    form: Form,
}

fn adding(shell: Shell, flow: Flow, form: Form) -> Response {
    let action = format!("/flows/{}/webhooks", flow.id);
    render(&WebhookPage { shell, heading: "Add webhook", flow, id: None, action, form })
}

fn editing(shell: Shell, flow: Flow, id: Uuid, form: Form) -> Response {
    let action = format!("/webhooks/{id}");
    render(&WebhookPage { shell, heading: "Edit webhook", flow, id: Some(id), action, form })
}

pub(super) async fn blank(
    State(sandbox): State<Sandbox>,
    shell: Shell,
    Path(flow): Path<String>,
    Asked(asked): Asked,
) -> Result<Response, Failure> {
    let flow = sandbox.flow(id("flow", &flow)?).await?;
    let form = Form::blank(&flow, asked.get("environment"));
    Ok(adding(shell, flow, form))
}

pub(super) async fn add(
    State(sandbox): State<Sandbox>,
    shell: Shell,
    Path(flow): Path<String>,
    Sent(sent): Sent,
) -> Result<Response, Failure> {
    let flow = sandbox.flow(id("flow", &flow)?).await?;
    let mut form = Form::typed(&sent);
    if form.changes_rows(&sent) {
        return Ok(adding(shell, flow, form));
    }
    if let Some(new) = form.endpoint(flow.id) {
        match sandbox.create_endpoint(new).await {
            Ok(_) => return Ok(go(&format!("/flows/{}", flow.id), Some(Done::WebhookAdded))),
            Err(error) => form.errors = Errors::about(error, &FIELDS)?,
        }
    }
    Ok((StatusCode::UNPROCESSABLE_ENTITY, adding(shell, flow, form)).into_response())
}

pub(super) async fn edit(
    State(sandbox): State<Sandbox>,
    shell: Shell,
    Path(webhook): Path<String>,
) -> Result<Response, Failure> {
    let endpoint = sandbox.endpoint(id("endpoint", &webhook)?).await?;
    let flow = sandbox.flow(endpoint.flow_id).await?;
    Ok(editing(shell, flow, endpoint.id, Form::of(&endpoint)))
}

pub(super) async fn change(
    State(sandbox): State<Sandbox>,
    shell: Shell,
    Path(webhook): Path<String>,
    Sent(sent): Sent,
) -> Result<Response, Failure> {
    let endpoint = sandbox.endpoint(id("endpoint", &webhook)?).await?;
    let flow = sandbox.flow(endpoint.flow_id).await?;
    let mut form = Form::typed(&sent);
    form.environment.clone_from(&endpoint.environment);
    if form.changes_rows(&sent) {
        return Ok(editing(shell, flow, endpoint.id, form));
    }
    if let Some(typed) = form.endpoint(flow.id) {
        let change = EndpointChange {
            url: Some(typed.url),
            description: Some(typed.description),
            headers: Some(typed.headers),
            events: Some(typed.events),
            enabled: Some(typed.enabled),
            token_place: Some(typed.token_place),
            concurrency: Some(typed.concurrency),
        };
        match sandbox.change_endpoint(endpoint.id, change).await {
            Ok(_) => return Ok(go(&format!("/flows/{}", flow.id), Some(Done::WebhookSaved))),
            Err(error) => form.errors = Errors::about(error, &FIELDS)?,
        }
    }
    Ok((StatusCode::UNPROCESSABLE_ENTITY, editing(shell, flow, endpoint.id, form)).into_response())
}

pub(super) async fn enable(
    State(sandbox): State<Sandbox>,
    Path(webhook): Path<String>,
) -> Result<Response, Failure> {
    switch(&sandbox, &webhook, true, Done::WebhookEnabled).await
}

pub(super) async fn disable(
    State(sandbox): State<Sandbox>,
    Path(webhook): Path<String>,
) -> Result<Response, Failure> {
    switch(&sandbox, &webhook, false, Done::WebhookDisabled).await
}

async fn switch(sandbox: &Sandbox, webhook: &str, enabled: bool, done: Done) -> Result<Response, Failure> {
    let change = EndpointChange { enabled: Some(enabled), ..EndpointChange::default() };
    let endpoint = sandbox.change_endpoint(id("endpoint", webhook)?, change).await?;
    Ok(go(&format!("/flows/{}", endpoint.flow_id), Some(done)))
}

pub(super) async fn confirm(
    State(sandbox): State<Sandbox>,
    shell: Shell,
    Path(webhook): Path<String>,
) -> Result<Response, Failure> {
    let endpoint = sandbox.endpoint(id("endpoint", &webhook)?).await?;
    Ok(render(&Confirm {
        shell,
        heading: "Delete this webhook?",
        subject: endpoint.url,
        consequence: "Its deliveries that have not arrived end at once. Their history stays.",
        problem: None,
        action: format!("/webhooks/{}/delete", endpoint.id),
        verb: "Delete webhook",
        back: format!("/flows/{}", endpoint.flow_id),
    }))
}

pub(super) async fn delete(
    State(sandbox): State<Sandbox>,
    Path(webhook): Path<String>,
) -> Result<Response, Failure> {
    let endpoint = sandbox.endpoint(id("endpoint", &webhook)?).await?;
    sandbox.delete_endpoint(endpoint.id).await?;
    Ok(go(&format!("/flows/{}", endpoint.flow_id), Some(Done::WebhookDeleted)))
}
