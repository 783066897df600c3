use serde::Deserialize;
use url::Url;

use crate::error::FetchError;
use crate::http_client::HttpClient;
use crate::location::{is_safe, shown, shown_text};

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

/// Asks the issuer's discovery document (OpenID Connect Discovery 1.0) where the keys are.
pub(crate) async fn key_url(
    http: &HttpClient,
    issuer: &str,
    document_url: &Url,
    max_bytes: usize,
) -> Result<Url, FetchError> {
    let (url, body, _) = http.get(document_url, max_bytes).await?;
    let document: Document = match serde_json::from_slice(&body) {
        Ok(document) => document,
        Err(source) => return Err(FetchError::Discovery { url, source }),
    };
    // Section 4.3: without this check one tenant of a shared server could speak for another.
    if document.issuer != issuer {
        let found = document.issuer.chars().take(200).collect();
        return Err(FetchError::IssuerMismatch { url, expected: issuer.to_owned(), found });
    }
    match Url::parse(&document.jwks_uri) {
        Ok(key_url) if is_safe(&key_url) => Ok(key_url),
        _ => {
            let found = shown_text(&document.jwks_uri).chars().take(200).collect();
            Err(FetchError::KeyUrl { url: shown(document_url), found })
        }
    }
}
