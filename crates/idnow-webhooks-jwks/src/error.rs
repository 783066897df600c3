use std::error::Error;
use std::fmt::Write;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use idnow_webhooks_core::keys::{KeySetError, SkippedKey};

type Source = Box<dyn Error + Send + Sync>;

/// A mistake in the configuration: trying again without changing it cannot help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The key URL or the issuer is not an absolute URL.
    #[error("the {what} is not an absolute URL ({cause}): give one such as {example}")]
    InvalidUrl {
        /// Which setting it is: `key URL` or `issuer`.
        what: &'static str,
        /// What the URL parser said.
        cause: String,
        /// What such a URL looks like.
        example: &'static str,
    },
    /// The key URL or the issuer is not HTTPS, and not plain HTTP to this very machine either.
    #[error(
        "the {what} {url} is not safe: use https (plain http is only allowed to localhost or a loopback address)"
    )]
    InsecureUrl {
        /// Which setting it is: `key URL` or `issuer`.
        what: &'static str,
        /// The URL without user info and query.
        url: String,
    },
    /// The issuer has a query, a fragment or user info, which an OIDC issuer never has.
    #[error(
        "the issuer {url} must have no user info, query or fragment: give it exactly as tokens carry it in `iss`"
    )]
    InvalidIssuer {
        /// The issuer without user info and query.
        url: String,
    },
    /// A duration or size is out of range.
    #[error("{setting} {problem}")]
    InvalidSetting {
        /// The builder's method.
        setting: &'static str,
        /// What is wrong, and which values are possible.
        problem: String,
    },
    /// A variable of the environment that names a proxy holds something else.
    #[error(
        "{variable} (value not shown) {problem}: give the proxy's URL, such as http://proxy.example.com:3128, with \
         special characters of a password percent-encoded, or unset the variable"
    )]
    InvalidProxy {
        /// The variable.
        variable: &'static str,
        /// What is wrong with its value.
        problem: &'static str,
    },
    /// The extra root certificates are not PEM, or hold no certificate.
    #[error(
        "root_certificates_pem: no certificate could be read: give PEM text with `BEGIN CERTIFICATE` blocks"
    )]
    Certificates,
    /// The HTTPS client could not be set up.
    #[error(
        "the HTTPS client could not be set up ({cause}): check that root certificates are installed on this \
         system (package ca-certificates) or add them with root_certificates_pem"
    )]
    HttpClient {
        /// The innermost cause, as text.
        cause: String,
        /// The error itself.
        #[source]
        source: Source,
    },
    /// There is no Tokio runtime here to run the background task.
    #[error("no Tokio runtime: create the key source inside one (for example in an async main function)")]
    NoRuntime,
}

/// Why [`connect`](crate::JwksSourceBuilder::connect) gave no key source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// The configuration is wrong.
    #[error("key source: {0}")]
    Config(#[from] ConfigError),
    /// The configuration may be right, but the first fetch of the keys failed.
    #[error("the first fetch of the keys failed: {0}")]
    FirstFetch(#[source] Arc<FetchError>),
    /// The background task ended before the first fetch did. Its runtime was shut down, or lacks the time and
    /// I/O drivers.
    #[error(
        "the task that fetches keys has ended: the Tokio runtime must be kept running, with time and I/O enabled"
    )]
    TaskEnded,
}

