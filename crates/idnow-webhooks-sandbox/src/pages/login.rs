//! Who may see the pages. Where the sandbox has an access token, one signs in with it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequest as _, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::errors::Errors;
use super::failure::Failure;
use super::fields::{Asked, Sent, href};
use super::shell::{Shell, go, render};
use crate::http::accept::wants_page;
use crate::http::guard::{Guard, Refusal};
use crate::http::server::peer;

/// As a middleware: what comes from other sites is refused, and who is not signed in is sent to do so.
pub(super) async fn admitted(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    if let Err(problem) = guard.check_site(method, uri, headers) {
        return if wants_page(headers) {
            Failure::alone(&problem).into_response()
        } else {
            problem.into_response()
        };
    }
    if uri.path() == "/login" || guard.admits(peer(request.extensions()), headers).is_ok() {
        return next.run(request).await;
    }
    // A form that was sent is lost: it is the page before it that one comes back to.
    let wanted =
        if *method == Method::GET { uri.path_and_query().map_or("/", |path| path.as_str()) } else { "" };
    go(&href("/login", &[("next", wanted)]), None)
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    shell: Shell,
    next: String,
    errors: Errors,
}

pub(super) async fn form(State(guard): State<Arc<Guard>>, Asked(asked): Asked) -> Response {
    if !guard.needs_token() {
        return go("/", None);
    }
    render(&LoginPage { shell: Shell::bare(), next: asked.get("next").to_owned(), errors: Errors::default() })
}

pub(super) async fn sign_in(State(guard): State<Arc<Guard>>, request: Request) -> Result<Response, Failure> {
    let (client, headers) = (peer(request.extensions()), request.headers().clone());
    let Sent(sent) = Sent::from_request(request, &()).await?;
    let next = sent.get("next");
    let (status, wait, reason) = match guard.sign_in(client, &headers, sent.get("token")) {
        Ok(Some(cookie)) => return Ok(([(SET_COOKIE, cookie)], go(local(next), None)).into_response()),
        Ok(None) => return Ok(go("/", None)),
        Err(Refusal::WrongToken) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            None,
            "This is not the access token that the sandbox was started with.".to_owned(),
        ),
        Err(Refusal::TooOften { wait }) => {
            let seconds = wait.as_secs() + 1;
            let reason = format!("There were too many wrong ones. Try again in {seconds} s.");
            (StatusCode::TOO_MANY_REQUESTS, Some([(RETRY_AFTER, HeaderValue::from(seconds))]), reason)
        }
    };
    let mut errors = Errors::default();
    errors.add("token", reason);
    let page = LoginPage { shell: Shell::bare(), next: next.to_owned(), errors };
    Ok((status, wait, render(&page)).into_response())
}

pub(super) async fn sign_out(State(guard): State<Arc<Guard>>, headers: HeaderMap) -> Response {
    match guard.sign_out(&headers) {
        Some(cookie) => ([(SET_COOKIE, cookie)], go("/login", None)).into_response(),
        None => go("/", None),
    }
}

/// Only a page of ours: `//elsewhere` and `/\elsewhere` would be another site.
fn local(next: &str) -> &str {
    let mut letters = next.chars();
    let ours = letters.next() == Some('/')
        && !matches!(letters.next(), Some('/' | '\\'))
        && next.chars().all(|letter| letter.is_ascii_graphic());
    if ours { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_no_other_site() {
        for (next, leads) in [
            ("/deliveries?state=dead", "/deliveries?state=dead"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/a\r\nSet-Cookie: x=y", "/"),
            ("/\t/evil.example", "/"),
        ] {
            assert_eq!(local(next), leads, "{next:?}");
        }
    }
}
