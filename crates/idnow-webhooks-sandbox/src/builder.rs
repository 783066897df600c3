//! How a sandbox behaves: checked once, before anything is started.

mod authorities;
mod client;
mod settings;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use self::authorities::Authority;
use crate::chaos::Chaos;
use crate::secret::Secret;

pub use client::Client;
pub(crate) use settings::Settings;

/// What a sandbox is started with. [`Sandbox::builder`](crate::Sandbox::builder) makes one with the defaults.
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
    keep_history: Duration,
    root_certificates: Vec<Authority>,
    public_only: bool,
    allow_private: bool,
    allow_plain_http: bool,
    access_token: Option<Secret>,
    clients: Vec<Client>,
    chaos: Option<Chaos>,
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
            keep_history: Duration::from_hours(30 * 24),
            root_certificates: Vec::new(),
            public_only: false,
            allow_private: false,
            allow_plain_http: false,
            access_token: None,
            clients: Vec::new(),
            chaos: None,
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
    ///
    /// The management API and the pages answer requests whose `Host` is a loopback address or `localhost`, the address
    /// listened on (any address if that is `0.0.0.0` or `[::]`), or the host of the [`base_url`](Self::base_url): a web
    /// page elsewhere could otherwise have its own name lead here. What receivers need, keys, access tokens and the
    /// session API, is answered under every name.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// How browsers and receivers reach the sandbox, if not by the address it listens on: `http://sandbox:8080` from other
    /// containers, `https://sandbox.example` behind a proxy. Discovery, the URL of the keys and the issuer go by it, and
    /// the management API and the pages answer under its host, too; so it needs an [`access_token`](Self::access_token),
    /// unless it names this machine (`localhost`, or a loopback address). The pages need the root of their host: below
    /// a path, only receivers find what they need.
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

    /// For how long history is kept (default: 30 days; 1 s to 36,500 days): sessions after they have ended, with their events,
    /// and their deliveries after they were delivered or given up. What is still to be delivered is kept, however old. It
    /// is not divided by the [`time_scale`](Self::time_scale).
    pub fn keep_history(mut self, time: Duration) -> Self {
        self.keep_history = time;
        self
    }

    /// Trusts these authorities, too, for the certificates of endpoints: one or more certificates in PEM. May be called
    /// repeatedly.
    pub fn root_certificates_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates.push(Authority::Text(pem.into()));
        self
    }

    /// The same, of a file, which is read at the start. May be called repeatedly.
    pub fn root_certificates_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.root_certificates.push(Authority::File(path.into()));
        self
    }

    /// Delivers to addresses of the public internet only, not even to this machine (default: no).
    pub fn public_only(mut self, public_only: bool) -> Self {
        self.public_only = public_only;
        self
    }

    /// Delivers to private networks, too (default: no). Link-local addresses and the metadata services of clouds
    /// (`169.254.169.254`, `fd00:ec2::254` and others), which give credentials to whoever asks, stay refused.
    pub fn allow_private(mut self, allow: bool) -> Self {
        self.allow_private = allow;
        self
    }

    /// Delivers without TLS to other machines than this one, too (default: no): anybody on the way can read and change
    /// what is sent. For receivers in other containers, with [`allow_private`](Self::allow_private); the provider itself
    /// never does.
    pub fn allow_plain_http(mut self, allow: bool) -> Self {
        self.allow_plain_http = allow;
        self
    }

    /// What the management API asks for as a bearer token: 16 to 1024 visible ASCII characters (default: nothing, which
    /// is possible on a loopback address only). On the pages one signs in with it.
    pub fn access_token(mut self, token: impl Into<String>) -> Self {
        self.access_token = Some(Secret::from(token.into()));
        self
    }

    /// Lets this client use the session API. May be called repeatedly. By default there is one with a random secret,
    /// which the database keeps: see [`Sandbox::clients`](crate::Sandbox::clients).
    pub fn client(mut self, client: Client) -> Self {
        self.clients.push(client);
        self
    }

    /// Makes deliveries go wrong on purpose (default: not at all). See [`chaos`](crate::chaos).
    pub fn chaos(mut self, chaos: Chaos) -> Self {
        self.chaos = Some(chaos);
        self
    }
}

#[cfg(test)]
mod tests;
