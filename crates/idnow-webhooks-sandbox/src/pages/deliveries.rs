//! What is on its way, and the history of one delivery.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use uuid::Uuid;

use super::failure::Failure;
use super::faults::ShownFault;
use super::fields::{Asked, Fields, Pager, id};
use super::json::Json;
use super::overview::Counts;
use super::rows::{Row, Rows, ShownAnswer, endpoint_url, label, rows};
use super::shell::{Done, Shell, go, render};
use super::show::{Choice, Time, span};
use crate::error::Error;
use crate::model::{Attempt, Delivery, DeliveryFilter, DeliveryState, PageRequest};
use crate::sandbox::Sandbox;

/// How many deliveries a page has.
const PER_PAGE: u16 = 50;
/// How many attempts are shown: the last ones.
const MOST_ATTEMPTS: u16 = 50;

#[derive(Template)]
#[template(path = "deliveries.html")]
struct DeliveriesPage {
    shell: Shell,
    counts: Counts,
    rows: Rows,
    states: Vec<Choice>,
    endpoints: Vec<Choice>,
    filtered: bool,
    pager: Pager,
}

pub(super) async fn list(
    State(sandbox): State<Sandbox>,
    shell: Shell,
    Asked(asked): Asked,
) -> Result<Response, Failure> {
    let (state, endpoint) = (asked.get("state"), asked.get("endpoint"));
    let filter = DeliveryFilter {
        state: DeliveryState::ALL.into_iter().find(|known| known.name() == state),
        endpoint_id: asked.read("endpoint"),
        ..DeliveryFilter::default()
    };
    let filtered = filter != DeliveryFilter::default();
    let page = sandbox.deliveries(filter, asked.page(PER_PAGE)).await?;
    let query = [("state", state), ("endpoint", endpoint)];
    Ok(render(&DeliveriesPage {
        counts: Counts::of(&shell),
        rows: rows(&sandbox, "delivery-rows", &page.items).await?,
        states: DeliveryState::ALL.map(|known| Choice::new(known.name(), label(known), state)).into(),
        endpoints: webhooks(&sandbox, endpoint).await?,
        filtered,
        pager: Pager::new("/deliveries", &query, asked.get("after"), page.next.as_deref()),
        shell: shell.following("endpoint delivery deliveries"),
    }))
}

/// The webhooks to choose from.
pub(super) async fn webhooks(sandbox: &Sandbox, chosen: &str) -> Result<Vec<Choice>, Error> {
    let most = PageRequest { limit: super::flows::MOST_WEBHOOKS, after: None };
    let endpoints = sandbox.endpoints(None, None, most).await?.items;
    let label = |url: &str, environment: &str| format!("{environment}: {url}");
    Ok(endpoints
        .iter()
        .map(|endpoint| {
            Choice::new(endpoint.id.to_string(), label(&endpoint.url, &endpoint.environment), chosen)
        })
        .collect())
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    shell: Shell,
    delivery: Row,
    webhook_href: Option<String>,
    created: Time,
    items: Vec<AttemptRow>,
    left_out: u32,
}

struct AttemptRow {
    number: u32,
    started: Time,
    duration: String,
    answer: ShownAnswer,
    url: String,
    /// How long it came after the one before.
    waited_for: Option<String>,
    token: Option<Token>,
    faults: Vec<ShownFault>,
}

struct Token {
    header: Json,
    claims: Json,
}

pub(super) async fn one(
    State(sandbox): State<Sandbox>,
    shell: Shell,
    Path(delivery): Path<String>,
) -> Result<Response, Failure> {
    let delivery = sandbox.delivery(id("delivery", &delivery)?).await?;
    // One more, to tell how long the last one of them came after it.
    let most = PageRequest { limit: MOST_ATTEMPTS + 1, after: None };
    let attempts = sandbox.attempts(delivery.id, most).await?.items;
    let url = endpoint_url(&sandbox, delivery.endpoint_id).await?;
    let shown = attempts.iter().take(MOST_ATTEMPTS.into());
    let mut items = Vec::with_capacity(attempts.len());
    for (index, attempt) in shown.enumerate() {
        let under_way = index == 0 && delivery.state == DeliveryState::Sending;
        items.push(attempt_row(&sandbox, &delivery, attempt, attempts.get(index + 1), under_way).await?);
    }
    Ok(render(&DeliveryPage {
        webhook_href: url.as_ref().map(|_| format!("/webhooks/{}", delivery.endpoint_id)),
        created: Time::new(delivery.created_at),
        left_out: delivery.attempts.saturating_sub(MOST_ATTEMPTS.into()),
        delivery: Row::new(&delivery, url),
        items,
        shell: shell.following("endpoint delivery deliveries"),
    }))
}

async fn attempt_row(
    sandbox: &Sandbox,
    delivery: &Delivery,
    attempt: &Attempt,
    before: Option<&Attempt>,
    under_way: bool,
) -> Result<AttemptRow, Error> {
    let token = match sandbox.claims(delivery.id, attempt.number).await {
        Ok(claims) => Some(Token {
            header: Json(sandbox.token_header(delivery.id, attempt.number).await?),
            claims: Json(claims),
        }),
        Err(Error::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let waited = before.map(|before| attempt.started_at.signed_duration_since(before.started_at));
    Ok(AttemptRow {
        number: attempt.number,
        started: Time::new(attempt.started_at),
        duration: if attempt.answer.is_some() { span(attempt.duration_ms) } else { String::new() },
        answer: attempt.answer.as_ref().map_or_else(|| ShownAnswer::missing(under_way), ShownAnswer::new),
        url: attempt.url.clone(),
        faults: attempt.faults.iter().map(ShownFault::new).collect(),
        waited_for: waited.and_then(|waited| u64::try_from(waited.num_milliseconds()).ok()).map(span),
        token,
    })
}

pub(super) async fn retrigger(
    State(sandbox): State<Sandbox>,
    Path(delivery): Path<String>,
) -> Result<Response, Failure> {
    let href = format!("/deliveries/{delivery}");
    let delivery = sandbox.retrigger(id("delivery", &delivery)?).await;
    let delivery = delivery.map_err(|error| Failure::from(error).back_to(href))?;
    Ok(go(&format!("/deliveries/{}", delivery.id), Some(Done::Retriggered)))
}

/// The endpoint that a form or an address names.
pub(super) fn endpoint_of(fields: &Fields) -> Option<Uuid> {
    fields.read("endpoint")
}
