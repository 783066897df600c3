//! Access tokens for the session API (RFC 6749, section 4.4).

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::client::authenticate;
use super::refusal::{TokenError, TokenErrorCode, UNSTORED, invalid_request};
use crate::http::Api;
use crate::http::access_tokens::LIFETIME;
use crate::http::body::{self, Unread};

pub(super) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::default().routes(routes!(issue_token))
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
    let (id, secret) = (form.client_id.as_deref(), form.client_secret.as_deref());
    authenticate(api.sandbox.clients(), &parts.headers, id, secret)?;
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

fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}
