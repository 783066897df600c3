//! What a key server answers: OIDC discovery, the key set that it leads to, and for how long both may be used.
//!
//! The input is two answers with the byte 0x1e between them: of the discovery document, and of every other URL. Each is
//! lines of `Cache-Control` (after `c`) and `Age` (after `a`), an empty line, and the body.

#![no_main]

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use url::{Host, Url};

// The modules themselves, around a key server that needs no network: see `http_client`.
#[path = "../../crates/idnow-webhooks-jwks/src/cache_control.rs"]
mod cache_control;
#[path = "../../crates/idnow-webhooks-jwks/src/discovery.rs"]
mod discovery;
#[path = "../../crates/idnow-webhooks-jwks/src/document.rs"]
mod document;
#[allow(dead_code, reason = "most of it belongs to the network")]
#[path = "../../crates/idnow-webhooks-jwks/src/error.rs"]
mod error;
#[path = "../../crates/idnow-webhooks-jwks/src/fetch.rs"]
mod fetch;
#[path = "../../crates/idnow-webhooks-jwks/src/file.rs"]
mod file;
#[allow(dead_code, reason = "some of it belongs to the configuration")]
#[path = "../../crates/idnow-webhooks-jwks/src/location.rs"]
mod location;

/// In the place of the client of the same name.
mod http_client {
    use http::HeaderMap;
    use url::Url;

    use crate::cache_control;
    use crate::document::Document;
    use crate::error::FetchError;
    use crate::location::shown;

    pub(crate) struct HttpClient {
        pub(crate) answers: [(HeaderMap, Vec<u8>); 2],
        pub(crate) asked: super::Asked,
    }

    impl HttpClient {
        #[expect(clippy::unused_async, reason = "as the client of the same name")]
        pub(crate) async fn get(&self, url: &Url, max_bytes: usize) -> Result<Document, FetchError> {
            let mut asked = self.asked.lock().expect("nobody panicked");
            let (headers, body) = &self.answers[usize::from(!asked.is_empty())];
            asked.push(url.clone());
            if body.len() > max_bytes {
                return Err(FetchError::TooLarge { location: shown(url), limit: max_bytes });
            }
            Ok(Document {
                location: shown(url),
                body: body.clone(),
                compressed: false,
                lifetime: cache_control::lifetime(headers),
                age: cache_control::greatest_age(headers),
            })
        }
    }
}

type Asked = Arc<Mutex<Vec<Url>>>;

const MAX_BYTES: usize = 4096;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"));

fn answer(bytes: &[u8]) -> Option<(http::HeaderMap, Vec<u8>)> {
    let mut headers = http::HeaderMap::new();
    let mut rest = bytes;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        let (kind, value) = match line.split_first() {
            None => return Some((headers, rest.to_vec())),
            Some((b'c', value)) => (http::header::CACHE_CONTROL, value),
            Some((b'a', value)) => (http::header::AGE, value),
            Some(_) => return None,
        };
        headers.append(kind, http::HeaderValue::from_bytes(value).ok()?);
    }
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[derive(serde::Deserialize)]
struct Issuer {
    issuer: String,
}

fn fetched(issuer: &str, bytes: &[u8]) {
    let Some(place) = bytes.iter().position(|byte| *byte == 0x1e) else { return };
    let (Some(discovery), Some(keys)) = (answer(&bytes[..place]), answer(&bytes[place + 1..])) else {
        return;
    };
    let requests = Asked::default();
    let fetcher = fetch::Fetcher {
        location: location::Location::issuer(issuer).check().expect("an issuer"),
        http: http_client::HttpClient {
            answers: [discovery.clone(), keys.clone()],
            asked: Arc::clone(&requests),
        },
        timeout: Duration::from_secs(5),
        max_bytes: MAX_BYTES,
    };
    let result = RUNTIME.block_on(Arc::new(fetcher).fetch());
    let asked = requests.lock().expect("nobody panicked");
    assert_eq!(asked[0].as_str(), format!("{issuer}/.well-known/openid-configuration"));
    // Wherever the document leads, nobody on the way may choose the keys.
    for url in &asked[1..] {
        let plain = issuer.starts_with("http:");
        assert!(url.scheme() == "https" || (plain && url.scheme() == "http" && is_here(url)), "{url}");
    }
    match result {
        Ok(brought) => {
            assert_eq!(asked.len(), 2);
            // Of the members that nobody reads, not even the texts have to be valid.
            let document = discovery.1.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&discovery.1);
            let named: Issuer = serde_json::from_slice(document).expect("a document that was believed");
            assert_eq!(named.issuer, issuer, "another issuer's keys");
            assert!(!brought.keys.is_empty() && discovery.1.len().max(keys.1.len()) <= MAX_BYTES);
            assert!(brought.keys.key_ids().len() <= keys.1.len());
            let named = |headers: &http::HeaderMap, name| headers.contains_key(name);
            assert!(brought.lifetime.is_none() || named(&keys.0, http::header::CACHE_CONTROL));
            let aged = named(&keys.0, http::header::AGE) || named(&discovery.0, http::header::AGE);
            assert_eq!(brought.age > Duration::ZERO, aged);
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < 64 * 1024, "{} bytes", text.len());
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    fetched("https://auth.example/oidc", bytes);
    fetched("http://127.0.0.1:4390/oidc", bytes);
});
