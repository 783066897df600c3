//! What is typed about a webhook.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::errors::Errors;
use super::fields::Fields;
use super::show::Choice;
use crate::model::{Endpoint, EventKind, Flow, Header, MASK, NewEndpoint, TokenPlace};

/// How many headers a form can have.
const MOST_HEADERS: usize = 20;

/// What is in the form, as it was typed.
pub(super) struct Form {
    pub(super) url: String,
    pub(super) environment: String,
    pub(super) description: String,
    pub(super) events: Vec<Choice>,
    pub(super) headers: Vec<HeaderField>,
    pub(super) in_header: bool,
    pub(super) concurrency: String,
    pub(super) enabled: bool,
    pub(super) errors: Errors,
}

#[derive(Default)]
pub(super) struct HeaderField {
    pub(super) name: String,
    /// Only what was typed just now: values that are saved are not shown.
    pub(super) value: String,
    /// Under what name a value is saved; empty if there is none.
    pub(super) saved: String,
}

impl Form {
    pub(super) fn blank(flow: &Flow, environment: &str) -> Self {
        let environment = if environment.is_empty() { "staging" } else { environment };
        let usual = NewEndpoint::new(flow.id, environment, "");
        Self {
            url: usual.url,
            environment: usual.environment,
            description: usual.description,
            events: choices(&usual.events),
            headers: vec![HeaderField::default()],
            in_header: usual.token_place == TokenPlace::Header,
            concurrency: usual.concurrency.to_string(),
            enabled: usual.enabled,
            errors: Errors::default(),
        }
    }

    pub(super) fn of(endpoint: &Endpoint) -> Self {
        let saved = |header: &Header| HeaderField {
            name: header.name.clone(),
            value: String::new(),
            saved: header.name.clone(),
        };
        Self {
            url: endpoint.url.clone(),
            environment: endpoint.environment.clone(),
            description: endpoint.description.clone(),
            events: choices(&endpoint.events),
            headers: endpoint.headers.iter().map(saved).collect(),
            in_header: endpoint.token_place == TokenPlace::Header,
            concurrency: endpoint.concurrency.to_string(),
            enabled: endpoint.enabled,
            errors: Errors::default(),
        }
    }

    pub(super) fn typed(sent: &Fields) -> Self {
        let headers = sent.all("header-name").zip(sent.all("header-value")).zip(sent.all("header-saved"));
        Self {
            url: sent.get("url").to_owned(),
            environment: sent.get("environment").to_owned(),
            description: sent.get("description").to_owned(),
            events: choices(&sent.all("event").map(str::to_owned).collect()),
            headers: headers
                .map(|((name, value), saved)| HeaderField {
                    name: name.trim().to_owned(),
                    value: value.to_owned(),
                    saved: saved.to_owned(),
                })
                .collect(),
            in_header: sent.get("tokenPlace") == "header",
            concurrency: sent.get("concurrency").to_owned(),
            enabled: sent.has("enabled"),
            errors: Errors::default(),
        }
    }

    /// Whether one of the buttons was pressed that only change how many headers the form has.
    pub(super) fn changes_rows(&mut self, sent: &Fields) -> bool {
        if sent.has("add-header") {
            if self.headers.len() < MOST_HEADERS {
                self.headers.push(HeaderField::default());
            } else {
                self.errors.add("headers", format!("There can be at most {MOST_HEADERS} headers."));
            }
            return true;
        }
        let Some(index) = sent.read::<usize>("remove-header") else { return false };
        if index < self.headers.len() {
            self.headers.remove(index);
        }
        true
    }

    /// `None`, and an error in the form, if it cannot be made of what was typed.
    pub(super) fn endpoint(&mut self, flow: Uuid) -> Option<NewEndpoint> {
        let concurrency = self.concurrency.parse().ok();
        if concurrency.is_none() {
            self.errors.add("concurrency", "A whole number, 1 to 1000.");
        }
        let headers = self.headers();
        let mut new = NewEndpoint::new(flow, self.environment.as_str(), self.url.as_str());
        new.description.clone_from(&self.description);
        new.headers = headers?;
        new.events =
            self.events.iter().filter(|choice| choice.chosen).map(|choice| choice.value.clone()).collect();
        new.enabled = self.enabled;
        new.token_place = if self.in_header { TokenPlace::Header } else { TokenPlace::Body };
        new.concurrency = concurrency?;
        Some(new)
    }

    fn headers(&mut self) -> Option<Vec<Header>> {
        let mut headers = Vec::new();
        for field in &self.headers {
            let keeps = field.value.is_empty() && !field.saved.is_empty();
            if field.name.is_empty() && field.value.is_empty() && field.saved.is_empty() {
                continue;
            }
            if keeps && !field.name.eq_ignore_ascii_case(&field.saved) {
                let reason = format!(
                    "Type the value of {:?} again, since its header was renamed, or remove the header.",
                    field.saved
                );
                self.errors.add("headers", reason);
                return None;
            }
            let value = if keeps { MASK.to_owned() } else { field.value.clone() };
            headers.push(Header { name: field.name.clone(), value });
        }
        Some(headers)
    }
}

/// The kinds that there are, and others that were chosen by the API.
fn choices(chosen: &BTreeSet<String>) -> Vec<Choice> {
    let known = EventKind::ALL.map(|kind| Choice {
        value: kind.name().to_owned(),
        label: meaning(kind).to_owned(),
        chosen: chosen.contains(kind.name()),
    });
    let others = chosen
        .iter()
        .filter(|name| !EventKind::ALL.iter().any(|kind| kind.name() == name.as_str()))
        .map(|name| Choice { value: name.clone(), label: "Not sent yet".to_owned(), chosen: true });
    known.into_iter().chain(others).collect()
}

fn meaning(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Created => "The flow is ready to start",
        EventKind::Completed => "It ended with a final outcome",
        EventKind::Expired => "Its time has run out",
        EventKind::Aborted => "The person ended it",
        EventKind::Error => "It has failed",
    }
}
