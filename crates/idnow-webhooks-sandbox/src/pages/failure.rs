//! What could not be shown or done.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::prose::{Prose, sentence};
use super::shell::{Shell, render};
use crate::error::Error;
use crate::http::problem::Problem;

/// An error as a page.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    heading: &'static str,
    reason: String,
    /// Where one goes on from there.
    back: Option<String>,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, heading: &'static str, reason: impl Into<String>) -> Self {
        Self { status, heading, reason: reason.into(), back: Some("/".to_owned()) }
    }

    /// For somebody who may see nothing else.
    pub(crate) fn alone(problem: &Problem) -> Self {
        Self { back: None, ..Self::from(problem) }
    }

    /// Where one goes on from there.
    pub(crate) fn back_to(mut self, href: impl Into<String>) -> Self {
        self.back = Some(href.into());
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

/// What the management API would say, as a page.
impl From<&Problem> for Failure {
    fn from(problem: &Problem) -> Self {
        let (status, heading, reason) = problem.told();
        Self::new(status, heading, sentence(reason))
    }
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage<'a> {
    shell: Shell,
    heading: &'static str,
    reason: Prose<'a>,
    back: Option<String>,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let shell = if self.back.is_some() { Shell::bare().with_places() } else { Shell::bare() };
        let page = FailurePage { shell, heading: self.heading, reason: Prose(&self.reason), back: self.back };
        (self.status, render(&page)).into_response()
    }
}
