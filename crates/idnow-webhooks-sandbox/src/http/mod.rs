//! Everything that is served over HTTP.

pub(crate) mod accept;
mod access_tokens;
mod authorization;
pub(crate) mod body;
pub(crate) mod guard;
mod health;
mod input;
mod manage;
mod oidc;
mod openapi;
mod output;
pub(crate) mod problem;
pub(crate) mod server;
mod session_api;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Uri};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::accept::wants_page;
use self::access_tokens::AccessTokens;
use self::guard::{Guard, guarded};
use self::problem::{Code, Problem};
use crate::error::Error;
use crate::pages::Failure;
use crate::sandbox::Sandbox;

/// What handlers work with.
#[derive(Debug)]
struct Api {
    sandbox: Sandbox,
    access_tokens: AccessTokens,
    document: Bytes,
    /// Places for those who follow what changes.
    listeners: Arc<Semaphore>,
}

/// Serves a sandbox until it stops; the future then answers what is under way, and ends.
///
/// # Errors
///
/// [`Error::Unavailable`] if the machine has no random numbers.
pub(crate) fn serve(
    sandbox: Sandbox,
    listener: TcpListener,
) -> Result<impl Future<Output = ()> + Send + 'static, Error> {
    let stop = sandbox.state().stopping().clone();
    Ok(server::serve(router(sandbox)?, listener, stop))
}

fn router(sandbox: Sandbox) -> Result<Router, Error> {
    let settings = sandbox.state().settings();
    let guard = Arc::new(Guard::new(settings)?);
    let access_tokens = AccessTokens::new()?;
    // Texts and numbers: this cannot fail.
    let document = Bytes::from(serde_json::to_vec(&document()).unwrap_or_default());
    let pages = crate::pages::router(sandbox.clone(), Arc::clone(&guard));
    let listeners = Arc::new(Semaphore::new(manage::LISTENERS));
    let api = Arc::new(Api { sandbox, access_tokens, document, listeners });
    let session_api = Router::from(session_api::router())
        .layer(from_fn_with_state(Arc::clone(&api), session_api::authorized));
    let manage = Router::from(manage::router()).layer(from_fn_with_state(guard, guarded));
    Ok(routes(session_api, manage.merge(pages)).with_state(api))
}

/// All of them. `manage` and the session API come with what guards them.
fn routes(session_api: Router<Arc<Api>>, manage: Router<Arc<Api>>) -> Router<Arc<Api>> {
    Router::from(open())
        .merge(session_api)
        .merge(manage)
        .fallback(unknown_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(map_response(careful))
}

/// What everybody may use.
fn open() -> OpenApiRouter<Arc<Api>> {
    oidc::router().merge(health::router()).routes(routes!(read_document))
}

/// The OpenAPI document of all routes.
fn document() -> utoipa::openapi::OpenApi {
    let all = OpenApiRouter::<Arc<Api>>::with_openapi(openapi::base())
        .merge(open())
        .merge(session_api::router())
        .merge(manage::router());
    openapi::completed(all.into_openapi())
}

/// Reads the OpenAPI 3.1 document of everything that is served.
#[utoipa::path(
    get, path = "/openapi.json", tag = "document",
    responses((status = 200, description = "The document.", body = serde_json::Value)),
)]
async fn read_document(State(api): State<Arc<Api>>) -> Response {
    ([(CONTENT_TYPE, "application/json")], api.document.clone()).into_response()
}

async fn unknown_path(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path();
    answered(
        &headers,
        Problem::new(Code::UnknownPath, format!("there is nothing at `{path}`: see /openapi.json")),
    )
}

async fn method_not_allowed(method: Method, headers: HeaderMap) -> Response {
    let detail = format!("{method} is not among what `Allow` lists: see /openapi.json");
    answered(&headers, Problem::new(Code::MethodNotAllowed, detail))
}

/// To a person or to a program.
fn answered(headers: &HeaderMap, problem: Problem) -> Response {
    if wants_page(headers) { Failure::from(&problem).into_response() } else { problem.into_response() }
}

/// Answers are not kept unless they say so, not taken for anything else than they say, and no part of other sites. What is
/// no page has nothing to load either.
async fn careful(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests;
