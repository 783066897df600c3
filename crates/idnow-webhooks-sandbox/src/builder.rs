//! How a sandbox behaves: checked once, before anything is started.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::error::Error;
use crate::sandbox::Sandbox;
use crate::secret::Secret;

/// The longest path, token or name that a setting may have, in bytes.
const LONGEST_TEXT: usize = 1024;
const SHORTEST_TOKEN: usize = 16;
const HIGHEST_SCALE: f64 = 1_000_000.0;

/// Who may ask the session API: what a receiver is configured with.
///
/// `Debug` does not show the secret.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// The `client_id`.
    pub id: String,
    /// The `client_secret`.
    pub secret: String,
}

impl Client {
    /// A client with this id and secret.
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), secret: secret.into() }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a sandbox is started with. [`Sandbox::builder`] makes one with the defaults.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idnow_webhooks_sandbox::Error> {
/// use idnow_webhooks_sandbox::Sandbox;
///
/// let sandbox = Sandbox::builder().time_scale(100.0).max_retries(3).start().await?;
/// assert!(sandbox.base_url().starts_with("http://127.0.0.1:"));
/// sandbox.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SandboxBuilder {
    pub(crate) database: Option<PathBuf>,
    pub(crate) listen: SocketAddr,
    base_url: Option<String>,
    issuer: Option<String>,
    time_scale: f64,
    answer_deadline: Duration,
    max_retries: u32,
    extra_ca: Vec<Vec<u8>>,
    public_only: bool,
    allow_private: bool,
    access_token: Option<Secret>,
    clients: Vec<Client>,
}

impl Default for SandboxBuilder {
    fn default() -> Self {
        Self {
            database: None,
            listen: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
            base_url: None,
            issuer: None,
            time_scale: 1.0,
            answer_deadline: Duration::from_secs(10),
            max_retries: 10,
            extra_ca: Vec::new(),
            public_only: false,
            allow_private: false,
            access_token: None,
            clients: Vec::new(),
        }
    }
}

impl SandboxBuilder {
    /// Keeps everything in this SQLite file, which is created if there is none; its folder must exist. One sandbox at a
    /// time can have it open. Default: a temporary file, which is removed when the sandbox stops.
    pub fn database(mut self, path: impl Into<PathBuf>) -> Self {
        self.database = Some(path.into());
        self
    }

    /// Keeps nothing: the default. What there is stands in a temporary folder, which this user alone can read. It is removed
    /// when the sandbox stops, and stays behind if the process is killed (SIGKILL) before that.
    pub fn in_memory(mut self) -> Self {
        self.database = None;
        self
    }

    /// Where the sandbox listens (default: `127.0.0.1:0`, a free port). Other addresses than those of this machine alone
    /// need an [`access_token`](Self::access_token).
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// How others reach the sandbox, if not by the address it listens on: `http://sandbox:8080` from other containers.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// The `iss` of the tokens (default: the base URL, followed by `/oidc`).
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Divides every wait of the sandbox itself: before retries, and until sessions expire (default: 1, at most
    /// 1,000,000). The sequence stays the same. The [`answer_deadline`](Self::answer_deadline) is not divided: it is the
    /// receiver's time.
    pub fn time_scale(mut self, factor: f64) -> Self {
        self.time_scale = factor;
        self
    }

    /// Within what time an endpoint must have answered, body included (default: 10 s; 1 ms to 10 min).
    pub fn answer_deadline(mut self, deadline: Duration) -> Self {
        self.answer_deadline = deadline;
        self
    }

    /// How often a delivery is retried before it is a dead letter (default: 10, at most 100).
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// Trusts these authorities, too, for the certificates of endpoints: one or more certificates in PEM. May be called
    /// repeatedly.
    pub fn extra_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.extra_ca.push(pem.into());
        self
    }

    /// Delivers to addresses of the public internet only, not even to this machine (default: no).
    pub fn public_only(mut self, public_only: bool) -> Self {
        self.public_only = public_only;
        self
    }

    /// Delivers to private networks, too (default: no).
    pub fn allow_private(mut self, allow: bool) -> Self {
        self.allow_private = allow;
        self
    }

    /// What the management API asks for as a bearer token: 16 to 1024 visible ASCII characters (default: nothing, which
    /// is possible on a loopback address only).
    pub fn access_token(mut self, token: impl Into<String>) -> Self {
        self.access_token = Some(Secret::from(token.into()));
        self
    }

    /// Lets this client use the session API. May be called repeatedly. By default there is one with a random secret,
    /// which the database keeps: see [`Sandbox::clients`].
    pub fn client(mut self, client: Client) -> Self {
        self.clients.push(client);
        self
    }

