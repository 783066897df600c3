use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use futures_util::Stream;
use tokio::time::Instant;

use super::{Head, Inner, Stage};
use crate::body::{self, BodyError};
use crate::keys::KeySet;
use crate::outcome::Refusal;
use crate::telemetry;
use crate::verifier::{VerifiedToken, VerifyError};

/// How old keys may be for a false signature to be believed without another look at the key server.
const FRESH_KEYS: Duration = Duration::from_secs(5 * 60);

impl Inner {
    /// From the request to the token that vouches for its event. `stage` follows it.
    pub(super) async fn verified<B, D, E>(
        &self,
        arrived: Instant,
        head: &Head<'_>,
        body: B,
        stage: &Stage,
    ) -> Result<VerifiedToken, Refusal>
    where
        B: Stream<Item = Result<D, E>>,
        D: Buf,
    {
        self.admit(head)?;
        let body =
            body::read(head.headers, body, self.max_body_bytes).await.map_err(|error| match error {
                BodyError::TooLarge => Refusal::TooLarge(self.max_body_bytes),
                BodyError::Incomplete => Refusal::Incomplete,
            })?;
        stage.body_is_read();
        let token = self.token(head.headers, &body)?;
        let result = self.verify(&token, arrived).await;
        match result {
            Ok(mut verified) => {
                stage.signature_holds();
                if self.keep_evidence {
                    verified.keep_evidence(&token);
                }
                Ok(verified)
            }
            Err(Refusal::Token(VerifyError::Mismatch(mut mismatch))) => {
                stage.signature_holds();
                mismatch.token.keep_evidence(&token);
                Err(VerifyError::Mismatch(mismatch).into())
            }
            Err(refusal) => Err(refusal),
        }
    }

    async fn verify(&self, token: &[u8], arrived: Instant) -> Result<VerifiedToken, Refusal> {
        // Before the keys: the age of newer ones must not count for these.
        let age = self.keys.age();
        let known = self.keys.current();
        let error = match self.verify_with(token, &known) {
            Err(error) if may_be_outdated(&error, age) => error,
            result => return Ok(result?),
        };
        match self.keys.refresh(arrived.into_std()).await {
            // Keys that never change.
            Ok(keys) if Arc::ptr_eq(&keys, &known) => Err(error.into()),
            Ok(keys) => Ok(self.verify_with(token, &keys)?),
            // A fetch for another delivery, too early to answer this one, may have brought the key all the same.
            Err(keys) => match self.verify_with(token, &self.keys.current()) {
                Err(error) if error.may_be_the_keys() => Err(Refusal::KeysUnavailable { token: error, keys }),
                result => Ok(result?),
            },
        }
    }

    fn verify_with(&self, token: &[u8], keys: &KeySet) -> Result<VerifiedToken, VerifyError> {
        let started = Instant::now();
        let result = self.verifier.verify(token, keys, self.clock.now());
        telemetry::verification(started);
        result
    }
}

/// Whether the key server should be asked before this error is the answer. Key material may be replaced under an old `kid`
/// (RFC 7517 advises against it). Within [`FRESH_KEYS`] that is not looked for: otherwise each forged token would cause a
/// fetch.
fn may_be_outdated(error: &VerifyError, age: Option<Duration>) -> bool {
    match error {
        VerifyError::UnknownKey { .. } => true,
        error => error.may_be_the_keys() && age.is_some_and(|age| age > FRESH_KEYS),
    }
}