/// Why one fetch of the keys failed. The next one may well succeed.
///
/// URLs in it have neither user info nor query, which may hold secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No connection could be made.
    #[error("cannot connect to {url} ({cause}): check the address, DNS, proxy and firewall")]
    Unreachable {
        /// The URL that was fetched.
        url: String,
        /// The innermost cause, as text.
        cause: String,
        /// The error itself.
        #[source]
        source: Source,
    },
    /// The server did not accept a connection in time.
    #[error(
        "no connection to {url} within {limit:?}: check the address, proxy and firewall, or raise connect_timeout"
    )]
    ConnectTimeout {
        /// The URL that was fetched.
        url: String,
        /// The configured limit.
        limit: Duration,
    },
    /// The server's certificate is not trusted, or the TLS handshake failed otherwise.
    #[error(
        "TLS with {url} failed ({cause}): if the server uses a private certificate authority, add its root \
         with root_certificates_pem"
    )]
    Tls {
        /// The URL that was fetched.
        url: String,
        /// What the TLS library said.
        cause: String,
        /// The error itself.
        #[source]
        source: Source,
    },
    /// The fetch as a whole took too long.
    #[error(
        "fetching the keys from {location} took longer than {limit:?}: check the server, or raise timeout"
    )]
    Timeout {
        /// The URL, issuer or file.
        location: String,
        /// The configured limit.
        limit: Duration,
    },
    /// The connection broke, or what came was not HTTP.
    #[error("the answer of {url} broke off or is not HTTP ({cause})")]
    Interrupted {
        /// The URL that was fetched.
        url: String,
        /// The innermost cause, as text.
        cause: String,
        /// The error itself.
        #[source]
        source: Source,
    },
    /// The server answered with a redirect, which is never followed.
    #[error(
        "{url} answered with a redirect ({status}) to {target}, which is not followed: configure the \
         final URL of the keys"
    )]
    Redirect {
        /// The URL that was fetched.
        url: String,
        /// The status.
        status: StatusCode,
        /// Where it points to, without user info and query.
        target: String,
    },
    /// The server answered with a status other than 200.
    #[error("{url} answered {status}, expected 200: check that the URL is right and the server is well")]
    Status {
        /// The URL that was fetched.
        url: String,
        /// The status.
        status: StatusCode,
    },
    /// The answer is compressed in a way that is not understood.
    #[error(
        "{url} answered with the content encoding {encoding:?}, which is not understood (only gzip is): make the \
         server or the cache in front of it honour `Accept-Encoding: identity`"
    )]
    ContentEncoding {
        /// The URL that was fetched.
        url: String,
        /// What the answer names, cut to 100 characters.
        encoding: String,
    },
    /// The answer is in gzip, and broken.
    #[error("the answer of {url} is in gzip and cannot be decompressed ({source})")]
    Gzip {
        /// The URL that was fetched.
        url: String,
        /// The error itself.
        #[source]
        source: io::Error,
    },
    /// The answer or file is larger than the limit, or grows larger when it is decompressed.
    #[error(
        "{location} is larger than {limit} bytes: check that it is the right place, or raise max_response_bytes"
    )]
    TooLarge {
        /// The URL or file.
        location: String,
        /// The configured limit in bytes.
        limit: usize,
    },
    /// The answer or file is not a JWKS document.
    #[error("{location}: {source}")]
    KeySet {
        /// The URL or file.
        location: String,
        /// What is wrong with it.
        #[source]
        source: KeySetError,
    },
    /// The JWKS document holds no key that can verify anything. The keys known before stay in use.
    #[error("{location} holds no usable key{}", reasons(skipped))]
    NoUsableKeys {
        /// The URL or file.
        location: String,
        /// The entries, with what is wrong with each. Empty if the document has none.
        skipped: Vec<SkippedKey>,
    },
    /// The discovery document is not JSON with the strings `issuer` and `jwks_uri`.
    #[error(
        "{url} is not an OIDC discovery document (a JSON object with the strings `issuer` and `jwks_uri`)"
    )]
    Discovery {
        /// The URL of the discovery document.
        url: String,
        /// The error itself.
        #[source]
        source: serde_json::Error,
    },
    /// The discovery document is for another issuer.
    #[error(
        "{url} speaks for the issuer {found:?}, expected exactly {expected:?}: configure the issuer as tokens \
         carry it in `iss`"
    )]
    IssuerMismatch {
        /// The URL of the discovery document.
        url: String,
        /// The configured issuer.
        expected: String,
        /// The issuer that the document names, cut to 200 characters.
        found: String,
    },
    /// The discovery document names a key URL that is not safe to use.
    #[error(
        "{url} names the `jwks_uri` {found}, which is not an https URL (plain http is only allowed when both are \
         on this machine and the issuer is plain http, too)"
    )]
    KeyUrl {
        /// The URL of the discovery document.
        url: String,
        /// What it names, without user info and query.
        found: String,
    },
    /// The key file could not be read.
    #[error("cannot read the key file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error itself.
        #[source]
        source: io::Error,
    },
    /// The HTTPS client could not be set up for the discovered key URL.
    #[error("{0}")]
    HttpClient(#[source] Arc<ConfigError>),
    /// The fetch panicked: the Tokio runtime lacks its I/O driver, or there is a defect.
    #[error(
        "the fetch panicked, see the panic message in the log: build the Tokio runtime with I/O enabled \
         (`enable_all`), or, if it is, report this as a defect"
    )]
    Panicked,
}

fn reasons(skipped: &[SkippedKey]) -> String {
    /// Enough to see the pattern without filling the log.
    const SHOWN: usize = 3;
    if skipped.is_empty() {
        return ": its `keys` array is empty".to_owned();
    }
    let mut text = String::new();
    for key in skipped.iter().take(SHOWN) {
        _ = write!(text, "; key {} (kid {:?}): {}", key.index, key.key_id, key.reason);
    }
    if skipped.len() > SHOWN {
        _ = write!(text, "; and {} more", skipped.len() - SHOWN);
    }
    text
}

/// The innermost cause: with HTTP clients the only one that says what happened.
pub(crate) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
