//! What was given up, and how it gets another chance.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::deliveries::{endpoint_of, webhooks};
use super::failure::Failure;
use super::fields::{Asked, Pager, Sent, href};
use super::rows::{Row, rows};
use super::shell::{Done, Shell, go, render};
use super::show::Choice;
use crate::model::{DeliveryFilter, DeliveryState};
use crate::sandbox::Sandbox;

/// How many dead letters a page has.
const PER_PAGE: u16 = 50;

#[derive(Template)]
#[template(path = "dead_letters.html")]
struct DeadLettersPage {
    shell: Shell,
    rows: Vec<Row>,
    endpoints: Vec<Choice>,
    /// The endpoint that the list is of, if it is of one.
    chosen: Option<String>,
    filtered: bool,
    pager: Pager,
}

pub(super) async fn list(
    State(sandbox): State<Sandbox>,
    shell: Shell,
    Asked(asked): Asked,
) -> Result<Response, Failure> {
    let endpoint = endpoint_of(&asked);
    let chosen = endpoint.map(|id| id.to_string());
    let filter = DeliveryFilter {
        state: Some(DeliveryState::Dead),
        endpoint_id: endpoint,
        ..DeliveryFilter::default()
    };
    let page = sandbox.deliveries(filter, asked.page(PER_PAGE)).await?;
    let name = chosen.as_deref().unwrap_or_default();
    Ok(render(&DeadLettersPage {
        rows: rows(&sandbox, "dead-rows", &page.items).await?.items,
        endpoints: webhooks(&sandbox, name).await?,
        filtered: endpoint.is_some(),
        pager: Pager::new("/dead-letters", &[("endpoint", name)], asked.get("after"), page.next.as_deref()),
        chosen,
        shell: shell.following("endpoint delivery deliveries"),
    }))
}

pub(super) async fn retrigger(State(sandbox): State<Sandbox>, Sent(sent): Sent) -> Result<Response, Failure> {
    let endpoint = endpoint_of(&sent);
    let name = endpoint.map(|id| id.to_string()).unwrap_or_default();
    let list = href("/dead-letters", &[("endpoint", &name)]);
    let retriggered = match (sent.read::<i64>("one"), sent.get("which"), endpoint) {
        (Some(one), ..) => sandbox.retrigger(one).await.map(|_| 1),
        (None, "endpoint", Some(endpoint)) => sandbox.retrigger_endpoint(endpoint).await,
        _ => {
            let selected: Vec<i64> = sent.all("delivery").filter_map(|id| id.parse().ok()).collect();
            if selected.is_empty() {
                return Err(Failure::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "Nothing was selected",
                    "Tick the dead letters that are to be sent again.",
                )
                .back_to(list));
            }
            sandbox.retrigger_many(&selected).await
        }
    };
    retriggered.map_err(|error| Failure::from(error).back_to(list.clone()))?;
    Ok(go(&list, Some(Done::Retriggered)))
}
