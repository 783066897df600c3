//! The configuration of a receiver, read from environment variables.
//!
//! [`VARIABLES`] lists them all; [`Settings::from_env`] reads them, and stops at the first wrong value with a
//! message that names the variable, the value and what is expected. [`Settings::queued`] or
//! [`Settings::inline`] then sets up store, keys, admission and receiver. Without the feature `jwks`, a shared secret is
//! the only key.

mod error;
mod files;
mod keys;
mod names;
mod report;
mod setup;
mod store;
mod value;
mod variables;

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use idnow_webhooks_core::RequiredHeader;
use idnow_webhooks_core::keys::Algorithm;
use idnow_webhooks_core::store::Retention;
use ipnet::IpNet;

pub use error::{SettingsError, SetupError};
pub use keys::{Keys, Preset};
pub use store::{OpenStoreError, Store, UnknownStore};
use value::Variables;
pub use variables::{VARIABLES, Variable};

/// In seconds: longer times are likelier a mistake.
const YEAR: u64 = 365 * 24 * 3600;

/// Everything that is configured, with its types; [`from_env`](Self::from_env) fills it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The provider's environment, if one was chosen by its name.
    pub environment: Option<Preset>,
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
    /// The longest accepted time between a token's `iat` and its `exp`.
    pub max_lifetime: Duration,
    /// How long ago a token may have been issued, whatever its `exp`; `None` means that `exp` alone decides.
    pub max_age: Option<Duration>,
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
    /// The only accepted flows, by their ids; empty means all.
    pub expected_flows: Vec<String>,
    /// The longest accepted body, in bytes.
    pub max_body_bytes: usize,
    /// When to answer at the latest.
    pub answer_deadline: Duration,
    /// The least time between two fetches that tokens cause: unknown key ids, false signatures.
    pub jwks_min_refresh: Duration,
    /// Where events are remembered.
    pub store: Store,
    /// How long completed events are kept.
    pub retention: Retention,
    /// How many connections a store in PostgreSQL has for the transactions of handlers.
    pub store_pool: u32,
    /// Whether tokens, and the keys that verified them, are stored.
    pub keep_evidence: bool,
    /// How many events a worker handles at once.
    pub worker_concurrency: usize,
    /// How often an event is handled before it becomes a dead letter.
    pub worker_max_runs: u32,
    /// How long a worker holds an event. It is extended while the handler runs; after a crash the event is handled again
    /// when it has run out.
    pub lease: Duration,
    /// How long a handler may run before it is stopped; `None` means 5 min in a worker, and 60 s inline.
    pub handler_limit: Option<Duration>,
    /// How long a worker that is to stop waits for the handlers that run.
    pub drain_limit: Duration,
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
    /// The files that variables such as `IDNOW_STORE_FILE` name are read here, once.
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
        Self::read(&read).map_err(|error| read.name_source(error))
    }

    fn read(read: &Variables) -> Result<Self, SettingsError> {
        let environment = Preset::read(read)?;
        let issuer = read.text("IDNOW_ISSUER");
        let keys = Keys::read(read, environment, issuer.is_some())?;
        let issuer =
            issuer.or_else(|| environment.map(|preset| preset.issuer().to_owned())).ok_or_else(|| {
                SettingsError::missing(
                    "IDNOW_ISSUER",
                    "the issuer's URL, or IDNOW_ENVIRONMENT set to sandbox or production",
                )
            })?;
        #[cfg(feature = "jwks")]
        keys.check(&issuer)?;
        let seconds =
            |name, range, default| read.number(name, "seconds", range, default).map(Duration::from_secs);
        let answer_deadline = read.number("IDNOW_ANSWER_DEADLINE_MS", "milliseconds", 100..=60_000, 8000)?;
        let answer_deadline = Duration::from_millis(answer_deadline);
        let audiences = read.audiences("IDNOW_AUDIENCE")?;
        let store = read.store("IDNOW_STORE")?;
        Ok(Self {
            environment,
            issuer,
            audiences,
            algorithms: read.algorithms("IDNOW_ALGORITHMS", matches!(keys, Keys::Secrets(_)))?,
            keys,
            leeway: seconds("IDNOW_LEEWAY_SECONDS", 0..=600, 60)?,
            max_lifetime: seconds("IDNOW_MAX_LIFETIME_SECONDS", 1..=YEAR, 86_400)?,
            max_age: read.seconds("IDNOW_MAX_AGE_SECONDS", 1..=YEAR)?,
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
            expected_flows: read.list("IDNOW_EXPECTED_FLOWS")?,
            max_body_bytes: read.count(
                "IDNOW_MAX_BODY_BYTES",
                "bytes",
                1024..=16 * 1024 * 1024,
                256 * 1024,
            )?,
            answer_deadline,
            jwks_min_refresh: seconds("IDNOW_JWKS_MIN_REFRESH_SECONDS", 1..=3600, 10)?,
            store_pool: read.pool("IDNOW_STORE_POOL", &store)?,
            store,
            retention: read.retention("IDNOW_RETENTION_DAYS")?,
            keep_evidence: read
                .one_of("IDNOW_KEEP_EVIDENCE", &[("yes", true), ("no", false)])?
                .unwrap_or(false),
            worker_concurrency: read.count("IDNOW_WORKER_CONCURRENCY", "events", 1..=10_000, 16)?,
            worker_max_runs: read.count("IDNOW_WORKER_MAX_RUNS", "runs", 1..=1_000_000, 15)?,
            lease: seconds("IDNOW_LEASE_SECONDS", 5..=3600, 60)?,
            handler_limit: read.handler_limit("IDNOW_HANDLER_LIMIT_SECONDS", answer_deadline)?,
            drain_limit: seconds("IDNOW_DRAIN_LIMIT_SECONDS", 0..=3600, 30)?,
            session_grace: seconds("IDNOW_SESSION_GRACE_SECONDS", 0..=86_400, 0)?,
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

#[cfg(test)]
mod tests;
