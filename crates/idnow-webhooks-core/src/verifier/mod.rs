//! Decides whether a token is genuine: pure, with the keys and the time as arguments.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::event::{Arrival, RawEvent, Unreadable};
use crate::json::Json;
use crate::keys::{Algorithm, KeySet, VerificationKey};
use crate::store::Evidence;
use crate::token::{Header, RawClaims, Segments};

mod error;
mod policy;

pub use crate::token::TokenError;
pub use error::{Seen, VerifyError};
pub use policy::{PolicyError, VerifierBuilder};

use error::seconds_between;
use policy::Policy;

/// How many keys are tried for a token that names none: each costs a verification.
const MAX_CANDIDATES: usize = 8;
/// How many key ids an error names. The provider publishes a handful.
const MAX_KNOWN: usize = 20;

/// Checks tokens against a fixed policy: issuers, audiences, algorithms and times.
///
/// ```
/// use idnow_webhooks_core::Verifier;
/// use idnow_webhooks_core::keys::Algorithm;
///
/// let verifier = Verifier::builder()
///     .issuer("https://auth.eu.platform.idnow.io/oidc")
///     .audience("https://bank.example/webhooks/idnow")
///     .build()?;
/// assert_eq!(verifier.algorithms(), [Algorithm::Rs256]);
/// # Ok::<(), idnow_webhooks_core::PolicyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Verifier {
    policy: Arc<Policy>,
}

/// A token whose signature and claims hold. The only way to get one is [`Verifier::verify`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VerifiedToken {
    /// `iss`.
    pub issuer: String,
    /// `sub`: in the provider's example, the event id.
    pub subject: Option<String>,
    /// `iat`.
    pub issued_at: DateTime<Utc>,
    /// `exp`.
    pub expires_at: DateTime<Utc>,
    /// `kid` of the key that verified it.
    pub key_id: Option<String>,
    /// `alg`.
    pub algorithm: Algorithm,
    arrival: Arrival,
    jwk: Option<Arc<str>>,
    evidence: Option<Arc<Evidence>>,
}

impl VerifiedToken {
    /// The text of `data`, exactly as it was signed.
    pub fn json(&self) -> &str {
        self.arrival.data().get()
    }

    /// Reads the event.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] when `data` lacks what every documented event has. The token is genuine all the same:
    /// the provider changed something.
    pub fn event(&self) -> Result<RawEvent, Unreadable> {
        self.arrival.clone().into_event()
    }

    /// [`event`](Self::event), for those who are done with the token: nothing is copied.
    pub fn into_event(self) -> Result<RawEvent, Unreadable> {
        self.arrival.into_event()
    }

    /// The public key that verified it, as it stands in its JWKS. `None` for a shared secret.
    pub fn jwk(&self) -> Option<&str> {
        self.jwk.as_deref()
    }

    pub(crate) fn keep_evidence(&mut self, token: &[u8]) {
        // A token that was verified is ASCII.
        let token = String::from_utf8_lossy(token).into_owned();
        self.evidence = Some(Arc::new(Evidence::new(token, self.jwk().map(str::to_owned))));
    }

    pub(crate) fn into_parts(self) -> (Arrival, Option<Arc<Evidence>>) {
        (self.arrival, self.evidence)
    }
}

impl Verifier {
    /// Starts with the defaults: RS256 only, 60 s of leeway, tokens that live for at most a day.
    pub fn builder() -> VerifierBuilder {
        VerifierBuilder::default()
    }

