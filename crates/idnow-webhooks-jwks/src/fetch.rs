//! One fetch of the keys, from wherever they are, without caching.

use std::sync::Arc;
use std::time::Duration;

use idnow_webhooks_core::keys::KeySet;

use crate::document::Document;
use crate::error::FetchError;
use crate::http_client::HttpClient;
use crate::location::Checked;
use crate::{discovery, file};

/// What a successful fetch brought.
pub(crate) struct Fetched {
    pub(crate) keys: KeySet,
    /// How long the keys may be used by what the server says. `None` if it does not say.
    pub(crate) lifetime: Option<Duration>,
    /// How old they were already at most, because a cache in between answered.
    pub(crate) age: Duration,
    /// Whether anything came in gzip, though nobody asked for that.
    pub(crate) compressed: bool,
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
        let document = match &self.location {
            Checked::Url(url) => self.http.get(url, self.max_bytes).await?,
            Checked::Issuer { issuer, document } => {
                let found = discovery::key_url(&self.http, issuer, document, self.max_bytes).await?;
                let mut keys = self.http.get(&found.url, self.max_bytes).await?;
                // The issuer may have moved its keys since a cache got the document that led here.
                keys.age = keys.age.max(found.age);
                keys.compressed |= found.compressed;
                keys
            }
            Checked::File(path) => Document {
                location: path.display().to_string(),
                body: file::read(path, self.max_bytes).await?,
                compressed: false,
                // A file says nothing about its lifetime, and reading it again costs next to nothing.
                lifetime: Some(Duration::ZERO),
                age: Duration::ZERO,
            },
        };
        // A thousand keys take longer than other tasks of this thread should have to wait.
        tokio::task::spawn_blocking(|| parse(document)).await.unwrap_or(Err(FetchError::Panicked))
    }
}

fn parse(document: Document) -> Result<Fetched, FetchError> {
    let Document { location, body, compressed, lifetime, age } = document;
    let keys = match KeySet::from_jwks(&body) {
        Ok(keys) => keys,
        Err(source) => return Err(FetchError::KeySet { location, source }),
    };
    // An empty set is what a broken deployment of the key server looks like. Nobody revokes every key without
    // publishing a new one, and whoever does stops all deliveries at the source.
    if keys.is_empty() {
        return Err(FetchError::NoUsableKeys { location, skipped: keys.skipped().to_vec() });
    }
    Ok(Fetched { keys, lifetime, age, compressed })
}
