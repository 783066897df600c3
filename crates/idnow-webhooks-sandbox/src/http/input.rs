//! What a request of the management API says, checked: every refusal names what is wrong.

use std::borrow::Cow;

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::form_urlencoded;
use utoipa::IntoParams;

use super::body::{self, BODY_DEADLINE, LARGEST_BODY, Unread};
use super::problem::{Code, Problem};
use crate::model::PageRequest;

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                Code::UnsupportedMediaType,
                "send the body as JSON, with `Content-Type: application/json`",
            ));
        }
        let bytes = body::read(request.into_body()).await.map_err(|unread| match unread {
            Unread::TooLarge => {
                Problem::new(Code::BodyTooLarge, format!("a body has at most {LARGEST_BODY} bytes"))
            }
            Unread::TooSlow => Problem::new(
                Code::RequestTimeout,
                format!("the whole body must arrive within {} s", BODY_DEADLINE.as_secs()),
            ),
            Unread::Broken => Problem::new(Code::MalformedJson, "the body broke off"),
        })?;
        from_json(&bytes).map(Self)
    }
}

/// The parameters of the query.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        from_query(&parts.uri).map(Self)
    }
}

/// The parameters of the query of a list: what it is filtered by, and the part of it that is wanted.
pub(crate) struct Listed<T>(pub(crate) T, pub(crate) PageRequest);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Listed<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        listed(&parts.uri)
    }
}

/// Which part of a list is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    /// How many at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u16>,
    /// `next` of the page before.
    after: Option<String>,
}

/// All of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Everything {}

/// The parameters of the path: one value, or a tuple.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let rejection = match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => return Ok(Self(value)),
            Err(rejection) => rejection,
        };
        let raw = RawPathParams::from_request_parts(parts, state).await;
        let nth = |index| raw.iter().flatten().nth(index).map(|(name, _)| name.to_owned());
        let problem = Problem::new(Code::InvalidInput, rejection.body_text());
        let PathRejection::FailedToDeserializePathParams(failed) = rejection else { return Err(problem) };
        let field = match failed.into_kind() {
            ErrorKind::ParseErrorAtKey { key, .. }
            | ErrorKind::InvalidUtf8InPathParam { key }
            | ErrorKind::DeserializeError { key, .. } => Some(key),
            ErrorKind::ParseErrorAtIndex { index, .. } => nth(index),
            _ => nth(0),
        };
        Err(match field {
            Some(field) => problem.at(field),
            None => problem,
        })
    }
}

/// Whether the body is said to be JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let malformed = |error: serde_json::Error| Problem::new(Code::MalformedJson, error.to_string());
    // Lists are read as structs otherwise, by the order of their items.
    if let Some(first) = bytes.iter().find(|byte| !byte.is_ascii_whitespace())
        && *first != b'{'
    {
        serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(malformed)?;
        return Err(Problem::new(Code::InvalidInput, "the body must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() { invalid(&path, &inner.to_string()) } else { malformed(inner) }
    })?;
    json.end().map_err(malformed)?;
    Ok(value)
}

fn from_query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    from_form(uri.query().unwrap_or_default())
}

fn from_form<T: DeserializeOwned>(encoded: &str) -> Result<T, Problem> {
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(encoded.as_bytes()));
    serde_path_to_error::deserialize(pairs)
        .map_err(|error| invalid(&error.path().to_string(), &error.inner().to_string()))
}

/// Each half is read by itself, so that each refuses what it does not know.
fn listed<T: DeserializeOwned>(uri: &Uri) -> Result<Listed<T>, Problem> {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let (part, filter): (Vec<_>, Vec<_>) =
        pairs.partition(|(name, _)| matches!(name.as_ref(), "limit" | "after"));
    let encoded = |pairs: Vec<(Cow<'_, str>, Cow<'_, str>)>| {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    };
    let Part { limit, after } = from_form(&encoded(part))?;
    let limit = limit.unwrap_or(PageRequest::default().limit);
    if !(1..=PageRequest::MOST).contains(&limit) {
        return Err(Problem::invalid("limit", "must be 1 to 500"));
    }
    Ok(Listed(from_form(&encoded(filter))?, PageRequest { limit, after }))
}

/// `path` leads to the value that is wrong; a member that is missing, unknown or repeated is named by the
/// message alone.
fn invalid(path: &str, message: &str) -> Problem {
    let named = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start)?.split('`').next());
    let inside = path.trim_end_matches(['.', '?']);
    let field = match named {
        None if inside.is_empty() => return Problem::new(Code::InvalidInput, message),
        None => inside.to_owned(),
        Some(name) if inside.is_empty() || inside == name || inside.ends_with(&format!(".{name}")) => {
            if inside.is_empty() {
                name.to_owned()
            } else {
                inside.to_owned()
            }
        }
        Some(name) => format!("{inside}.{name}"),
    };
    Problem::invalid(field, message)
}

#[cfg(test)]
mod tests;
