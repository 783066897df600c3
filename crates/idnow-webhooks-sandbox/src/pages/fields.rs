//! What was typed into a form, or stands in an address.

use std::str::FromStr;

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use http::{StatusCode, Uri};

use super::failure::Failure;
use crate::error::Error;
use crate::http::body::{self, LARGEST_BODY, Unread};
use crate::model::PageRequest;

/// Names and values, in order; a name may come more than once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    fn parse(encoded: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(encoded).into_owned().collect())
    }

    pub(crate) fn of_query(uri: &Uri) -> Self {
        Self::parse(uri.query().unwrap_or_default().as_bytes())
    }

    /// The first value of that name without spaces around it; empty if there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.first(name).unwrap_or_default().trim()
    }

    /// A value, if there is a readable one. One that is not readable is not in a form of ours.
    pub(crate) fn read<T: FromStr>(&self, name: &str) -> Option<T> {
        self.get(name).parse().ok()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The part of a list that is asked for.
    pub(crate) fn page(&self, limit: u16) -> PageRequest {
        let after = self.get("after");
        PageRequest { limit, after: (!after.is_empty()).then(|| after.to_owned()) }
    }
}

/// The fields of the query.
pub(crate) struct Asked(pub(crate) Fields);

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(Fields::of_query(&parts.uri)))
    }
}

/// The fields of a form that was sent.
pub(crate) struct Sent(pub(crate) Fields);

impl<S: Sync> FromRequest<S> for Sent {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let unread = |status, reason: String| Failure::new(status, "The form could not be read", reason);
        let body = body::read(request.into_body()).await.map_err(|why| match why {
            Unread::TooLarge => {
                unread(StatusCode::PAYLOAD_TOO_LARGE, format!("A form has at most {LARGEST_BODY} bytes."))
            }
            Unread::TooSlow => unread(StatusCode::REQUEST_TIMEOUT, "It did not arrive in time.".to_owned()),
            Unread::Broken => unread(StatusCode::BAD_REQUEST, "It broke off.".to_owned()),
        })?;
        Ok(Self(Fields::parse(&body)))
    }
}

/// The identifier in a path: what cannot be one is not there.
pub(crate) fn id<T: FromStr>(what: &'static str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| Error::not_found(what, text).into())
}

/// An address with a query of those of the parts that have a value.
pub(crate) fn href(path: &str, query: &[(&str, &str)]) -> String {
    let mut encoded = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        encoded.append_pair(name, value);
    }
    let encoded = encoded.finish();
    if encoded.is_empty() { path.to_owned() } else { format!("{path}?{encoded}") }
}

/// Links to other parts of a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pager {
    pub(crate) first: Option<String>,
    pub(crate) next: Option<String>,
}

impl Pager {
    /// `query` is what the list is filtered by; `after` what this part was asked for by.
    pub(crate) fn new(path: &str, query: &[(&str, &str)], after: &str, next: Option<&str>) -> Self {
        Self {
            first: (!after.is_empty()).then(|| href(path, query)),
            next: next.map(|next| href(path, &[query, &[("after", next)]].concat())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_may_come_more_than_once() {
        let fields = Fields::parse(b"event=a&name=%20x+y%20&event=b%26c");
        assert_eq!(fields.all("event").collect::<Vec<_>>(), ["a", "b&c"]);
        assert_eq!(fields.get("name"), "x y");
        assert_eq!((fields.get("none"), fields.has("none")), ("", false));
        assert_eq!(Fields::parse(b"n=12").read::<u8>("n"), Some(12));
        assert_eq!(Fields::parse(b"n=1000").read::<u8>("n"), None);
    }

    #[test]
    fn links_to_other_parts_keep_the_filter() {
        let query = [("state", "dead"), ("endpoint", "")];
        let pager = Pager::new("/deliveries", &query, "7", Some("3&x"));
        assert_eq!(pager.first.as_deref(), Some("/deliveries?state=dead"));
        assert_eq!(pager.next.as_deref(), Some("/deliveries?state=dead&after=3%26x"));
        assert!(Pager::new("/deliveries", &query, "", None).first.is_none());
    }
}
