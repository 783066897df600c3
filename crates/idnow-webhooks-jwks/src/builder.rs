use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use idnow_webhooks_core::Backoff;
use tokio::runtime::Handle;

use crate::error::{ConfigError, JwksError};
use crate::fetch::Fetcher;
use crate::http_client::{self, HttpClient, HttpOptions};
use crate::location::Location;
use crate::policy::Policy;
use crate::source::JwksSource;
use crate::task::{self, Fetch};

/// Sets up a [`JwksSource`]; made by [`JwksSource::builder`].
///
/// Every setting has a default that suits production. No duration may exceed 366 days.
#[derive(Debug, Clone)]
#[must_use = "call `connect` or `start` to get a key source"]
pub struct JwksSourceBuilder {
    location: Location,
    connect_timeout: Duration,
    timeout: Duration,
    max_response_bytes: usize,
    root_certificates: Vec<Vec<u8>>,
    proxy_from_environment: bool,
    policy: Policy,
}

impl JwksSource {
    /// Begins to set up a key source for this location.
    pub fn builder(location: Location) -> JwksSourceBuilder {
        JwksSourceBuilder {
            location,
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(5),
            max_response_bytes: 4 * 1024 * 1024,
            root_certificates: Vec::new(),
            proxy_from_environment: true,
            policy: Policy::default(),
        }
    }
}

impl JwksSourceBuilder {
    /// How long connecting to the server may take. Default: 3 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long one fetch may take in all, discovery included. Default: 5 s.
    ///
    /// A delivery that waits for a fetch waits at most about this long, so keep it under the receiver's
    /// answer deadline.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// The largest document that is read, in bytes, decompressed if need be. Default: 4,194,304 (4 MiB).
    ///
    /// It holds for a key set, for a discovery document, and for a file.
    pub fn max_response_bytes(mut self, limit: usize) -> Self {
        self.max_response_bytes = limit;
        self
    }

    /// Trusts these root certificates, PEM, besides those of the system.
    ///
    /// For key servers with a private certificate authority. May be called several times.
    pub fn root_certificates_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates.push(pem.into());
        self
    }

    /// Never uses a proxy.
    ///
    /// By default, HTTPS requests honour the environment variables `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`
    /// (TLS runs through the proxy, which cannot replace the keys), also in lower case. A proxy that is neither a URL
    /// of HTTP or HTTPS nor a host with its port is refused. Plain HTTP, which goes to this machine only, never uses
    /// one.
    pub fn no_proxy(mut self) -> Self {
        self.proxy_from_environment = false;
        self
    }

    /// How long fetched keys are used before they are fetched again when the server's `Cache-Control` does
    /// not say it. Default: 1 h. The two limits below apply to it as well.
    pub fn default_lifetime(mut self, lifetime: Duration) -> Self {
        self.policy.default_lifetime = lifetime;
        self
    }

    /// The shortest lifetime, whatever the server says, also for `no-cache` and `no-store`; and the lifetime
    /// of a key file. Default: 60 s.
    pub fn min_lifetime(mut self, lifetime: Duration) -> Self {
        self.policy.min_lifetime = lifetime;
        self
    }

    /// The longest lifetime, whatever the server says. Default: 24 h.
    ///
    /// A revoked key is trusted for at most about this long while the server is well.
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.policy.max_lifetime = lifetime;
        self
    }

    /// How long after the end of their lifetime the last good keys stay in use while no fetch replaces them.
    /// Default: 24 h. After that the source holds no keys, until a fetch succeeds.
    pub fn max_stale(mut self, limit: Duration) -> Self {
        self.policy.max_stale = limit;
        self
    }

    /// The cool-down: the least time between two fetches that tokens cause, by an unknown key id or by a signature that
    /// does not hold. Default: 10 s.
    ///
    /// Without it, anybody could make this service flood the key server with made-up key ids. Zero switches it
    /// off; there is still only one fetch at a time. Scheduled fetches do not count.
    pub fn min_refresh_interval(mut self, interval: Duration) -> Self {
        self.policy.min_refresh_interval = interval;
        self
    }

    /// How long to wait after a failed fetch. Default: 1 s, doubled up to 60 s, less up to half of it at random.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.policy.backoff = backoff;
        self
    }

    /// Fetches the keys and starts following them. For services that should not start without keys.
    ///
    /// One attempt is made, of at most [`timeout`](Self::timeout).
    ///
    /// # Errors
    ///
    /// [`JwksError::Config`] for everything that [`start`](Self::start) refuses, and
    /// [`JwksError::FirstFetch`] when no keys could be fetched.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the background task, too. Nothing is left behind.
    pub async fn connect(self) -> Result<JwksSource, JwksError> {
        let source = self.start()?;
        source.first_fetch().await?;
        Ok(source)
    }

    /// Starts following the keys, and returns at once without any. For services that must start while the
    /// key server is down.
    ///
    /// Until the first fetch has succeeded, deliveries are asked to come again later (503).
    ///
    /// The background task runs on the current Tokio runtime. It must outlive the source, and have its time and
    /// I/O drivers enabled (`enable_all`), as it has under `#[tokio::main]`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a wrong setting, or outside a Tokio runtime. Never because of the network.
    pub fn start(self) -> Result<JwksSource, ConfigError> {
        self.policy.check()?;
        limits(self.connect_timeout, "connect_timeout")?;
        limits(self.timeout, "timeout")?;
        if self.max_response_bytes == 0 {
            return Err(ConfigError::InvalidSetting {
                setting: "max_response_bytes",
                problem: "is 0: give at least a few thousand bytes".to_owned(),
            });
        }
        let location = self.location.check()?;
        let mut roots = Vec::new();
        for pem in &self.root_certificates {
            roots.extend(http_client::certificates(pem)?);
        }
        let runtime = Handle::try_current().map_err(|_| ConfigError::NoRuntime)?;
        let options = HttpOptions {
            connect_timeout: self.connect_timeout,
            roots,
            proxy_from_environment: self.proxy_from_environment,
        };
        let https = location.first_url().is_some_and(|url| url.scheme() == "https");
        let http = HttpClient::new(options, https)?;
        let name: Arc<str> = location.to_string().into();
        let fetcher =
            Arc::new(Fetcher { location, http, timeout: self.timeout, max_bytes: self.max_response_bytes });
        let fetch: Fetch = Box::new(move || Arc::clone(&fetcher).fetch().boxed());
        let (handle, task) = task::new(fetch, self.policy, Arc::clone(&name));
        runtime.spawn(task);
        Ok(JwksSource::new(handle, name))
    }
}

fn limits(limit: Duration, setting: &'static str) -> Result<(), ConfigError> {
    crate::policy::in_range(limit, setting, Duration::from_nanos(1))
}
