//! Decides whether a token is genuine: pure, with the keys and the time as arguments.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::event::{Arrival, RawEvent, Unreadable};
use crate::json::{self, Json};
use crate::keys::{Algorithm, KeySet, VerificationKey};
use crate::store::Evidence;
use crate::token::{Claims, Header, Segments};

mod error;
mod policy;

pub use crate::token::{ClaimsError, TokenError};
pub use error::{Mismatch, MismatchKind, Untrusted, VerifyError};
pub use policy::{PolicyError, VerifierBuilder};

use policy::Policy;

/// How many keys are tried for a token that names none: each costs a verification.
const MAX_CANDIDATES: usize = 8;
/// How many key ids an error names. The provider publishes a handful.
const MAX_KNOWN: usize = 20;
/// How many audiences an error names. The provider's tokens have one.
const MAX_SEEN_AUDIENCES: usize = 5;

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
    claims: Json,
    arrival: Arrival,
    jwk: Option<Arc<str>>,
    evidence: Option<Arc<Evidence>>,
}

impl VerifiedToken {
    /// The text of `data`, exactly as it was signed.
    pub fn json(&self) -> &str {
        self.arrival.data().get()
    }

    /// `aud`: one text, or several.
    pub fn audiences(&self) -> Vec<String> {
        // They were read before, so this does not fail.
        let claims = Claims::read(self.claims.get());
        claims
            .map_or_else(|_| Vec::new(), |claims| claims.audiences.into_iter().map(Cow::into_owned).collect())
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

    pub(crate) fn evidence(&self) -> Option<&Evidence> {
        self.evidence.as_deref()
    }

    pub(crate) fn arrival(&self) -> &Arrival {
        &self.arrival
    }

    pub(crate) fn into_parts(self) -> (Arrival, Option<String>, Option<Arc<Evidence>>) {
        (self.arrival, self.subject, self.evidence)
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

    /// What [`VerifierBuilder::expected_environment`] does, afterwards.
    pub(crate) fn expect_environment(&mut self, environment: String) {
        Arc::make_mut(&mut self.policy).environment = Some(environment);
    }

    /// What [`VerifierBuilder::expected_flow`] does, afterwards.
    pub(crate) fn expect_flow(&mut self, flow: String) {
        Arc::make_mut(&mut self.policy).flows.push(flow);
    }

    /// Verifies a compact token, as of `now`.
    ///
    /// The signature comes first: nothing that a token says is believed, or decides the answer, before it holds.
    ///
    /// # Errors
    ///
    /// [`VerifyError`] names the check that failed, what was expected and what was seen.
    pub fn verify(
        &self,
        token: &[u8],
        keys: &KeySet,
        now: DateTime<Utc>,
    ) -> Result<VerifiedToken, VerifyError> {
        let segments = Segments::split(token)?;
        let header = segments.header()?;
        let header = Header::read(&header)?;
        let signature = segments.signature()?;
        let key = verifying_key(keys, &header, &segments, &signature)?;

        if let Some(name) = header.extension {
            return Err(ClaimsError::Extension(name).into());
        }
        let text = Json::new(segments.claims()?);
        let claims = Claims::read(text.get())?;
        let mismatch = self.policy.check_claims(key.algorithm(), &claims, now);
        // A genuine token without `data` is the provider's change, not a forgery: it reads as an unreadable event.
        let data = if claims.data == json::NULL { Json::new(json::NULL) } else { text.piece(claims.data) };
        let arrival = Arrival::from(RawEvent::from_data(data));
        let mismatch = mismatch.and_then(|()| self.policy.check_event(&arrival));

        let time = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
        let token = VerifiedToken {
            issued_at: time(claims.issued_at),
            expires_at: time(claims.expires_at),
            key_id: key.key_id().map(str::to_owned),
            algorithm: key.algorithm(),
            jwk: key.jwk(),
            evidence: None,
            issuer: claims.issuer.into_owned(),
            subject: claims.subject.map(Cow::into_owned),
            arrival,
            claims: text.clone(),
        };
        match mismatch {
            Ok(()) => Ok(token),
            Err(kind) => {
                let is_expected_flow = self.policy.expects_flow_of(&token.arrival);
                Err(VerifyError::Mismatch(Box::new(Mismatch { kind, is_expected_flow, token })))
            }
        }
    }
}

impl Policy {
    fn check_claims(
        &self,
        algorithm: Algorithm,
        claims: &Claims<'_>,
        now: DateTime<Utc>,
    ) -> Result<(), MismatchKind> {
        if !self.algorithms.contains(&algorithm) {
            return Err(MismatchKind::Algorithm { expected: self.algorithms.clone(), seen: algorithm });
        }
        if !self.issuers.iter().any(|expected| *expected == claims.issuer) {
            let (expected, seen) = (self.issuers.clone(), Untrusted::new(&claims.issuer));
            return Err(MismatchKind::Issuer { expected, seen });
        }
        if !claims.audiences.iter().any(|name| self.audiences.iter().any(|expected| expected == name)) {
            let seen =
                claims.audiences.iter().take(MAX_SEEN_AUDIENCES).map(|name| Untrusted::new(name)).collect();
            return Err(MismatchKind::Audience { expected: self.audiences.clone(), seen });
        }
        self.check_times(claims, now.timestamp())
    }

    fn check_times(&self, claims: &Claims<'_>, now: i64) -> Result<(), MismatchKind> {
        let Claims { issued_at, expires_at, not_before, .. } = *claims;
        let leeway = self.leeway;
        let lifetime = expires_at.saturating_sub(issued_at);
        if lifetime <= 0 || lifetime > self.max_lifetime {
            return Err(MismatchKind::Lifetime { seconds: lifetime, most: self.max_lifetime });
        }
        if expires_at.saturating_add(leeway) <= now {
            return Err(MismatchKind::Expired { seconds_ago: now.saturating_sub(expires_at), leeway });
        }
        if let Some(most) = self.max_age
            && issued_at < now.saturating_sub(most).saturating_sub(leeway)
        {
            return Err(MismatchKind::TooOld { seconds: now.saturating_sub(issued_at), most, leeway });
        }
        for (claim, time) in [("iat", Some(issued_at)), ("nbf", not_before)] {
            if let Some(time) = time
                && time > now.saturating_add(leeway)
            {
                return Err(MismatchKind::NotYetValid {
                    claim,
                    seconds_ahead: time.saturating_sub(now),
                    leeway,
                });
            }
        }
        Ok(())
    }

    /// What cannot be read as an event is believed by nobody, so it is kept whatever it lacks.
    fn check_event(&self, arrival: &Arrival) -> Result<(), MismatchKind> {
        if let (Some(expected), Some(seen)) = (&self.environment, arrival.environment())
            && expected != seen
        {
            return Err(MismatchKind::Environment { expected: expected.clone(), seen: Untrusted::new(seen) });
        }
        if self.flows.is_empty() || self.expects_flow_of(arrival) {
            return Ok(());
        }
        let seen = arrival.subject().flow_id;
        if seen.is_none() && matches!(arrival, Arrival::Unreadable(_)) {
            return Ok(());
        }
        let seen = seen.map(|flow| Untrusted::new(&flow));
        Err(MismatchKind::Flow { expected: self.flows.clone(), seen })
    }

    fn expects_flow_of(&self, arrival: &Arrival) -> bool {
        // Nothing is read where nothing is expected.
        !self.flows.is_empty()
            && arrival.subject().flow_id.is_some_and(|seen| self.flows.iter().any(|flow| *flow == seen))
    }
}

/// The key whose signature it is; or what is proven instead.
fn verifying_key<'k>(
    keys: &'k KeySet,
    header: &Header<'_>,
    segments: &Segments<'_>,
    signature: &[u8],
) -> Result<&'k VerificationKey, VerifyError> {
    let key_id = &header.key_id;
    let algorithm: Option<Algorithm> = header.algorithm.parse().ok();
    let mut tried = 0;
    let mut left_out = false;
    for key in algorithm.into_iter().flat_map(|algorithm| keys.candidates(algorithm, key_id.as_deref())) {
        // An operator's own secrets are few, and all of them may be meant.
        if tried == MAX_CANDIDATES && !key.algorithm().is_hmac() {
            left_out = true;
            break;
        }
        if key.verifies(segments.signing_input, signature) {
            return Ok(key);
        }
        tried += 1;
    }
    let seen_key_id = key_id.as_deref().map(Untrusted::new);
    let seen_algorithm = Untrusted::new(&header.algorithm);
    // Nobody signs with it, whatever key the token names.
    let unsigned = header.algorithm.eq_ignore_ascii_case("none");
    if unsigned || key_id.as_deref().is_some_and(|key_id| !keys.could_have_signed(key_id, &header.algorithm))
    {
        return Err(VerifyError::Algorithm { key_id: seen_key_id, algorithm: seen_algorithm });
    }
    // Only the keys of the id that a token names prove its signature false, and only if none of them was left out.
    if let Some(key_id) = key_id
        && tried > 0
        && !left_out
        && !algorithm.is_some_and(Algorithm::is_hmac)
        && keys.skipped_with(key_id).next().is_none()
    {
        return Err(VerifyError::Signature { key_id: seen_key_id, algorithm: seen_algorithm });
    }
    Err(VerifyError::UnknownKey {
        key_id: seen_key_id,
        algorithm: seen_algorithm,
        known: keys.key_ids().into_iter().take(MAX_KNOWN).map(Untrusted::new).collect(),
    })
}
