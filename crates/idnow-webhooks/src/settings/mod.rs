//! The configuration of a receiver, read from environment variables.
//!
//! [`VARIABLES`] lists them all; [`Settings::from_env`] reads them, and stops at the first wrong value with a
//! message that names the variable, the value and what is expected. [`Settings::queued`] or
//! [`Settings::inline`] then sets up store, keys, admission and receiver.

mod error;
mod names;
mod setup;
mod store;
mod value;
mod variables;

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use idnow_webhooks_core::keys::Algorithm;
use idnow_webhooks_core::store::Retention;
use idnow_webhooks_core::{RequiredHeader, Secret};
use idnow_webhooks_jwks::Location;
use ipnet::IpNet;

pub use error::{SettingsError, SetupError};
pub use store::{OpenStoreError, Store, UnknownStore};
use value::Variables;
pub use variables::{VARIABLES, Variable};

/// The provider's environments whose addresses are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// `sandbox`: issuer and keys at `auth.eu.platform.idnow.sx`.
    Sandbox,
    /// `production`: issuer and keys at `auth.eu.platform.idnow.io`.
    Production,
}

impl Preset {
    /// The `iss` of its tokens.
    pub fn issuer(self) -> &'static str {
        match self {
            Self::Sandbox => "https://auth.eu.platform.idnow.sx/oidc",
            Self::Production => "https://auth.eu.platform.idnow.io/oidc",
        }
    }

    /// Where its keys are published.
    pub fn jwks_url(self) -> &'static str {
        match self {
            Self::Sandbox => idnow_webhooks_jwks::SANDBOX_JWKS_URL,
            Self::Production => idnow_webhooks_jwks::PRODUCTION_JWKS_URL,
        }
    }
}

/// What tokens are verified with. `Debug` shows neither secrets nor what URLs may hold of them.
#[derive(Clone)]
#[non_exhaustive]
pub enum Keys {
    /// The JWKS that the issuer advertises (OIDC discovery).
    Discovery,
    /// The JWKS at this URL.
    Url(String),
    /// The same, but plain HTTP is allowed to any host: see [`Location::insecure_url`]. No variable sets this.
    InsecureUrl(String),
    /// The JWKS in this file; no network is used.
    File(PathBuf),
    /// Shared secrets (HMAC), and nothing else.
    Secrets(Vec<Secret>),
}

impl Keys {
    /// Where to fetch them, or else the secrets.
    fn location(&self, issuer: &str) -> Result<Location, &[Secret]> {
        match self {
            Self::Discovery => Ok(Location::issuer(issuer)),
            Self::Url(url) => Ok(Location::url(url)),
            Self::InsecureUrl(url) => Ok(Location::insecure_url(url)),
            Self::File(path) => Ok(Location::file(path)),
            Self::Secrets(secrets) => Err(secrets),
        }
    }

    /// What the key source would refuse later is refused here, where the variable's name is known.
    fn check(&self, issuer: &str) -> Result<(), SettingsError> {
        let (variable, value) = match self {
            Self::Discovery => ("IDNOW_ISSUER", issuer),
            Self::Url(url) | Self::InsecureUrl(url) => ("IDNOW_JWKS_URL", url.as_str()),
            Self::File(_) | Self::Secrets(_) => return Ok(()),
        };
        let Ok(location) = self.location(issuer) else { return Ok(()) };
        location.validate().map_err(|error| SettingsError::wrong_location(variable, value, &error))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discovery => f.write_str("Discovery"),
            Self::Url(url) => Location::url(url).fmt(f),
            Self::InsecureUrl(url) => Location::insecure_url(url).fmt(f),
            Self::File(path) => Location::file(path).fmt(f),
            Self::Secrets(secrets) => f.debug_tuple("Secrets").field(secrets).finish(),
        }
    }
}