    /// The algorithms that are accepted.
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.policy.algorithms
    }

    /// Verifies a compact token.
    ///
    /// Cheap checks come first, so that forgeries cost little; nothing is believed before the signature holds.
    ///
    /// # Errors
    ///
    /// [`VerifyError`] names the check that failed, what was expected and what was seen.
    /// [`VerifyError::UnknownKey`] is given only for a token that is right in all that can be checked without the key,
    /// but perhaps too early: it is worth a look at the key server. [`VerifyError::NotYetIssued`] and [`VerifyError::NotYetValid`] are given only
    /// for a token whose signature holds, so they do tell that two clocks disagree.
    pub fn verify(
        &self,
        token: &[u8],
        keys: &KeySet,
        now: DateTime<Utc>,
    ) -> Result<VerifiedToken, VerifyError> {
        let segments = Segments::split(token)?;
        let header = segments.header()?;
        let header = Header::read(&header)?;
        let algorithm = self.algorithm(&header.alg)?;
        let text = Json::new(segments.claims()?);
        let claims = RawClaims::read(text.get())?;
        let times = self.check_claims(&claims, now)?;
        let signature = segments.signature()?;

        let key_id = header.kid.as_deref();
        let key = verifying_key(keys, algorithm, key_id, &segments, &signature)?;
        // Last, as the answer asks the provider to come again and tells whoever watches that a clock is wrong.
        self.check_begun(&claims, now)?;

        let issuer = claims.iss.map(Cow::into_owned).unwrap_or_default();
        let subject = claims.sub.map(Cow::into_owned);
        // A genuine token without `data` is the provider's change, not a forgery: it reads as an unreadable event.
        let event = match claims.data {
            Some(data) => RawEvent::from_envelope(text.piece(data.text), data.envelope),
            None => RawEvent::from_json("null"),
        };
        Ok(VerifiedToken {
            issuer,
            subject,
            issued_at: times.issued_at,
            expires_at: times.expires_at,
            key_id: key.key_id().map(str::to_owned),
            algorithm,
            arrival: event.into(),
            jwk: key.jwk(),
            evidence: None,
        })
    }

    fn algorithm(&self, name: &str) -> Result<Algorithm, VerifyError> {
        let known = name.parse().ok();
        known.filter(|algorithm| self.policy.algorithms.contains(algorithm)).ok_or_else(|| {
            VerifyError::Algorithm { expected: self.policy.algorithms.clone(), seen: Seen::new(name) }
        })
    }

    fn check_claims(&self, claims: &RawClaims<'_>, now: DateTime<Utc>) -> Result<Times, VerifyError> {
        let policy = &*self.policy;
        let issuer = claims.iss.as_deref().ok_or(VerifyError::MissingClaim("iss"))?;
        if !policy.issuers.iter().any(|expected| expected == issuer) {
            return Err(VerifyError::Issuer { expected: policy.issuers.clone(), seen: Seen::new(issuer) });
        }
        let audience = claims.aud.as_ref().ok_or(VerifyError::MissingClaim("aud"))?;
        if !audience.iter().any(|name| policy.audiences.iter().any(|expected| expected == name)) {
            let seen = audience.iter().take(5).map(|name| Seen::new(name)).collect();
            return Err(VerifyError::Audience { expected: policy.audiences.clone(), seen });
        }

        let issued_at = claims.iat.ok_or(VerifyError::MissingClaim("iat"))?;
        let expires_at = claims.exp.ok_or(VerifyError::MissingClaim("exp"))?;
        let now = now.timestamp();
        let leeway = policy.leeway;
        if expires_at.saturating_add(leeway) <= now {
            return Err(VerifyError::Expired { seconds_ago: seconds_between(expires_at, now), leeway });
        }
        let lifetime = expires_at.saturating_sub(issued_at);
        if lifetime <= 0 || lifetime > policy.max_lifetime {
            return Err(VerifyError::Lifetime { seconds: lifetime, most: policy.max_lifetime });
        }
        if let Some(most) = policy.max_age
            && issued_at < now.saturating_sub(most).saturating_sub(leeway)
        {
            return Err(VerifyError::TooOld { seconds: seconds_between(issued_at, now), most, leeway });
        }
        let time = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
        Ok(Times { issued_at: time(issued_at), expires_at: time(expires_at) })
    }

    fn check_begun(&self, claims: &RawClaims<'_>, now: DateTime<Utc>) -> Result<(), VerifyError> {
        let (now, leeway) = (now.timestamp(), self.policy.leeway);
        let latest = now.saturating_add(leeway);
        if let Some(issued_at) = claims.iat
            && issued_at > latest
        {
            return Err(VerifyError::NotYetIssued { seconds_ahead: seconds_between(now, issued_at), leeway });
        }
        if let Some(start) = claims.nbf
            && start > latest
        {
            return Err(VerifyError::NotYetValid { seconds_ahead: seconds_between(now, start), leeway });
        }
        Ok(())
    }
}

struct Times {
    issued_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

pub(crate) fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn verifying_key<'k>(
    keys: &'k KeySet,
    algorithm: Algorithm,
    key_id: Option<&str>,
    segments: &Segments<'_>,
    signature: &[u8],
) -> Result<&'k VerificationKey, VerifyError> {
    let secret = algorithm.is_hmac();
    let most = if secret { usize::MAX } else { MAX_CANDIDATES };
    let mut candidates = keys.candidates(algorithm, key_id).take(most).peekable();
    let known = candidates.peek().is_some();
    if let Some(key) = candidates.find(|key| key.verifies(segments.signing_input, signature)) {
        return Ok(key);
    }
    let key_id_seen = key_id.map(Seen::new);
    if known && (secret || key_id.is_some()) {
        return Err(VerifyError::Signature { key_id: key_id_seen, algorithm });
    }
    // A token that names no key may have been signed by one that is not known yet.
    Err(VerifyError::UnknownKey {
        key_id: key_id_seen,
        algorithm,
        known: keys.key_ids().into_iter().take(MAX_KNOWN).map(Seen::new).collect(),
    })
}
