use std::error::Error;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Response};
use url::Url;

use crate::cache_control;
use crate::document::Document;
use crate::error::{ConfigError, FetchError, root_cause};
use crate::location::shown;
use crate::{gzip, proxy};

/// Two clients, because plain HTTP to this machine must not need root certificates, and never a proxy.
pub(crate) struct HttpClient {
    options: HttpOptions,
    loopback: Client,
    https: OnceLock<Client>,
}

pub(crate) struct HttpOptions {
    pub(crate) connect_timeout: Duration,
    pub(crate) roots: Vec<Certificate>,
    pub(crate) proxy_from_environment: bool,
}

impl HttpClient {
    /// `https` says whether HTTPS is certainly needed: then its setup must not fail later.
    pub(crate) fn new(options: HttpOptions, https: bool) -> Result<Self, ConfigError> {
        let loopback = common(&options).no_proxy().tls_certs_only([]).build().map_err(config_error)?;
        let client = Self { options, loopback, https: OnceLock::new() };
        if https {
            client.https()?;
        }
        Ok(client)
    }

    fn https(&self) -> Result<&Client, ConfigError> {
        if let Some(client) = self.https.get() {
            return Ok(client);
        }
        let mut builder =
            common(&self.options).https_only(true).tls_certs_merge(self.options.roots.iter().cloned());
        if self.options.proxy_from_environment {
            proxy::check_environment()?;
        } else {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(config_error)?;
        Ok(self.https.get_or_init(|| client))
    }

    /// The document at this URL. A connection that breaks is replaced once, since to read is idempotent: behind a load
    /// balancer with a node that is gone, every other connection may break, and discovery needs two.
    pub(crate) async fn get(&self, url: &Url, max_bytes: usize) -> Result<Document, FetchError> {
        match self.get_once(url, max_bytes).await {
            Err(error) if is_broken_connection(&error) => self.get_once(url, max_bytes).await,
            result => result,
        }
    }

    async fn get_once(&self, url: &Url, max_bytes: usize) -> Result<Document, FetchError> {
        let client = if url.scheme() == "https" {
            self.https().map_err(|error| FetchError::HttpClient(Arc::new(error)))?
        } else {
            &self.loopback
        };
        let request = client
            .get(url.clone())
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(ACCEPT_ENCODING, "identity")
            // What a cache in between remembers cannot say which keys are valid now.
            .header(CACHE_CONTROL, "no-cache");
        let mut response = request.send().await.map_err(|error| self.classify(url, error))?;
        check_status(url, &response)?;
        if let Some(encoding) = gzip::unknown_encoding(response.headers()) {
            return Err(FetchError::ContentEncoding { url: shown(url), encoding });
        }
        let too_large = || FetchError::TooLarge { location: shown(url), limit: max_bytes };
        if response.content_length().is_some_and(|length| length > max_bytes as u64) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.classify(url, error))? {
            if body.len() + chunk.len() > max_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        let compressed = gzip::is_gzip(&body);
        if compressed {
            let decompressed = tokio::task::spawn_blocking(move || gzip::decompress(&body, max_bytes)).await;
            body = match decompressed {
                Ok(Ok(body)) if body.len() > max_bytes => return Err(too_large()),
                Ok(Ok(body)) => body,
                Ok(Err(source)) => return Err(FetchError::Gzip { url: shown(url), source }),
                Err(_) => return Err(FetchError::Panicked),
            };
        }
        Ok(Document {
            location: shown(url),
            body,
            compressed,
            lifetime: cache_control::lifetime(response.headers()),
            age: cache_control::greatest_age(response.headers()),
        })
    }

    fn classify(&self, url: &Url, error: reqwest::Error) -> FetchError {
        // The client's own text repeats the URL with everything in it.
        let error = error.without_url();
        let url = shown(url);
        if error.is_timeout() {
            // The only limit that the client itself has; the one on the whole fetch is ours.
            return FetchError::ConnectTimeout { url, limit: self.options.connect_timeout };
        }
        if let Some(cause) = tls_error(&error).map(ToString::to_string) {
            return FetchError::Tls { url, cause, source: error.into() };
        }
        let cause = root_cause(&error);
        if error.is_connect() {
            FetchError::Unreachable { url, cause, source: error.into() }
        } else {
            FetchError::Interrupted { url, cause, source: error.into() }
        }
    }
}

/// PEM text with at least one certificate.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, ConfigError> {
    match Certificate::from_pem_bundle(pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(ConfigError::Certificates),
    }
}

fn common(options: &HttpOptions) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        // A redirect could lead the request anywhere, to plain HTTP or into the local network.
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        // Some servers close a connection after each answer without saying so, just as the next request comes.
        .pool_max_idle_per_host(0)
        // Undone here, within the limit of size; another crate of the build may have turned these on.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
}

fn config_error(error: reqwest::Error) -> ConfigError {
    ConfigError::HttpClient { cause: root_cause(&error), source: error.into() }
}

fn check_status(url: &Url, response: &Response) -> Result<(), FetchError> {
    let status = response.status();
    if status.is_redirection() {
        let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let target = target
            .and_then(|target| url.join(target).ok())
            .map_or_else(|| "an unreadable place".to_owned(), |target| shown(&target));
        return Err(FetchError::Redirect { url: shown(url), status, target });
    }
    if status != http::StatusCode::OK {
        return Err(FetchError::Status { url: shown(url), status });
    }
    Ok(())
}

/// Whether the other side closed a connection that it had accepted.
fn is_broken_connection(error: &FetchError) -> bool {
    match error {
        FetchError::Interrupted { .. } => true,
        // While TLS was set up.
        FetchError::Unreachable { source, .. } => causes(&**source).any(|cause| {
            let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
            matches!(
                kind,
                Some(
                    io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::BrokenPipe
                        | io::ErrorKind::UnexpectedEof
                )
            )
        }),
        _ => false,
    }
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// The error and all that caused it, from the outside to the inside.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // An I/O error hides what it wraps: its `source` is the source of the wrapped error.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}