    /// Starts it in the current Tokio runtime. It runs until [`Sandbox::stop`], or until the last handle is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the setting. [`Error::Unavailable`] says what is wrong with the file or the address.
    pub async fn start(self) -> Result<Sandbox, Error> {
        Sandbox::start_with(self).await
    }

    /// `listen` is the address that it really listens on.
    pub(crate) fn check(self, listen: SocketAddr) -> Result<Settings, Error> {
        if !(1.0..=HIGHEST_SCALE).contains(&self.time_scale) {
            return Err(Error::invalid("timeScale", "it must be between 1 and 1,000,000"));
        }
        if !(Duration::from_millis(1)..=Duration::from_mins(10)).contains(&self.answer_deadline) {
            return Err(Error::invalid("answerDeadline", "it must be between 1 ms and 10 min"));
        }
        if self.max_retries > 100 {
            return Err(Error::invalid("maxRetries", "it must be at most 100"));
        }
        if self.public_only && self.allow_private {
            return Err(Error::invalid("allowPrivate", "it contradicts `publicOnly`: choose one of them"));
        }
        check_token(self.access_token.as_ref(), listen)?;
        for client in &self.clients {
            check_client(client)?;
        }
        let base_url = match self.base_url {
            None => format!("http://{}", reachable(listen)),
            Some(url) => check_base("baseUrl", &url)?,
        };
        let issuer = match self.issuer {
            None => format!("{base_url}/oidc"),
            Some(issuer) => {
                check_base("issuer", &issuer)?;
                issuer
            }
        };
        Ok(Settings {
            listen,
            jwks_url: format!("{base_url}/oidc/.well-known/jwks.json"),
            base_url,
            issuer,
            time_scale: self.time_scale,
            answer_deadline: self.answer_deadline,
            max_retries: self.max_retries,
            extra_ca: self.extra_ca,
            public_only: self.public_only,
            allow_private: self.allow_private,
            access_token: self.access_token,
            clients: self.clients,
        })
    }
}

/// What holds while a sandbox runs.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where it really listens.
    pub(crate) listen: SocketAddr,
    /// Without a slash at its end.
    pub(crate) base_url: String,
    pub(crate) issuer: String,
    pub(crate) jwks_url: String,
    pub(crate) time_scale: f64,
    pub(crate) answer_deadline: Duration,
    pub(crate) max_retries: u32,
    /// Documents in PEM, not looked into yet.
    pub(crate) extra_ca: Vec<Vec<u8>>,
    pub(crate) public_only: bool,
    pub(crate) allow_private: bool,
    pub(crate) access_token: Option<Secret>,
    /// At least one.
    pub(crate) clients: Vec<Client>,
}

impl Settings {
    /// What a wait of the provider takes here.
    pub(crate) fn scaled(&self, wait: Duration) -> Duration {
        wait.div_f64(self.time_scale)
    }
}

fn check_token(token: Option<&Secret>, listen: SocketAddr) -> Result<(), Error> {
    let Some(token) = token else {
        if listen.ip().is_loopback() {
            return Ok(());
        }
        let reason = format!("it is needed to listen on {listen}, which others may reach");
        return Err(Error::invalid("accessToken", reason));
    };
    let token = token.expose();
    if (SHORTEST_TOKEN..=LONGEST_TEXT).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Error::invalid("accessToken", "it must have 16 to 1024 visible ASCII characters"))
}

fn check_client(client: &Client) -> Result<(), Error> {
    let fits = |text: &str| (1..=LONGEST_TEXT).contains(&text.len()) && !text.contains(char::is_control);
    if !fits(&client.id) {
        return Err(Error::invalid("clients", "an id must have 1 to 1024 bytes, without control characters"));
    }
    if !fits(&client.secret) {
        let reason =
            format!("the secret of {:?} must have 1 to 1024 bytes, without control characters", client.id);
        return Err(Error::invalid("clients", reason));
    }
    Ok(())
}

fn check_base(field: &'static str, text: &str) -> Result<String, Error> {
    let url = Url::parse(text).map_err(|error| Error::invalid(field, format!("it is no URL: {error}")))?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !matches!(url.scheme(), "http" | "https") || !plain || url.password().is_some() {
        return Err(Error::invalid(field, "it must be `http://` or `https://`, a host, and perhaps a path"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Nothing can be reached at `0.0.0.0`.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        ip if !ip.is_unspecified() => listen,
        IpAddr::V4(_) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listen.port()),
        IpAddr::V6(_) => SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), listen.port()),
    }
}

#[cfg(test)]
mod tests;
