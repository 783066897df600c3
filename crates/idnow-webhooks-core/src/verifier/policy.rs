use std::sync::Arc;
use std::time::Duration;

use super::Verifier;
use crate::keys::Algorithm;

const DEFAULT_LEEWAY: Duration = Duration::from_secs(60);
/// Beyond ten minutes a leeway no longer covers clocks that drift, it keeps stolen tokens alive.
const MAX_LEEWAY: Duration = Duration::from_secs(600);
const DEFAULT_MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Clone)]
pub(super) struct Policy {
    pub(super) issuers: Vec<String>,
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) leeway: i64,
    pub(super) max_lifetime: i64,
    pub(super) max_age: Option<i64>,
    pub(super) environment: Option<String>,
    pub(super) flows: Vec<String>,
}

/// Builds a [`Verifier`]. At least one issuer and one audience are required.
#[derive(Debug, Clone)]
#[must_use]
pub struct VerifierBuilder {
    issuers: Vec<String>,
    audiences: Vec<String>,
    algorithms: Vec<Algorithm>,
    leeway: Duration,
    max_lifetime: Duration,
    max_age: Option<Duration>,
    environment: Option<String>,
    flows: Vec<String>,
}

impl Default for VerifierBuilder {
    fn default() -> Self {
        Self {
            issuers: Vec::new(),
            audiences: Vec::new(),
            algorithms: vec![Algorithm::Rs256],
            leeway: DEFAULT_LEEWAY,
            max_lifetime: DEFAULT_MAX_LIFETIME,
            max_age: None,
            environment: None,
            flows: Vec::new(),
        }
    }
}

impl VerifierBuilder {
    /// Accepts this `iss`, compared exactly. Call it again for another one.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuers.push(issuer.into());
        self
    }

    /// Accepts this `aud`, compared exactly: the URL of the endpoint as it is configured at the provider.
    /// Call it again for another one.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Replaces the allow list of algorithms (default: RS256 alone).
    ///
    /// The HMAC algorithms belong to a shared secret and cannot stand beside others.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// How far the two clocks may be apart (default: 60 s; at most 600 s).
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// The longest time between `iat` and `exp` (default: 24 h). The provider's tokens live for an hour.
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = lifetime;
        self
    }

    /// Does not accept tokens that were issued longer ago than this, even if they have not expired (default: off).
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Accepts only events of this `environment`, such as `live` (default: any). An event that names none is accepted.
    pub fn expected_environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Accepts only events of this flow (`payload.flowId`; default: any). Call it again for another one.
    ///
    /// The audience is a URL that somebody typed in when they configured an endpoint at the provider, so events of
    /// another customer may name yours. The flow shows whose they are.
    pub fn expected_flow(mut self, flow: impl Into<String>) -> Self {
        self.flows.push(flow.into());
        self
    }

    /// Checks the settings once, for good.
    pub fn build(self) -> Result<Verifier, PolicyError> {
        require("issuer", &self.issuers)?;
        require("audience", &self.audiences)?;
        if self.algorithms.is_empty() {
            return Err(PolicyError::NoAlgorithm);
        }
        let hmac = self.algorithms.iter().filter(|algorithm| algorithm.is_hmac()).count();
        if hmac != 0 && hmac != self.algorithms.len() {
            return Err(PolicyError::MixedAlgorithms);
        }
        if self.leeway > MAX_LEEWAY {
            return Err(PolicyError::Leeway(self.leeway.as_secs()));
        }
        for (name, duration) in [("max_lifetime", Some(self.max_lifetime)), ("max_age", self.max_age)] {
            if duration.is_some_and(|duration| duration.as_secs() == 0) {
                return Err(PolicyError::Zero(name));
            }
        }
        Ok(Verifier {
            policy: Arc::new(Policy {
                issuers: self.issuers,
                audiences: self.audiences,
                algorithms: self.algorithms,
                leeway: whole_seconds(self.leeway),
                max_lifetime: whole_seconds(self.max_lifetime),
                max_age: self.max_age.map(whole_seconds),
                environment: self.environment,
                flows: self.flows,
            }),
        })
    }
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn require(what: &'static str, values: &[String]) -> Result<(), PolicyError> {
    if values.is_empty() || values.iter().any(|value| value.trim().is_empty()) {
        return Err(PolicyError::Missing(what));
    }
    Ok(())
}

/// A [`VerifierBuilder`] that cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// No value, or an empty one, was given for something that every token must match.
    #[error(
        "`{0}` is not set, or empty: a token is believed only if it names one that is expected, so give at least one"
    )]
    Missing(&'static str),
    /// The allow list is empty.
    #[error("no algorithm is allowed: leave the default (RS256) or name at least one")]
    NoAlgorithm,
    /// HMAC algorithms stand beside others.
    #[error(
        "HMAC algorithms cannot be allowed beside others: use either a shared secret (HS256, HS384, HS512) or public keys"
    )]
    MixedAlgorithms,
    /// The leeway is so long that expiry means nothing.
    #[error("`leeway` of {0} s is too long: at most 600 s are accepted")]
    Leeway(u64),
    /// A maximum of zero would refuse everything.
    #[error("`{0}` must be at least one second")]
    Zero(&'static str),
}