/// Everything that is configured, with its types; [`from_env`](Self::from_env) fills it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Accepted `iss`.
    pub issuer: String,
    /// Accepted `aud`: the URLs of the endpoint as configured at the provider.
    pub audiences: Vec<String>,
    /// What tokens are verified with.
    pub keys: Keys,
    /// Accepted algorithms.
    pub algorithms: Vec<Algorithm>,
    /// How far the clocks may be apart.
    pub leeway: Duration,
    /// Allowed source addresses; empty means all.
    pub allowed_ips: Vec<IpNet>,
    /// Whether other source addresses are only reported.
    pub monitor_allowed_ips: bool,
    /// Proxies whose forwarding header is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Headers that every delivery must carry.
    pub required_headers: Vec<RequiredHeader>,
    /// The only accepted `environment` of events.
    pub expected_environment: Option<String>,
    /// The longest accepted body.
    pub max_body_bytes: usize,
    /// When to answer at the latest.
    pub answer_deadline: Duration,
    /// The least time between two fetches that tokens cause: unknown key ids, false signatures.
    pub jwks_min_refresh: Duration,
    /// Where events are remembered.
    pub store: Store,
    /// How long completed events are kept.
    pub retention: Retention,
    /// Whether tokens, and the keys that verified them, are stored.
    pub keep_evidence: bool,
    /// How many events a worker handles at once.
    pub worker_concurrency: usize,
    /// How often an event is handled before it becomes a dead letter.
    pub worker_max_runs: u32,
    /// How long an event waits for a missing one before it in its session.
    pub session_grace: Duration,
    /// Where the server should listen. For your `main`; the receiver does not use it.
    pub listen: SocketAddr,
    /// Where the webhook should be mounted. For your `main`; the receiver does not use it.
    pub path: String,
}

impl Settings {
    /// Reads the [`VARIABLES`] from the environment, as [`from_variables`](Self::from_variables) does.
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::from_variables(environment()?)
    }

    /// Reads the [`VARIABLES`] from a list of names and values. Of two with one name, the last counts.
    ///
    /// A blank value counts as not set, but is an error where that would take a protection away. So is a name that is
    /// a misspelt one of the [`VARIABLES`], as `IDNOW_ALOWED_IPS`. Other unknown names that begin with `IDNOW_` are
    /// reported in the log, unless Kubernetes sets them for a Service, as `IDNOW_PORT=tcp://10.0.0.1:80`.
    ///
    /// ```
    /// use idnow_webhooks::Settings;
    ///
    /// let variables = [
    ///     ("IDNOW_ENVIRONMENT", "sandbox"),
    ///     ("IDNOW_AUDIENCE", "https://bank.example/webhooks/idnow"),
    ///     ("IDNOW_LEEWAY_SECONDS", "a minute"),
    /// ];
    /// let error = Settings::from_variables(variables.map(|(name, value)| (name.into(), value.into()))).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "IDNOW_LEEWAY_SECONDS is \"a minute\": expected a whole number of seconds from 0 to 600"
    /// );
    /// ```
    pub fn from_variables(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let read = Variables::new(variables)?;
        let preset = read.one_of(
            "IDNOW_ENVIRONMENT",
            &[("sandbox", Preset::Sandbox), ("production", Preset::Production)],
        )?;
        let issuer = read.text("IDNOW_ISSUER");
        let keys = read_keys(&read, preset, issuer.is_some())?;
        let issuer = issuer.or_else(|| preset.map(|preset| preset.issuer().to_owned())).ok_or_else(|| {
            SettingsError::missing(
                "IDNOW_ISSUER",
                "the issuer's URL, or IDNOW_ENVIRONMENT set to sandbox or production",
            )
        })?;
        keys.check(&issuer)?;
        Ok(Self {
            issuer,
            audiences: read.audiences("IDNOW_AUDIENCE")?,
            algorithms: read.algorithms("IDNOW_ALGORITHMS", matches!(keys, Keys::Secrets(_)))?,
            keys,
            leeway: Duration::from_secs(read.number("IDNOW_LEEWAY_SECONDS", "seconds", 0..=600, 60)?),
            allowed_ips: read.ranges("IDNOW_ALLOWED_IPS")?,
            monitor_allowed_ips: read
                .one_of_with(
                    "IDNOW_ALLOWED_IPS_MODE",
                    "IDNOW_ALLOWED_IPS",
                    &[("enforce", false), ("monitor", true)],
                )?
                .unwrap_or(false),
            trusted_proxies: read.proxies("IDNOW_TRUSTED_PROXIES")?,
            required_headers: read.headers("IDNOW_REQUIRED_HEADERS")?,
            expected_environment: read.text("IDNOW_EXPECTED_ENVIRONMENT"),
            max_body_bytes: read.count(
                "IDNOW_MAX_BODY_BYTES",
                "bytes",
                1024..=16 * 1024 * 1024,
                64 * 1024,
            )?,
            answer_deadline: Duration::from_millis(read.number(
                "IDNOW_ANSWER_DEADLINE_MS",
                "milliseconds",
                100..=60_000,
                8000,
            )?),
            jwks_min_refresh: Duration::from_secs(read.number(
                "IDNOW_JWKS_MIN_REFRESH_SECONDS",
                "seconds",
                1..=3600,
                10,
            )?),
            store: read.store("IDNOW_STORE")?,
            retention: read.retention("IDNOW_RETENTION_DAYS")?,
            keep_evidence: read
                .one_of("IDNOW_KEEP_EVIDENCE", &[("yes", true), ("no", false)])?
                .unwrap_or(false),
            worker_concurrency: read.count("IDNOW_WORKER_CONCURRENCY", "events", 1..=10_000, 16)?,
            worker_max_runs: read.count("IDNOW_WORKER_MAX_RUNS", "runs", 1..=1_000_000, 15)?,
            session_grace: Duration::from_secs(read.number(
                "IDNOW_SESSION_GRACE_SECONDS",
                "seconds",
                0..=86_400,
                0,
            )?),
            listen: read.listen("LISTEN", SocketAddr::from((Ipv4Addr::LOCALHOST, 3000)))?,
            path: read.path("WEBHOOK_PATH", "/webhooks/idnow")?,
        })
    }
}

