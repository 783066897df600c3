use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::KeySet;

/// Where the receiver's keys come from.
///
/// # Contract
///
/// [`current`](Self::current) is called for every delivery and must not block.
///
/// [`refresh`](Self::refresh) is called for two reasons. Either a token names a key that `current` does not hold: the sender is
/// then asked to try again unless the answer holds that key, whatever else it is. Or a signature does not hold, or no key
/// of that id fits its algorithm, and [`age`](Self::age) says that the keys are older than a few minutes: the token is
/// verified again with the answer, and refused for good only if that fails, too. So return `Ok` only with keys whose
/// retrieval *began* at or after `arrived`, and `Err` for everything else. Anybody can cause both, so bound how often
/// a call leads to a retrieval.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source of keys",
    label = "expected a source of keys",
    note = "for keys by URL or from a file take `jwks::JwksSource`, for keys at hand `keys::StaticKeys`"
)]
#[async_trait]
pub trait KeySource: Send + Sync + fmt::Debug + 'static {
    /// The keys known now. Empty when there are none yet, or when they have become too old to be trusted.
    fn current(&self) -> Arc<KeySet>;

    /// Keys whose retrieval began at or after `arrived`.
    ///
    /// # Errors
    ///
    /// [`KeysUnavailable`] when no such keys are available: the sender is then asked to try again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future must not end a retrieval that other callers wait for.
    async fn refresh(&self, arrived: Instant) -> Result<Arc<KeySet>, KeysUnavailable>;

    /// The greatest age that the keys known now can have: how long ago their retrieval began, and how long a cache
    /// in between had held them before. `None` without keys, and for those that never change.
    ///
    /// Called for every delivery and must not block. Whoever decides about a token by it asks before
    /// [`current`](Self::current): the other way round, newer keys could lend their age to older ones that the token was
    /// verified with.
    fn age(&self) -> Option<Duration> {
        None
    }
}

#[async_trait]
impl<S: KeySource + ?Sized> KeySource for Arc<S> {
    fn current(&self) -> Arc<KeySet> {
        (**self).current()
    }

    async fn refresh(&self, arrived: Instant) -> Result<Arc<KeySet>, KeysUnavailable> {
        (**self).refresh(arrived).await
    }

    fn age(&self) -> Option<Duration> {
        (**self).age()
    }
}

/// Keys could not be fetched now, which says nothing about the token in hand.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
#[non_exhaustive]
pub struct KeysUnavailable {
    /// What went wrong, for the log.
    pub reason: Arc<str>,
    /// How long the sender should wait before it tries again.
    pub retry_after: Duration,
}

impl KeysUnavailable {
    /// Says why keys are missing, and when to try again.
    pub fn new(reason: impl Into<Arc<str>>, retry_after: Duration) -> Self {
        Self { reason: reason.into(), retry_after }
    }
}

/// Keys that never change while the process runs.
///
/// A token that names another key gets 503 at every attempt: the issuer may have a key that this set lacks. A signature
/// that does not hold is refused for good (401). Where keys may rotate, use a source that can fetch them.
///
/// ```
/// use idnow_webhooks_core::keys::{KeySet, KeySource, StaticKeys};
///
/// let keys = StaticKeys::new(KeySet::from_jwks(br#"{ "keys": [] }"#)?);
/// assert!(keys.current().is_empty());
/// # Ok::<(), idnow_webhooks_core::keys::KeySetError>(())
/// ```
#[derive(Debug, Clone)]
pub struct StaticKeys(Arc<KeySet>);

impl StaticKeys {
    /// Uses this set for good.
    pub fn new(keys: KeySet) -> Self {
        Self(Arc::new(keys))
    }
}

#[async_trait]
impl KeySource for StaticKeys {
    fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.0)
    }

    async fn refresh(&self, _arrived: Instant) -> Result<Arc<KeySet>, KeysUnavailable> {
        Ok(self.current())
    }
}
