//! A key server on this machine: `mod.rs` controls it, `serve` answers, `body` and `tls` help with that.

mod body;
mod serve;
#[cfg(feature = "tls")]
mod tls;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use http::header::HeaderValue;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::SigningKey;
use crate::fail::fail;

/// How a [`KeyServer`] answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Behaviour {
    /// With the document, status 200.
    #[default]
    Normal,
    /// With this status and an empty body.
    Status(u16),
    /// Never: the request is read, the connection stays open, nothing comes back.
    Hang,
    /// With the head and the first half of the document, then never again.
    HangInBody,
    /// As in `Normal`, but only after this time.
    Slow(Duration),
    /// With a web page instead of JSON, status 200: what a captive portal or a careless proxy sends.
    Garbage,
    /// With this text instead of the document, status 200.
    Document(String),
    /// With a redirect (302) to this URL.
    Redirect(String),
    /// With the document, still valid JSON, blown up with white space to this many bytes. Sent in chunks without
    /// a `Content-Length`, so that only a client which counts the bytes can refuse it.
    Oversize(usize),
    /// With a discovery document whose `issuer` is somebody else. Keys are served as in `Normal`.
    WrongIssuer,
    /// By closing the connection without an answer.
    Disconnect,
}

/// The two documents that a [`KeyServer`] serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// The JWKS, `/oidc/.well-known/jwks.json`.
    Keys,
    /// The discovery document, `/oidc/.well-known/openid-configuration`.
    Discovery,
}

/// A key server over real HTTP on a free port of 127.0.0.1, which can rotate keys, fail, hang and lie.
///
/// It runs in its own thread, so it needs no async runtime, outlives none, and answers while a test blocks.
/// It stops, with all its connections, when it is dropped.
///
/// ```
/// use idnow_webhooks_testkit::{Behaviour, KeyServer, SigningKey};
///
/// let server = KeyServer::start()?;
/// server.publish(&[&SigningKey::shared()]);
/// assert_eq!(server.jwks_url(), format!("{}/.well-known/jwks.json", server.issuer()));
///
/// server.rotate(&SigningKey::shared_other()); // both keys are published now
/// server.behave(Behaviour::Status(503)); // and nobody can fetch them
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct KeyServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    ca_pem: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    issuer: String,
    state: Mutex<State>,
    key_requests: AtomicUsize,
    discovery_requests: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    keys: Vec<Value>,
    at_keys: Behaviour,
    at_discovery: Behaviour,
    cache_control: Option<HeaderValue>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single assignment, so the state is whole also after a panic elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counter(&self, endpoint: Endpoint) -> &AtomicUsize {
        match endpoint {
            Endpoint::Keys => &self.key_requests,
            Endpoint::Discovery => &self.discovery_requests,
        }
    }
}

impl KeyServer {
    /// Starts a server over plain HTTP, with no keys yet.
    ///
    /// # Errors
    ///
    /// When no port of 127.0.0.1 can be had, or no thread.
    pub fn start() -> io::Result<Self> {
        Self::launch("http", None, None)
    }

    /// Starts a server over HTTPS. Its certificate, for 127.0.0.1 and `localhost`, comes from an authority that
    /// is made for this server alone: [`ca_pem`](Self::ca_pem) is what a client has to trust.
    ///
    /// # Errors
    ///
    /// When no port of 127.0.0.1 can be had, or no thread, or no certificate can be made.
    #[cfg(feature = "tls")]
    pub fn start_tls() -> io::Result<Self> {
        let tls::Identity { config, ca_pem } = tls::identity().map_err(io::Error::other)?;
        Self::launch("https", Some(tokio_rustls::TlsAcceptor::from(config)), Some(ca_pem))
    }

    fn launch(scheme: &str, tls: Option<serve::Tls>, ca_pem: Option<String>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            issuer: format!("{scheme}://{address}/oidc"),
            state: Mutex::default(),
            key_requests: AtomicUsize::new(0),
            discovery_requests: AtomicUsize::new(0),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serving = serve::serve(listener, Arc::clone(&shared), tls, stopped);
        let thread = std::thread::Builder::new()
            .name("idnow-webhooks-testkit key server".into())
            .spawn(move || runtime.block_on(serving))?;
        Ok(Self { shared, address, ca_pem, stop: Some(stop), thread: Some(thread) })
    }

    /// The base of both URLs and the `issuer` in the discovery document, `http://127.0.0.1:<port>/oidc`.
    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    /// The URL of the JWKS.
    pub fn jwks_url(&self) -> String {
        format!("{}{}", self.issuer(), serve::KEYS_PATH)
    }

    /// The URL of the discovery document.
    pub fn discovery_url(&self) -> String {
        format!("{}{}", self.issuer(), serve::DISCOVERY_PATH)
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of the authority to trust, as PEM. `None` over plain HTTP.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Publishes these keys and no others.
    pub fn publish(&self, keys: &[&SigningKey]) {
        self.shared.state().keys = keys.iter().map(|key| key.jwk()).collect();
    }

    /// Publishes one more key, first in the list. The others stay until they are [retired](Self::retire).
    pub fn rotate(&self, new_key: &SigningKey) {
        self.shared.state().keys.insert(0, new_key.jwk());
    }

    /// Takes back every key with this `kid`.
    pub fn retire(&self, key_id: &str) {
        self.shared.state().keys.retain(|key| key.get("kid").and_then(Value::as_str) != Some(key_id));
    }

    /// Sets how both documents are served from the next request on.
    ///
    /// A status outside 100 to 999, or a URL that cannot stand in a header, panics.
    pub fn behave(&self, behaviour: Behaviour) {
        self.behave_at(Endpoint::Discovery, behaviour.clone());
        self.behave_at(Endpoint::Keys, behaviour);
    }

    /// Sets how one document is served from the next request on; see [`behave`](Self::behave).
    pub fn behave_at(&self, endpoint: Endpoint, behaviour: Behaviour) {
        match &behaviour {
            Behaviour::Status(status) if !(100..=999).contains(status) => {
                fail(format_args!("{status} is not an HTTP status"))
            }
            Behaviour::Redirect(url) if HeaderValue::from_str(url).is_err() => {
                fail(format_args!("{url:?} cannot stand in a Location header"))
            }
            _ => {}
        }
        let mut state = self.shared.state();
        match endpoint {
            Endpoint::Keys => state.at_keys = behaviour,
            Endpoint::Discovery => state.at_discovery = behaviour,
        }
    }

    /// Sets the `Cache-Control` of every answer, such as `max-age=300`; `None`, as at the start, sends none.
    ///
    /// A text that cannot stand in a header panics.
    pub fn set_cache_control(&self, value: Option<&str>) {
        let value = value.map(|value| {
            HeaderValue::from_str(value)
                .unwrap_or_else(|_| fail(format_args!("{value:?} cannot stand in a Cache-Control header")))
        });
        self.shared.state().cache_control = value;
    }

    /// How many requests for this document have arrived, answered or not.
    pub fn requests(&self, endpoint: Endpoint) -> usize {
        self.shared.counter(endpoint).load(Ordering::SeqCst)
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // Fails only when the thread is gone already, which is what we want.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