/// The environment of this process, for [`Settings::from_variables`] after a change of your own.
///
/// # Errors
///
/// One of the [`VARIABLES`] is not UTF-8 text. Others may hold whatever they like.
pub fn environment() -> Result<Vec<(String, String)>, SettingsError> {
    let read = |(name, value): (OsString, OsString)| {
        let name = name.to_string_lossy().into_owned();
        let value = match value.into_string() {
            Ok(value) => value,
            Err(_) if variables::is_known(&name) => return Err(SettingsError::not_text(&name)),
            Err(value) => value.to_string_lossy().into_owned(),
        };
        Ok((name, value))
    };
    std::env::vars_os().map(read).collect()
}

/// Keys come from one place. Without any of the three variables it is the preset's, or else what the issuer
/// advertises; an issuer that was set by hand is never combined with the keys of a preset.
fn read_keys(read: &Variables, preset: Option<Preset>, own_issuer: bool) -> Result<Keys, SettingsError> {
    let url = read.text("IDNOW_JWKS_URL").map(|url| ("IDNOW_JWKS_URL", Keys::Url(url)));
    let file = read.text("IDNOW_JWKS_FILE").map(|path| ("IDNOW_JWKS_FILE", Keys::File(path.into())));
    let secrets =
        read.secrets("IDNOW_WEBHOOK_SECRET")?.map(|secrets| ("IDNOW_WEBHOOK_SECRET", Keys::Secrets(secrets)));
    let mut given = [url, file, secrets].into_iter().flatten();
    match (given.next(), given.next()) {
        (Some((one, _)), Some((other, _))) => Err(SettingsError::conflict(one, other)),
        (Some((_, keys)), None) => Ok(keys),
        _ => Ok(match preset {
            Some(preset) if !own_issuer => Keys::Url(preset.jwks_url().to_owned()),
            _ => Keys::Discovery,
        }),
    }
}

#[cfg(test)]
mod tests;
