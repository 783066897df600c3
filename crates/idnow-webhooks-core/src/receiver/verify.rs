use bytes::{Buf, Bytes};
use futures_util::Stream;
use tokio::time::Instant;

use super::{Head, Inner, Stage};
use crate::body::{self, BodyError};
use crate::keys::KeySet;
use crate::outcome::Refusal;
use crate::telemetry;
use crate::verifier::{Seen, VerifiedToken, VerifyError};

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
        let header_token = self.admit(head)?;
        let body =
            body::read(head.headers, body, self.max_body_bytes).await.map_err(|error| match error {
                BodyError::TooLarge => Refusal::TooLarge(self.max_body_bytes),
                BodyError::Incomplete => Refusal::Incomplete,
            })?;
        stage.body_is_read();
        // A loose body beside a header's token is not signed, so nobody looks at it.
        let token = header_token.map_or(body, |value| Bytes::copy_from_slice(value.as_bytes()));
        let mut verified = self.verify(&token, arrived).await?;
        stage.token_is_believed();
        if self.keep_evidence {
            verified.keep_evidence(&token);
        }
        Ok(verified)
    }

    async fn verify(&self, token: &[u8], arrived: Instant) -> Result<VerifiedToken, Refusal> {
        let token_error = match self.verify_with(token, &self.keys.current()) {
            Err(error @ VerifyError::UnknownKey { .. }) => error,
            result => return Ok(result?),
        };
        match self.keys.refresh(arrived.into_std()).await {
            Ok(keys) => Ok(self.verify_with(token, &keys)?),
            // A fetch for another delivery, too early to answer this one, may have brought the key all the same.
            Err(keys) => match self.verify_with(token, &self.keys.current()) {
                Err(VerifyError::UnknownKey { .. }) => {
                    Err(Refusal::KeysUnavailable { token: token_error, keys })
                }
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

    /// An environment that cannot be read is no reason to refuse an event for good.
    pub(super) fn check_environment(&self, environment: Option<&str>) -> Result<(), Refusal> {
        match (&self.expected_environment, environment) {
            (Some(expected), Some(environment)) if expected != environment => {
                Err(Refusal::Environment { expected: expected.clone(), seen: Seen::new(environment) })
            }
            _ => Ok(()),
        }
    }
}
