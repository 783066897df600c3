//! Who may see the pages. Where the sandbox has an access token, one signs in with it.
//!
//! The cookie does not hold the token but a digest of it: it is of no use anywhere else. There is no list of
//! who is signed in, so it holds until the browser is closed, or the sandbox gets another token.

use std::sync::Arc;

use askama::Template;
use aws_lc_rs::digest::{Context, SHA256};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};
use subtle::ConstantTimeEq as _;

use super::fields::{Asked, Sent, href};
use super::shell::{Shell, go, render};
use super::show::Errors;
use crate::http::guard::Guard;
use crate::sandbox::Sandbox;
use crate::secret::Secret;

/// Name and value of the cookie of a token. Cookies do not know ports: with a part of the digest in the name,
/// several sandboxes on a machine do not sign each other out.
fn cookie(token: &Secret) -> (String, String) {
    let mut context = Context::new(&SHA256);
    context.update(b"idnow-webhooks sandbox, pages\0");
    context.update(token.expose().as_bytes());
    let digest = URL_SAFE_NO_PAD.encode(context.finish());
    let (name, value) = digest.split_at(6);
    (format!("idnow-sandbox-{name}"), value.to_owned())
}

/// Whether a request has the cookie that one gets for this token.
pub(crate) fn cookie_admits(headers: &HeaderMap, token: &Secret) -> bool {
    let (name, value) = cookie(token);
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .any(|(known, given)| known == name && bool::from(given.as_bytes().ct_eq(value.as_bytes())))
}

/// As a middleware: what comes from other sites is refused, and who is not signed in is sent to do so.
pub(super) async fn admitted(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    if let Err(problem) = guard.check_site(method, uri, headers) {
        return problem.into_response();
    }
    if uri.path() == "/login" || guard.admits(headers) {
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

pub(super) async fn form(State(sandbox): State<Sandbox>, Asked(asked): Asked) -> Response {
    if sandbox.state().settings().access_token.is_none() {
        return go("/", None);
    }
    render(&LoginPage { shell: Shell::bare(), next: asked.get("next").to_owned(), errors: Errors::default() })
}

pub(super) async fn sign_in(State(sandbox): State<Sandbox>, Sent(sent): Sent) -> Response {
    let Some(token) = &sandbox.state().settings().access_token else { return go("/", None) };
    let next = sent.get("next");
    if bool::from(sent.get("token").as_bytes().ct_eq(token.expose().as_bytes())) {
        let (name, value) = cookie(token);
        let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict");
        return ([(SET_COOKIE, cookie)], go(local(next), None)).into_response();
    }
    let mut errors = Errors::default();
    errors.add("token", "This is not the access token that the sandbox was started with.");
    let page = LoginPage { shell: Shell::bare(), next: next.to_owned(), errors };
    (StatusCode::UNPROCESSABLE_ENTITY, render(&page)).into_response()
}

pub(super) async fn sign_out(State(sandbox): State<Sandbox>) -> Response {
    let Some(token) = &sandbox.state().settings().access_token else { return go("/", None) };
    let cookie = format!("{}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0", cookie(token).0);
    ([(SET_COOKIE, cookie)], go("/login", None)).into_response()
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
    use http::HeaderValue;

    use super::*;

    fn with(cookies: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(cookies).unwrap());
        headers
    }

    #[test]
    fn only_the_cookie_of_this_very_token_admits() {
        let token = Secret::from("correct-horse-battery".to_owned());
        let (name, value) = cookie(&token);
        assert!(!value.contains("correct") && !name.contains("correct"));
        assert!(cookie_admits(&with(&format!("other=1; {name}={value}")), &token));
        assert!(!cookie_admits(&with(&format!("{name}={value}")), &Secret::from("another".to_owned())));
        for wrong in ["", "a", &format!("{name}="), &format!("{name}={value}x"), &format!("x={value}")] {
            assert!(!cookie_admits(&with(wrong), &token), "{wrong}");
        }
        assert!(!cookie_admits(&HeaderMap::new(), &token));
    }

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
