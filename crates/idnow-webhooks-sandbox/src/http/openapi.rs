//! The OpenAPI document: made from the handlers, and from what stands in front of all of them.

use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, Content, PathItem, Ref, RefOr, Response};

use super::manage::PREFIX;
use super::problem::Problem;
use crate::live::Change;

const MANAGEMENT: &str = "management";
const SESSION_API: &str = "sessionApi";
const CLIENT: &str = "client";

#[derive(OpenApi)]
#[openapi(
    info(title = "IDnow webhooks sandbox", description = "The provider's side of IDnow's webhooks on your own machine."),
    components(schemas(Problem, Change)),
    tags(
        (name = "provider", description = "What the provider offers to receivers: keys, access tokens, sessions."),
        (name = "flows", description = "What sessions run through."),
        (name = "endpoints", description = "Where events are sent to."),
        (name = "sessions", description = "Runs of a person through a flow."),
        (name = "scenarios", description = "Sessions that run by themselves."),
        (name = "triggers", description = "Single events, without an endpoint."),
        (name = "events", description = "What happened to sessions."),
        (name = "deliveries", description = "Events on their way to endpoints."),
        (name = "chaos", description = "What goes wrong on purpose."),
        (name = "keys", description = "Keys that sign."),
        (name = "overview", description = "How much there is."),
        (name = "changes", description = "What changes, live."),
        (name = "health", description = "Whether it is ready."),
        (name = "document", description = "This document."),
    ),
)]
struct Document;

/// What the handlers are added to.
pub(super) fn base() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    let components = document.components.get_or_insert_with(Components::new);
    for (name, scheme, description) in [
        (
            MANAGEMENT,
            HttpAuthScheme::Bearer,
            "The access token that the sandbox was started with, if it was.",
        ),
        (SESSION_API, HttpAuthScheme::Bearer, "An access token from `/oidc/token`."),
        (
            CLIENT,
            HttpAuthScheme::Basic,
            "A client of the session API; id and secret are form-urlencoded first.",
        ),
    ] {
        let mut http = Http::new(scheme);
        http.description = Some(description.to_owned());
        components.add_security_scheme(name, SecurityScheme::Http(http));
    }
    document
}

/// Adds what the handlers do not say themselves: the refusals that follow from what an operation reads, and from who
/// may use it.
pub(super) fn completed(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    for (path, item) in &mut document.paths.paths {
        let (managed, session_api) = (path.starts_with(PREFIX), is_session_api(path));
        for operation in operations(item) {
            if managed {
                let token = SecurityRequirement::new(MANAGEMENT, [""; 0]);
                operation.security = Some(vec![token, SecurityRequirement::default()]);
                refusal(operation, 403, "`host_not_allowed` or `cross_site`");
                refusal(
                    operation,
                    429,
                    "`too_many_attempts`: wrong access tokens. `Retry-After` tells for how long.",
                );
            }
            if session_api {
                operation.security = Some(vec![SecurityRequirement::new(SESSION_API, [""; 0])]);
            }
            if managed || session_api {
                refusal(operation, 401, "`unauthorized`");
                refusal(operation, 503, "`unavailable`");
                refusals_of_input(operation);
            }
        }
    }
    document
}

fn refusals_of_input(operation: &mut Operation) {
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let in_path = |parameter: &Parameter| parameter.parameter_in == ParameterIn::Path;
    let has_path = parameters.iter().any(|one| matches!(one, RefOr::T(parameter) if in_path(parameter)));
    let has_body = operation.request_body.is_some();
    if has_path {
        refusal(operation, 404, "`not_found`");
    }
    if has_body {
        refusal(operation, 400, "`malformed_json` or `invalid_input`");
        refusal(operation, 408, "`request_timeout`");
        refusal(operation, 413, "`body_too_large`");
        refusal(operation, 415, "`unsupported_media_type`");
    } else if operation.parameters.is_some() {
        refusal(operation, 400, "`invalid_input`");
    }
}

fn refusal(operation: &mut Operation, status: u16, description: &str) {
    let mut response = Response::new(description);
    response.content.insert(
        "application/problem+json".to_owned(),
        RefOr::T(Content::new(Some(Ref::from_schema_name("Problem")))),
    );
    // What the handler says itself says more.
    operation.responses.responses.entry(status.to_string()).or_insert(RefOr::T(response));
}

fn is_session_api(path: &str) -> bool {
    path.starts_with("/api/") || path.starts_with("/v1/")
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
}
