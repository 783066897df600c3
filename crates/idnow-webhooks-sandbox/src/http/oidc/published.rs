//! What a receiver finds without being known: where everything is, and the keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::CACHE_CONTROL;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::Api;
use crate::http::problem::Problem;

/// How long a receiver may keep the keys: as long as after a rotation it may not know the new one.
const KEYS_CACHED: &str = "public, max-age=300";

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default().routes(routes!(read_discovery)).routes(routes!(read_key_set))
}

/// What the issuer offers (OpenID Connect Discovery 1.0, RFC 8414).
#[derive(Debug, Serialize, ToSchema)]
struct Discovery {
    /// The `iss` of the tokens.
    issuer: String,
    /// Where its keys are.
    jwks_uri: String,
    /// Where access tokens are issued.
    token_endpoint: String,
    /// How a client proves who it is.
    token_endpoint_auth_methods_supported: [&'static str; 2],
    /// How an access token is asked for.
    grant_types_supported: [&'static str; 1],
    /// There is no authorization endpoint.
    response_types_supported: [&'static str; 1],
    /// Required by the standard.
    subject_types_supported: [&'static str; 1],
    /// The algorithms of tokens.
    id_token_signing_alg_values_supported: [&'static str; 1],
}

/// Tells what the issuer offers.
#[utoipa::path(
    get, path = "/oidc/.well-known/openid-configuration", tag = "provider",
    responses((status = 200, description = "Where everything is.", body = Discovery)),
)]
async fn read_discovery(State(api): State<Arc<Api>>) -> Response {
    let discovery = Discovery {
        issuer: api.sandbox.issuer().to_owned(),
        jwks_uri: api.sandbox.jwks_url().to_owned(),
        token_endpoint: format!("{}/oidc/token", api.sandbox.base_url()),
        token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"],
        grant_types_supported: ["client_credentials"],
        response_types_supported: ["none"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: ["RS256"],
    };
    ([(CACHE_CONTROL, KEYS_CACHED)], Json(discovery)).into_response()
}

/// A JSON Web Key Set (RFC 7517).
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the schema of what the sandbox makes")]
struct KeySet {
    /// The keys: the one that signs, and those that are still published.
    keys: Vec<PublicKey>,
}

/// A public RSA key (RFC 7517, RFC 7518).
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the schema of what the sandbox makes")]
struct PublicKey {
    /// `RSA`.
    kty: String,
    /// `sig`.
    r#use: String,
    /// `RS256`.
    alg: String,
    /// What tokens name it by.
    kid: String,
    /// The modulus, base64url.
    n: String,
    /// The exponent, base64url.
    e: String,
}

/// Publishes the keys that verify webhooks.
#[utoipa::path(
    get, path = "/oidc/.well-known/jwks.json", tag = "provider",
    responses(
        (status = 200, description = "The keys.", body = KeySet),
        (
            status = 503, description = "`unavailable`", body = Problem,
            content_type = "application/problem+json",
        ),
    ),
)]
async fn read_key_set(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let keys: Value = api.sandbox.jwks().await?;
    Ok(([(CACHE_CONTROL, KEYS_CACHED)], Json(keys)).into_response())
}
