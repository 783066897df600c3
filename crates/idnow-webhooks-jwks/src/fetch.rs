//! One fetch of the keys, from wherever they are: no caching, no second try.

use std::sync::Arc;
use std::time::Duration;

use idnow_webhooks_core::keys::KeySet;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::FetchError;
use crate::http_client::HttpClient;
use crate::location::Checked;
use crate::{discovery, file};

/// What a successful fetch brought.
pub(crate) struct Fetched {
    pub(crate) keys: KeySet,
    /// The number of usable entries.
    pub(crate) usable: usize,
    /// How long the keys may be used by what the server says. `None` if it does not say.
    pub(crate) lifetime: Option<Duration>,
}

/// Where and how to fetch.
pub(crate) struct Fetcher {
    pub(crate) location: Checked,
    pub(crate) http: HttpClient,
    pub(crate) timeout: Duration,
    pub(crate) max_bytes: usize,
}

impl Fetcher {
    pub(crate) async fn fetch(self: Arc<Self>) -> Result<Fetched, FetchError> {
        tokio::time::timeout(self.timeout, self.fetch_unbounded()).await.unwrap_or_else(|_| {
            Err(FetchError::Timeout { location: self.location.to_string(), limit: self.timeout })
        })
    }

    async fn fetch_unbounded(&self) -> Result<Fetched, FetchError> {
        let (location, body, lifetime) = match &self.location {
            Checked::Url(url) => self.http.get(url, self.max_bytes).await?,
            Checked::Issuer { issuer, document } => {
                let url = discovery::key_url(&self.http, issuer, document, self.max_bytes).await?;
                self.http.get(&url, self.max_bytes).await?
            }
            Checked::File(path) => {
                let body = file::read(path, self.max_bytes).await?;
                // A file says nothing about its lifetime, and reading it again costs next to nothing.
                (path.display().to_string(), body, Some(Duration::ZERO))
            }
        };
        parse(location, &body, lifetime)
    }
}

fn parse(location: String, body: &[u8], lifetime: Option<Duration>) -> Result<Fetched, FetchError> {
    #[derive(Deserialize)]
    struct Document {
        keys: Vec<IgnoredAny>,
    }
    let keys = match KeySet::from_jwks(body) {
        Ok(keys) => keys,
        Err(source) => return Err(FetchError::KeySet { location, source }),
    };
    // An empty set is what a broken deployment of the key server looks like. Nobody revokes every key without
    // publishing a new one, and whoever does stops all deliveries at the source.
    if keys.is_empty() {
        return Err(FetchError::NoUsableKeys { location, skipped: keys.skipped().to_vec() });
    }
    let entries = serde_json::from_slice::<Document>(body).map_or(0, |document| document.keys.len());
    let usable = entries.saturating_sub(keys.skipped().len());
    Ok(Fetched { keys, usable, lifetime })
}
