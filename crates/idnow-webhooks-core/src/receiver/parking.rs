//! Genuine tokens that do not fit this receiver's settings or clock: kept, and verified again once these are right.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use super::intake::Intake;
use super::{Inner, Receiver};
use crate::deadline::within;
use crate::keys::KeySet;
use crate::outcome::{Outcome, Refusal};
use crate::store::call::{guarded, measured};
use crate::store::{Insertion, NewEvent, ParkLimits, ParkedToken, StoreError, hashed_id};
use crate::telemetry;
use crate::verifier::{Mismatch, VerifiedToken, VerifyError};

/// How long the answer to a delivery may wait for its token to be parked.
const PARK_LIMIT: Duration = Duration::from_secs(2);

/// How far a clock may have been wrong for a token to be judged by the time of its issue.
const MAX_CLOCK_ERROR: TimeDelta = TimeDelta::hours(24);
/// How many tokens may be parked at once. Another customer of the provider can cause them, so they take no place of
/// genuine deliveries.
pub(super) const MAX_PARKING: usize = 16;

/// How [`Receiver::admit`] verifies a parked token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AdmitOptions {
    /// Judges the token by the time of its issue, by the provider's clock, and not by the time of its receipt: for tokens
    /// that were refused because the receiver's clock was wrong, by a day at most (default: no).
    ///
    /// Then an old token that somebody recorded and sent again looks the same as one that a wrong clock refused: name the
    /// tokens that you mean.
    pub as_of_issue: bool,
    /// Believes the public key that verified the token when it came, even if it is not published any more (default: no).
    ///
    /// A key may have been withdrawn because others know it, and a receiver may have believed a key by mistake.
    pub trust_stored_key: bool,
}

impl AdmitOptions {
    /// As of the receipt, and only with keys that are published now.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`as_of_issue`](Self::as_of_issue).
    #[must_use]
    pub fn as_of_issue(mut self, yes: bool) -> Self {
        self.as_of_issue = yes;
        self
    }

    /// Sets [`trust_stored_key`](Self::trust_stored_key).
    #[must_use]
    pub fn trust_stored_key(mut self, yes: bool) -> Self {
        self.trust_stored_key = yes;
        self
    }
}

impl Inner {
    /// Keeps the token, in queued mode; inline there is no queue to put it into later. The provider sends it again whether
    /// or not this works, so only the log says so.
    pub(super) async fn park(&self, mismatch: &Mismatch, limit: Duration) {
        let Intake::Queued(store) = &self.intake else { return };
        let token = &mismatch.token;
        let Some(evidence) = token.evidence() else { return };
        let Ok(_place) = self.parking.try_acquire() else {
            let busy = StoreError::unavailable(format!("{MAX_PARKING} others are being parked"));
            return telemetry::parked(&Err(busy), &self.refusals);
        };
        let event = NewEvent::of(token.arrival(), token.subject.as_deref(), None);
        let audience = token.audiences().join(" ");
        let parked = ParkedToken {
            event_id: token.arrival().id().map(str::to_owned),
            event_name: event.name(),
            code: mismatch.kind.code().to_owned(),
            reason: mismatch.to_string(),
            issuer: token.issuer.clone(),
            is_expected_flow: mismatch.is_expected_flow,
            ..ParkedToken::new(
                hashed_id(&[&token.issuer, &audience, &event.id]),
                evidence.clone(),
                self.clock.now(),
            )
        };
        let parked = ParkedToken { audience, ..parked };
        let call = guarded(store.park(parked, ParkLimits::default()));
        let limit = limit.min(PARK_LIMIT);
        let result = within(None, limit, call)
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable(format!("it did not answer within {limit:?}"))));
        telemetry::parked(&result, &self.refusals);
    }
}

impl Receiver {
    /// Verifies a parked token again, under the settings and with the keys that this receiver has now, and changes nothing:
    /// what [`admit`](Self::admit) does first.
    ///
    /// # Errors
    ///
    /// [`Refusal::Token`] if the token still does not fit, or if its key is not among those known now.
    pub fn verify_parked(
        &self,
        parked: &ParkedToken,
        options: AdmitOptions,
    ) -> Result<VerifiedToken, Refusal> {
        let token = parked.evidence.token.as_bytes();
        let keys = match &parked.evidence.key {
            Some(key) if options.trust_stored_key => {
                Arc::new(KeySet::from_jwks(format!(r#"{{"keys":[{key}]}}"#).as_bytes()).unwrap_or_default())
            }
            _ => self.inner.keys.current(),
        };
        let verifier = &self.inner.verifier;
        Ok(match verifier.verify(token, &keys, parked.received_at) {
            Err(VerifyError::Mismatch(mismatch))
                if options.as_of_issue
                    && (parked.received_at - mismatch.token.issued_at).abs() <= MAX_CLOCK_ERROR =>
            {
                verifier.verify(token, &keys, mismatch.token.issued_at)
            }
            result => result,
        }?)
    }

    /// Verifies a parked token again, under the settings that this receiver has now, and puts its event into the queue.
    /// Then the token is parked no longer. It is judged by the time at which it was received, so that it may be days old.
    ///
    /// An event that was stored meanwhile is a duplicate, and its token is parked no longer either.
    ///
    /// # Errors
    ///
    /// [`Refusal::Token`] if the token still does not fit, or if its key is not published any more: it stays parked. [`Refusal::Store`] if the store failed: safe to
    /// try again. [`Refusal::NoHandlers`] for a receiver that is not [`queued`](crate::ReceiverBuilder::queued).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the event in the queue and its token parked: it is a duplicate the next time.
    pub async fn admit(&self, parked: &ParkedToken, options: AdmitOptions) -> Result<Outcome, Refusal> {
        let Intake::Queued(store) = &self.inner.intake else { return Err(Refusal::NoHandlers) };
        let token = self.verify_parked(parked, options)?;
        let (arrival, subject, _) = token.into_parts();
        let evidence = self.inner.keep_evidence.then(|| Arc::new(parked.evidence.clone()));
        let event = NewEvent::of(&arrival, subject.as_deref(), evidence);
        let outcome = match measured("insert", store.insert(event)).await? {
            Insertion::New => Outcome::Stored,
            Insertion::Duplicate => Outcome::Duplicate,
        };
        guarded(store.unpark(&parked.id)).await?;
        Ok(outcome)
    }
}
