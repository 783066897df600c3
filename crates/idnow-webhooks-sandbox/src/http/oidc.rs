//! The provider's side of OpenID Connect: discovery, keys, and access tokens for the session API.

use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::{Choice, ConstantTimeEq as _};
use url::form_urlencoded;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::access_tokens::LIFETIME;
use super::authorization::basic;
use super::body::{self, Unread};
use super::problem::Problem;
use crate::builder::Client;

/// How long a receiver may keep the keys: as long as after a rotation it may not know the new one.
const KEYS_CACHED: &str = "public, max-age=300";

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default()
        .routes(routes!(read_discovery))
        .routes(routes!(read_key_set))
        .routes(routes!(issue_token))
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

/// The form of a token request.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "the schema of what is read by hand")]
struct TokenRequest {
    /// `client_credentials`.
    grant_type: String,
    /// The client, unless the header `Authorization` names it.
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// Its secret.
    #[schema(write_only, nullable = false)]
    client_secret: Option<String>,
}

/// An access token (RFC 6749, section 5.1).
#[derive(Serialize, ToSchema)]
struct TokenAnswer {
    /// For `Authorization: Bearer`.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// How long it is valid, in seconds.
    expires_in: u64,
}

/// Why there is no access token (RFC 6749, section 5.2).
#[derive(Debug, Serialize, ToSchema)]
struct TokenError {
    /// What went wrong, for programs.
    error: TokenErrorCode,
    /// What went wrong, for people.
    error_description: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum TokenErrorCode {
    InvalidRequest,
    InvalidClient,
    UnsupportedGrantType,
    TemporarilyUnavailable,
}

impl TokenError {
    fn new(error: TokenErrorCode, description: &str) -> Self {
        Self { error, error_description: description.to_owned() }
    }
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let status = match self.error {
            TokenErrorCode::InvalidClient => StatusCode::UNAUTHORIZED,
            TokenErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut response = (status, UNSTORED, Json(self)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = http::HeaderValue::from_static("Basic realm=\"sandbox\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

const UNSTORED: [(http::HeaderName, &str); 2] = [(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")];

/// Issues an access token for the session API.
///
/// The client proves who it is by `client_secret_basic` or `client_secret_post`, not both.
#[utoipa::path(
    post, path = "/oidc/token", tag = "provider",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    security(("client" = []), ()),
    responses(
        (status = 200, description = "The token.", body = TokenAnswer),
        (
            status = 400,
            description = "`invalid_request` or `unsupported_grant_type`.",
            body = TokenError,
        ),
        (
            status = 401, description = "`invalid_client`.", body = TokenError,
            headers(("WWW-Authenticate" = String, description = "`Basic`.")),
        ),
        (status = 503, description = "`temporarily_unavailable`.", body = TokenError),
    ),
)]
async fn issue_token(State(api): State<Arc<Api>>, request: Request) -> Response {
    match grant(&api, request).await {
        Ok(answer) => (UNSTORED, Json(answer)).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn grant(api: &Api, request: Request) -> Result<TokenAnswer, TokenError> {
    let (parts, body) = request.into_parts();
    if !is_form(&parts.headers) {
        return Err(invalid_request("the body must be application/x-www-form-urlencoded"));
    }
    let bytes = body::read(body).await.map_err(|unread| {
        invalid_request(match unread {
            Unread::TooLarge => "the body is too large",
            Unread::TooSlow => "the body did not arrive in time",
            Unread::Broken => "the body broke off",
        })
    })?;
    let form = Form::read(&bytes)?;
    let grant_type = form.grant_type.as_deref().ok_or_else(|| invalid_request("`grant_type` is missing"))?;
    authenticate(api.sandbox.clients(), &parts.headers, &form)?;
    if grant_type != "client_credentials" {
        let code = TokenErrorCode::UnsupportedGrantType;
        return Err(TokenError::new(code, "the one grant is `client_credentials`"));
    }
    let access_token = api
        .access_tokens
        .issue(Instant::now())
        .map_err(|error| TokenError::new(TokenErrorCode::TemporarilyUnavailable, &error.to_string()))?;
    Ok(TokenAnswer { access_token, token_type: "Bearer", expires_in: LIFETIME.as_secs() })
}

#[derive(Default)]
struct Form {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

impl Form {
    /// As RFC 6749, section 3.2 has it: no parameter twice, an empty one counts as left out, unknown ones as well.
    fn read(bytes: &[u8]) -> Result<Self, TokenError> {
        let mut form = Self::default();
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            let place = match name.as_ref() {
                "grant_type" => &mut form.grant_type,
                "client_id" => &mut form.client_id,
                "client_secret" => &mut form.client_secret,
                _ => continue,
            };
            if seen.contains(&name) {
                return Err(invalid_request("a parameter is repeated"));
            }
            *place = Some(value.into_owned()).filter(|value| !value.is_empty());
            seen.push(name);
        }
        Ok(form)
    }
}

fn authenticate(clients: &[Client], headers: &HeaderMap, form: &Form) -> Result<(), TokenError> {
    let refused = |why: &str| Err(TokenError::new(TokenErrorCode::InvalidClient, why));
    let Ok(basic) = basic(headers) else {
        return refused("`Authorization` is not `Basic`, with id and secret form-urlencoded, then base64");
    };
    let known = match (&basic, &form.client_id, &form.client_secret) {
        (Some(_), _, Some(_)) => {
            return Err(invalid_request("the client's secret is in the header and in the body: choose one"));
        }
        (Some((id, _)), Some(other), None) if id != other.as_bytes() => {
            return Err(invalid_request("the header and the body name two clients"));
        }
        (Some((id, secret)), ..) => is_known(clients, id, secret),
        (None, Some(id), Some(secret)) => is_known(clients, id.as_bytes(), secret.as_bytes()),
        (None, ..) => return refused("send the client's id and secret, in the header or in the body"),
    };
    if known { Ok(()) } else { refused("there is no such client, or its secret is another one") }
}

/// Digests have one length: the time of the comparison tells nothing, not even that of a secret.
fn is_known(clients: &[Client], id: &[u8], secret: &[u8]) -> bool {
    let same = |ours: &str, theirs: &[u8]| -> Choice {
        digest(&SHA256, ours.as_bytes()).as_ref().ct_eq(digest(&SHA256, theirs).as_ref())
    };
    let found = clients
        .iter()
        .fold(Choice::from(0), |found, client| found | (same(&client.id, id) & same(&client.secret, secret)));
    found.into()
}

fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

fn invalid_request(description: &str) -> TokenError {
    TokenError::new(TokenErrorCode::InvalidRequest, description)
}
