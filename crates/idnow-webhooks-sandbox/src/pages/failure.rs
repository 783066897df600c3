//! What could not be shown or done.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::shell::{Shell, render};
use super::show::Prose;
use crate::error::Error;

/// An error as a page.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    heading: &'static str,
    reason: String,
    back: String,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, heading: &'static str, reason: impl Into<String>) -> Self {
        Self { status, heading, reason: reason.into(), back: "/".to_owned() }
    }

    /// Where one goes on from there.
    pub(crate) fn back_to(mut self, href: impl Into<String>) -> Self {
        self.back = href.into();
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let reason = error.to_string();
        match error {
            Error::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "Not found", sentence(&reason)),
            Error::Invalid { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "That cannot be accepted", sentence(&reason))
            }
            Error::Conflict { .. } => {
                Self::new(StatusCode::CONFLICT, "That is not possible now", sentence(&reason))
            }
            Error::Unavailable(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The sandbox cannot do that now",
                sentence(&reason),
            ),
        }
    }
}

/// Errors are written without a capital letter and a full stop.
pub(crate) fn sentence(reason: &str) -> String {
    let mut letters = reason.chars();
    let stop = if reason.ends_with(['.', '!', '?']) { "" } else { "." };
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).chain(stop.chars()).collect(),
        None => String::new(),
    }
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage<'a> {
    shell: Shell,
    heading: &'static str,
    reason: Prose<'a>,
    back: String,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let shell = Shell::bare().with_places();
        let page = FailurePage { shell, heading: self.heading, reason: Prose(&self.reason), back: self.back };
        (self.status, render(&page)).into_response()
    }
}
