//! One request, one answer.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use http::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Body, Certificate, ClientBuilder, Response};
use url::Url;

use super::guard::{Guard, Refused};
use super::names::Names;
use crate::model::Answer;

/// No more of an answer's body is read.
const READ_AT_MOST: usize = 64 * 1024;
/// So many characters of it are kept.
pub(super) const KEPT_CHARACTERS: usize = 1000;
/// Texts of errors come in part from the other side.
const LONGEST_REASON: usize = 300;
/// Common servers close a connection that was idle for five seconds; a request that crosses with that would fail.
const IDLE_CONNECTION: Duration = Duration::from_secs(3);

/// All endpoints share it. Connections are kept for the next delivery: each was made to an address that was allowed, and
/// what is allowed does not change while it lives.
pub(crate) struct Client {
    options: ClientOptions,
    /// To loopback addresses. It trusts no certificate, for it needs none.
    plain: reqwest::Client,
    /// Made when it is first needed: reading the machine's root certificates takes a while.
    tls: OnceLock<reqwest::Client>,
}

pub(crate) struct ClientOptions {
    pub(crate) guard: Guard,
    /// For all of an attempt: name, connection, request, the whole answer.
    pub(crate) deadline: Duration,
    /// Trusted beside those of the machine.
    pub(crate) extra_roots: Vec<Certificate>,
    pub(crate) names: Names,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("deadline", &self.options.deadline).finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(options: ClientOptions) -> Result<Self, String> {
        let plain = common(&options, false).tls_certs_only([]).build();
        let plain =
            plain.map_err(|error| format!("the HTTP client cannot be set up: {}", root_cause(&error)))?;
        Ok(Self { options, plain, tls: OnceLock::new() })
    }

    /// Sends, and waits for the whole answer.
    ///
    /// When it is dropped, the connection is, too, and what was sent by then stays sent.
    pub(crate) async fn post(&self, url: &str, headers: HeaderMap, body: impl Into<Body>) -> Answer {
        let url = match Url::parse(url) {
            Ok(url) => url,
            Err(error) => return Answer::NotSent { reason: format!("it is not a URL: {error}") },
        };
        if let Err(refused) = self.options.guard.check_url(&url) {
            return Answer::NotSent { reason: refused.to_string() };
        }
        let client = match self.client_for(&url) {
            Ok(client) => client,
            Err(reason) => return Answer::ConnectionFailed { reason },
        };
        let exchange = async {
            let response = client.post(url).headers(headers).body(body).send().await?;
            let code = response.status().as_u16();
            Ok(Answer::Status { code, body: beginning(response).await? })
        };
        match tokio::time::timeout(self.options.deadline, exchange).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => classify(&error),
            Err(_) => Answer::TimedOut,
        }
    }

    fn client_for(&self, url: &Url) -> Result<&reqwest::Client, String> {
        if url.scheme() == "http" {
            return Ok(&self.plain);
        }
        if let Some(client) = self.tls.get() {
            return Ok(client);
        }
        let roots = || self.options.extra_roots.iter().cloned();
        let built = common(&self.options, true).https_only(true).tls_certs_merge(roots()).build();
        // A machine without root certificates, such as a bare container, still trusts those of the option.
        let built = built.or_else(|error| {
            tracing::warn!(
                error = root_cause(&error),
                "the root certificates of this machine cannot be used"
            );
            common(&self.options, true).https_only(true).tls_certs_only(roots()).build()
        });
        match built {
            Ok(client) => Ok(self.tls.get_or_init(|| client)),
            Err(error) => Err(format!("TLS cannot be set up: {}", root_cause(&error))),
        }
    }
}

fn common(options: &ClientOptions, tls: bool) -> ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        // A proxy would make the connection, to whatever address it likes.
        .no_proxy()
        .dns_resolver(options.names.clone().guarded(options.guard, tls))
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        // With HTTP/2, which another crate of the build may turn on, a single connection would carry all.
        .http1_only()
        .tcp_nodelay(true)
        // A connection that is being made when its attempt ends may go on without it.
        .connect_timeout(options.deadline)
        .pool_idle_timeout(IDLE_CONNECTION)
}

/// What is left unread closes the connection, as the rest of it would be taken for the next answer.
async fn beginning(mut response: Response) -> reqwest::Result<String> {
    let mut kept = Vec::new();
    let mut read = 0;
    while read < READ_AT_MOST {
        let Some(chunk) = response.chunk().await? else { break };
        read += chunk.len();
        // A character has four bytes at most, and one more shows whether the last is whole.
        let room = (4 * KEPT_CHARACTERS + 4).saturating_sub(kept.len());
        kept.extend(chunk.iter().take(room));
    }
    Ok(text(&kept))
}

/// The first characters, or nothing if it is no text.
fn text(bytes: &[u8]) -> String {
    // A character that is cut off at the end is none of the other side's doing.
    if str::from_utf8(bytes).is_err_and(|error| error.error_len().is_some()) {
        return String::new();
    }
    let valid = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let kept: String = valid.chars().take(KEPT_CHARACTERS).collect();
    let is_text = !kept.chars().any(|character| character.is_control() && !"\t\r\n".contains(character));
    if is_text { kept } else { String::new() }
}

fn classify(error: &reqwest::Error) -> Answer {
    if let Some(refused) = find::<Refused>(error) {
        return Answer::NotSent { reason: refused.to_string() };
    }
    if error.is_builder() {
        // Some URLs are none for HTTP: whatever is tried again, it is the same.
        let reason = format!("no request can be made for the URL: {}", root_cause(error));
        return Answer::NotSent { reason: one_line(&reason) };
    }
    if error.is_timeout() {
        return Answer::TimedOut;
    }
    let reason = if let Some(tls) = find::<rustls::Error>(error) {
        let advice = match tls {
            rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
                "; is its authority one of the extra ones?"
            }
            rustls::Error::InvalidMessage(_) => "; does it speak TLS?",
            _ => "",
        };
        format!("no TLS connection: {tls}{advice}")
    } else if error.is_dns() {
        format!("the name has no address: {}", root_cause(error))
    } else if error.is_connect() {
        format!("no connection: {}", root_cause(error))
    } else {
        format!("no complete answer: {}", root_cause(error))
    };
    Answer::ConnectionFailed { reason: one_line(&reason) }
}

fn one_line(text: &str) -> String {
    let shown = text.chars().map(|character| if character.is_control() { ' ' } else { character });
    shown.take(LONGEST_REASON).collect()
}

fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    causes(error).find_map(|cause| cause.downcast_ref::<E>())
}

fn root_cause(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

/// The error itself first.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| next_cause(*error))
}

fn next_cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    // An I/O error hides what it wraps: its `source` is the source of the wrapped error.
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests;
