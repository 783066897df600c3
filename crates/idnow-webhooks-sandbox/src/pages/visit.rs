//! The frame of the page that a request is for.

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::failure::Failure;
use super::fields::Fields;
use super::shell::{Done, Shell};
use crate::sandbox::Sandbox;

/// The header by which the script asks for the changing part of a page alone.
const FRAGMENT: &str = "x-fragment";

impl FromRequestParts<Sandbox> for Shell {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, sandbox: &Sandbox) -> Result<Self, Failure> {
        let mut shell = Self::at(parts.uri.path(), sandbox.counts().await?);
        shell.fragment = parts.headers.contains_key(FRAGMENT);
        shell.needs_token = sandbox.state().settings().access_token.is_some();
        shell.done = Done::told(Fields::of_query(&parts.uri).get("done"));
        Ok(shell)
    }
}
