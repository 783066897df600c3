use std::time::Duration;

use serde::Deserialize;
use serde::de::{Error as _, Unexpected};
use url::Url;

use crate::document::Document;
use crate::error::FetchError;
use crate::http_client::HttpClient;
use crate::location::{is_safe, shown_text};

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

/// Where the keys are, and what the log says of the document that names them.
pub(crate) struct KeyUrl {
    pub(crate) url: Url,
    /// For how long a cache in between had known that.
    pub(crate) age: Duration,
    pub(crate) compressed: bool,
}

/// Asks the issuer's discovery document (OpenID Connect Discovery 1.0) where the keys are.
pub(crate) async fn key_url(
    http: &HttpClient,
    issuer: &str,
    document_url: &Url,
    max_bytes: usize,
) -> Result<KeyUrl, FetchError> {
    let Document { location: url, body, compressed, age, .. } = http.get(document_url, max_bytes).await?;
    let metadata = match parse(&body) {
        Ok(metadata) => metadata,
        Err(source) => return Err(FetchError::Discovery { url, source }),
    };
    // Section 4.3: without this check one tenant of a shared server could speak for another.
    if metadata.issuer != issuer {
        let found = metadata.issuer.chars().take(200).collect();
        return Err(FetchError::IssuerMismatch { url, expected: issuer.to_owned(), found });
    }
    // What speaks for another machine must not hand the choice of keys to whoever may listen on this one.
    let plain_http = document_url.scheme() == "http";
    match Url::parse(&metadata.jwks_uri) {
        Ok(url) if is_safe(&url) && (plain_http || url.scheme() == "https") => {
            Ok(KeyUrl { url, age, compressed })
        }
        _ => {
            let found = shown_text(&metadata.jwks_uri).chars().take(200).collect();
            Err(FetchError::KeyUrl { url, found })
        }
    }
}

/// Serde would also take the two strings from an array, by position, which no issuer means.
fn parse(body: &[u8]) -> Result<Metadata, serde_json::Error> {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(serde_json::Error::invalid_type(Unexpected::Seq, &"a JSON object"));
    }
    serde_json::from_slice(body)
}
