//! What there is, and where to begin.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::failure::Failure;
use super::rows::{Rows, rows};
use super::shell::{Shell, render};
use crate::model::{DeliveryFilter, PageRequest};
use crate::sandbox::Sandbox;

/// How many deliveries the overview shows.
const LATEST: u16 = 8;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview<'a> {
    shell: Shell,
    /// What goes wrong on purpose, as it is written.
    chaos: Option<String>,
    forgeries_accepted: u64,
    counts: Counts,
    start: Start,
    rows: Rows,
    base: &'a str,
    issuer: &'a str,
    jwks: &'a str,
    audience: String,
}

/// The numbers of the overview and of lists of deliveries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) sessions: u64,
    pub(crate) waiting: u64,
    pub(crate) sending: u64,
    pub(crate) delivered: u64,
    pub(crate) dead: u64,
}

impl Counts {
    pub(crate) fn of(shell: &Shell) -> Self {
        let sessions = shell.counts.sessions;
        let deliveries = shell.counts.deliveries;
        let ended = [sessions.completed, sessions.aborted, sessions.expired, sessions.error];
        Self {
            sessions: [sessions.created, sessions.running].iter().chain(&ended).sum(),
            waiting: deliveries.waiting,
            sending: deliveries.sending,
            delivered: deliveries.delivered,
            dead: deliveries.dead,
        }
    }
}

/// How far one has come with the first steps.
struct Start {
    flow: bool,
    webhook: bool,
    session: bool,
    /// Where a webhook can be added.
    flow_id: Option<String>,
}

impl Start {
    fn finished(&self) -> bool {
        self.flow && self.webhook && self.session
    }
}

pub(super) async fn page(State(sandbox): State<Sandbox>, shell: Shell) -> Result<Response, Failure> {
    let one = || PageRequest { limit: 1, after: None };
    let flow = sandbox.flows(one()).await?.items.into_iter().next();
    let endpoint = sandbox.endpoints(None, None, one()).await?.items.into_iter().next();
    let latest = PageRequest { limit: LATEST, after: None };
    let latest = sandbox.deliveries(DeliveryFilter::default(), latest).await?;
    let rows = rows(&sandbox, "latest-rows", &latest.items).await?;
    let counts = Counts::of(&shell);
    let start = Start {
        flow: flow.is_some(),
        webhook: endpoint.is_some(),
        session: counts.sessions > 0,
        flow_id: flow.map(|flow| flow.id.to_string()),
    };
    Ok(render(&Overview {
        chaos: sandbox.chaos().await?.settings.map(|chaos| chaos.to_string()),
        forgeries_accepted: shell.counts.forgeries_accepted,
        shell: shell.following("flow endpoint session delivery deliveries"),
        counts,
        start,
        rows,
        base: sandbox.base_url(),
        issuer: sandbox.issuer(),
        jwks: sandbox.jwks_url(),
        audience: endpoint
            .map_or_else(|| "http://127.0.0.1:3000/webhooks/idnow".to_owned(), |endpoint| endpoint.url),
    }))
}
