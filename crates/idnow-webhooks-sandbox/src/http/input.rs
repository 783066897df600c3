//! What a request of the management API says, checked: every refusal names what is wrong.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Uri};
use serde::de::DeserializeOwned;

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

/// The part of a list that a query asks for.
pub(crate) fn page(limit: Option<u16>, after: Option<String>) -> Result<PageRequest, Problem> {
    let limit = limit.unwrap_or(PageRequest::default().limit);
    if !(1..=500).contains(&limit) {
        return Err(Problem::invalid("limit", "must be 1 to 500"));
    }
    Ok(PageRequest { limit, after })
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
    let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(query))
        .map_err(|error| invalid(&error.path().to_string(), &error.inner().to_string()))
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
mod tests {
    use serde::Deserialize;
    use uuid::Uuid;

    use super::*;
    use crate::model::{EndpointChange, NewEndpoint, NewFlow, SessionStatus, Step};

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[allow(dead_code, reason = "only how it is read matters")]
    struct Asked {
        flow_id: Option<Uuid>,
        status: Option<SessionStatus>,
        limit: Option<u16>,
    }

    fn field_of<T: DeserializeOwned>(json: &str) -> (Code, Option<String>) {
        let problem = from_json::<T>(json.as_bytes()).err().unwrap();
        (problem.code(), problem.field().map(str::to_owned))
    }

    fn at(field: &str) -> (Code, Option<String>) {
        (Code::InvalidInput, Some(field.to_owned()))
    }

    #[test]
    fn what_is_wrong_is_named() {
        let flow = Uuid::nil();
        assert_eq!(field_of::<NewFlow>("{}"), at("name"));
        assert_eq!(field_of::<NewFlow>(r#"{"name":1}"#), at("name"));
        assert_eq!(field_of::<NewFlow>(r#"{"name":"a","nmae":"b"}"#), at("nmae"));
        assert_eq!(field_of::<NewFlow>(r#"{"name":"a","name":"b"}"#), at("name"));
        assert_eq!(field_of::<NewFlow>(r#"{"name":"a","sessionTtlSeconds":-1}"#), at("sessionTtlSeconds"));
        let headers = |headers: &str| {
            format!(
                r#"{{"flowId":"{flow}","environment":"live","url":"https://a.example","headers":{headers}}}"#
            )
        };
        assert_eq!(field_of::<NewEndpoint>(&headers(r#"[{"name":"a"}]"#)), at("headers[0].value"));
        assert_eq!(
            field_of::<NewEndpoint>(&headers(r#"[{"name":"a","value":"b"},{"name":"a","value":2}]"#)),
            at("headers[1].value")
        );
        assert_eq!(
            field_of::<NewEndpoint>(&headers(r#"[{"name":"a","value":"b","c":1}]"#)),
            at("headers[0].c")
        );
        assert_eq!(field_of::<EndpointChange>(r#"{"tokenPlace":"cookie"}"#), at("tokenPlace"));
        assert_eq!(field_of::<EndpointChange>(r#"{"environment":"live"}"#), at("environment"));
        assert_eq!(field_of::<NewEndpoint>(&headers(r#"[["a","b"]]"#)), at("headers[0]"));
        for no_object in ["[]", r#"["a"]"#, " [\"a\",60]", "null", "1", r#""a""#, "true"] {
            assert_eq!(field_of::<NewFlow>(no_object), (Code::InvalidInput, None), "{no_object}");
        }
    }

    #[test]
    fn a_step_has_no_members_of_other_steps() {
        assert_eq!(field_of::<Step>(r#"{"step":"fly"}"#), at("step"));
        assert_eq!(field_of::<Step>("{}"), at("step"));
        assert_eq!(field_of::<Step>(r#"{"step":"complete","outcome":"perhaps"}"#).0, Code::InvalidInput);
        assert_eq!(field_of::<Step>(r#"{"step":"complete","outcom":"rejected"}"#), at("outcom"));
        assert_eq!(field_of::<Step>(r#"{"step":"abort","outcome":"rejected"}"#), at("outcome"));
    }

    #[test]
    fn what_is_no_json_is_told_apart() {
        for text in ["", "{", r#"{"name":"a"} x"#, "{'name':1}", "\u{feff}{}", r#"{"name":"a",}"#] {
            assert_eq!(field_of::<NewFlow>(text), (Code::MalformedJson, None), "{text}");
        }
        assert_eq!(from_json::<NewFlow>(b"{\"name\":\"\xff\"}").err().unwrap().code(), Code::MalformedJson);
        assert_eq!(field_of::<NewFlow>(&"[".repeat(10_000)), (Code::MalformedJson, None));
        let deep = format!("{{\"a\":{}", "[".repeat(10_000));
        assert_eq!(field_of::<serde_json::Value>(&deep).0, Code::MalformedJson);
    }

    #[test]
    fn a_query_is_read_as_strictly() {
        let ask = |query: &str| from_query::<Asked>(&format!("/manage?{query}").parse().unwrap());
        assert!(ask("").is_ok());
        assert!(ask("status=RUNNING&limit=3&flowId=00000000-0000-0000-0000-000000000000").is_ok());
        for (query, field) in [
            ("limit=-1", "limit"),
            ("limit=", "limit"),
            ("limit=1&limit=2", "limit"),
            ("limit=70000", "limit"),
            ("status=running", "status"),
            ("flowId=x", "flowId"),
            ("flowid=x", "flowid"),
        ] {
            let problem = ask(query).unwrap_err();
            assert_eq!((problem.code(), problem.field()), (Code::InvalidInput, Some(field)), "{query}");
        }
    }

    #[test]
    fn a_page_has_one_to_five_hundred() {
        assert_eq!(page(None, None).unwrap(), PageRequest::default());
        assert_eq!(page(Some(500), None).unwrap().limit, 500);
        for limit in [0, 501, u16::MAX] {
            assert_eq!(page(Some(limit), None).unwrap_err().field(), Some("limit"));
        }
    }

    #[test]
    fn the_media_type_is_json_whatever_its_parameters() {
        let with = |value: &str| HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/json ;x=y"] {
            assert!(is_json(&with(good)), "{good}");
        }
        for wrong in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "text/json", ""]
        {
            assert!(!is_json(&with(wrong)), "{wrong}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
