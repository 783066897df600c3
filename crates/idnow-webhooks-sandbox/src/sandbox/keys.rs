use serde_json::{Value, json};

use super::Sandbox;
use crate::database::keys::{Retire, activate_new};
use crate::error::Error;
use crate::keys::KeyEntry;
use crate::model::{Key, KeyState};

/// # Keys
#[expect(clippy::unused_async, reason = "calls are alike, wherever they find the answer")]
impl Sandbox {
    /// All keys, the oldest first.
    ///
    /// # Errors
    ///
    /// None yet.
    pub async fn keys(&self) -> Result<Vec<Key>, Error> {
        Ok(self.database().now_known().keys.iter().map(KeyEntry::shown).collect())
    }

    /// Signs with a new key from the next attempt on. The key before stays published, so that receivers can verify what
    /// was signed with it.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if 100 keys are published, as receivers need not read more: retire old ones.
    /// [`Error::Unavailable`] if the key cannot be made or kept.
    pub async fn rotate_keys(&self) -> Result<Key, Error> {
        activate_new(self.database()).await
    }

    /// Publishes a key no more.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if it is the one that signs, [`Error::NotFound`] if there is none.
    pub async fn retire_key(&self, id: &str) -> Result<Key, Error> {
        self.database().write(Retire(id.to_owned())).await
    }

    /// What is published: a JWKS of all keys that are not retired.
    ///
    /// # Errors
    ///
    /// None yet.
    pub async fn jwks(&self) -> Result<Value, Error> {
        let known = self.database().now_known();
        let published = known.keys.iter().filter(|entry| entry.state != KeyState::Retired);
        Ok(json!({ "keys": published.map(|entry| entry.public.jwk()).collect::<Vec<_>>() }))
    }
}
