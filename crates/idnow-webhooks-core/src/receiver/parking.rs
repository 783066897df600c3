//! Genuine tokens that do not fit this receiver's settings or clock: kept, and verified again once these are right.

use std::sync::Arc;
use std::time::Duration;

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

/// By what time [`Receiver::admit`] judges a parked token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// When it was received, by the clock that the receiver had then.
    Receipt,
    /// When it was issued, by the provider's clock: for tokens that were refused because the receiver's clock was wrong.
    Issue,
}

impl Inner {
    /// Keeps the token, in queued mode; inline there is no queue to put it into later. The provider sends it again whether
    /// or not this works, so nobody is told but the log.
    pub(super) async fn park(&self, mismatch: &Mismatch) {
        let Intake::Queued(store) = &self.intake else { return };
        let token = &mismatch.token;
        // Another customer of the provider can cause this, so it must not take more than the places there are.
        let (Some(evidence), Ok(_place)) = (token.evidence(), self.in_progress.try_acquire()) else { return };
        let event = NewEvent::of(token.arrival(), token.subject.as_deref(), None);
        let audience = token.audiences().join(" ");
        let parked = ParkedToken {
            event_id: token.arrival().id().map(str::to_owned),
            event_name: event.name(),
            code: mismatch.kind.code().to_owned(),
            reason: mismatch.to_string(),
            issuer: token.issuer.clone(),
            ..ParkedToken::new(
                hashed_id(&[&token.issuer, &audience, &event.id]),
                evidence.clone(),
                self.clock.now(),
            )
        };
        let parked = ParkedToken { audience, ..parked };
        let call = guarded(store.park(parked, ParkLimits::default()));
        let result = within(None, PARK_LIMIT, call).await.unwrap_or_else(|_| {
            Err(StoreError::unavailable(format!("it did not answer within {PARK_LIMIT:?}")))
        });
        telemetry::parked(&result);
    }
}

impl Receiver {
    /// Verifies a parked token again, under the settings that this receiver has now, and changes nothing: what
    /// [`admit`](Self::admit) would do first.
    ///
    /// The public key is the one that verified the token when it came. Whoever can write the store is believed anyway. A
    /// token of a shared secret is verified with the secrets of this receiver.
    ///
    /// # Errors
    ///
    /// [`Refusal::Token`] if the token still does not fit.
    pub fn verify_parked(&self, parked: &ParkedToken, as_of: AsOf) -> Result<VerifiedToken, Refusal> {
        let token = parked.evidence.token.as_bytes();
        let keys = match &parked.evidence.key {
            Some(key) => {
                Arc::new(KeySet::from_jwks(format!(r#"{{"keys":[{key}]}}"#).as_bytes()).unwrap_or_default())
            }
            None => self.inner.keys.current(),
        };
        let verifier = &self.inner.verifier;
        Ok(match verifier.verify(token, &keys, parked.received_at) {
            Err(VerifyError::Mismatch(mismatch)) if as_of == AsOf::Issue => {
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
    /// [`Refusal::Token`] if the token still does not fit: it stays parked. [`Refusal::Store`] if the store failed: safe to
    /// try again. [`Refusal::NoHandlers`] for a receiver that is not [`queued`](crate::ReceiverBuilder::queued).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the event in the queue and its token parked: it is a duplicate the next time.
    pub async fn admit(&self, parked: &ParkedToken, as_of: AsOf) -> Result<Outcome, Refusal> {
        let Intake::Queued(store) = &self.inner.intake else { return Err(Refusal::NoHandlers) };
        let token = self.verify_parked(parked, as_of)?;
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
