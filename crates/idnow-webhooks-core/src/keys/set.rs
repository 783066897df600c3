use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::ParsedPublicKey;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Algorithm;
use super::jwk::{self, UnusableKey};
use crate::secret::Secret;

/// The most entries that are read from one JWKS. The provider publishes a handful.
const MAX_KEYS: usize = 100;
/// The shortest shared secret: the output of SHA-256, the least that RFC 7518 (section 3.2) allows.
const MIN_SECRET_BYTES: usize = 32;

/// An immutable set of verification keys, each checked and parsed once.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<VerificationKey>,
    /// How many JWKs or secrets the keys come from: each gives a key for every algorithm that it fits.
    sources: usize,
    skipped: Vec<SkippedKey>,
}

/// An entry of a JWKS that cannot be used, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedKey {
    /// Its place in the `keys` array, from 0.
    pub index: usize,
    /// Its `kid`, as far as it could be read.
    pub key_id: Option<String>,
    /// What is wrong with it.
    pub reason: UnusableKey,
}

/// A text that is not a usable key set at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// The text is not a JSON object with an array `keys`.
    #[error("not a JWKS document (a JSON object with an array `keys`)")]
    Malformed(#[source] serde_json::Error),
    /// The array holds more entries than any real key server publishes.
    #[error("the key set has {0} entries, more than {MAX_KEYS}")]
    TooManyKeys(usize),
    /// A shared secret is too short to be safe.
    #[error(
        "the shared secret has {0} bytes, at least {MIN_SECRET_BYTES} are required (RFC 7518, section 3.2)"
    )]
    SecretTooShort(usize),
    /// No shared secret was given.
    #[error("no shared secret was given")]
    NoSecret,
}

impl KeySet {
    /// Reads a JWKS document (RFC 7517).
    ///
    /// Entries that cannot be used (another purpose, an unknown type, a weak key) are left out and listed in
    /// [`skipped`](Self::skipped): one strange key must not switch off the good ones beside it. Symmetric
    /// keys are never taken from a JWKS.
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeySetError> {
        #[derive(Deserialize)]
        struct Document<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }
        // Serde would also read the one member from an array.
        if json.trim_ascii_start().first() == Some(&b'[') {
            let unexpected = serde::de::Unexpected::Seq;
            return Err(KeySetError::Malformed(serde::de::Error::invalid_type(unexpected, &"an object")));
        }
        let document: Document<'_> = serde_json::from_slice(json).map_err(KeySetError::Malformed)?;
        if document.keys.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys(document.keys.len()));
        }
        let mut set = Self::default();
        for (index, entry) in document.keys.into_iter().enumerate() {
            match jwk::parse(entry) {
                Ok(jwk::Parsed { kid, keys }) => {
                    set.sources += 1;
                    let jwk: Arc<str> = entry.get().into();
                    set.keys.extend(keys.into_iter().map(|(algorithm, key)| VerificationKey {
                        key_id: kid.clone(),
                        jwk: Some(Arc::clone(&jwk)),
                        algorithm,
                        material: Material::Public(key),
                    }));
                }
                Err((key_id, reason)) => set.skipped.push(SkippedKey { index, key_id, reason }),
            }
        }
        Ok(set)
    }

    /// Builds the set for HMAC: each secret, for each of HS256, HS384 and HS512.
    ///
    /// Several secrets are accepted side by side so that an endpoint's secret can be changed without a gap.
    /// Each must have at least 32 bytes.
    pub fn from_secrets<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Result<Self, KeySetError> {
        let mut set = Self::default();
        for secret in secrets {
            let bytes = secret.expose();
            if bytes.len() < MIN_SECRET_BYTES {
                return Err(KeySetError::SecretTooShort(bytes.len()));
            }
            set.sources += 1;
            for algorithm in Algorithm::ALL {
                if let Some(digest) = algorithm.hmac() {
                    set.keys.push(VerificationKey {
                        key_id: None,
                        jwk: None,
                        algorithm,
                        material: Material::Secret(Box::new(hmac::Key::new(digest, bytes))),
                    });
                }
            }
        }
        if set.keys.is_empty() {
            return Err(KeySetError::NoSecret);
        }
        Ok(set)
    }

    /// The keys that may verify a token with this `alg` and `kid`.
    ///
    /// A `kid` must match exactly; two keys under one id happen in the middle of a careless rotation. For a token
    /// without one, every key of its algorithm may be meant. Shared secrets have no id, so all of them may be,
    /// whatever the token names.
    pub fn candidates(
        &self,
        algorithm: Algorithm,
        key_id: Option<&str>,
    ) -> impl Iterator<Item = &VerificationKey> {
        let any = algorithm.is_hmac() || key_id.is_none();
        self.keys
            .iter()
            .filter(move |key| key.algorithm == algorithm && (any || key.key_id.as_deref() == key_id))
    }

    /// The ids of the usable keys, without repetition, for diagnostics.
    pub fn key_ids(&self) -> Vec<&str> {
        let mut ids: Vec<_> = self.keys.iter().filter_map(|key| key.key_id.as_deref()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The entries of the JWKS that were left out, with the reason for each.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// The number of usable keys: entries of a JWKS that were not skipped, or shared secrets.
    ///
    /// ```
    /// use idnow_webhooks_core::Secret;
    /// use idnow_webhooks_core::keys::KeySet;
    ///
    /// let secrets = [Secret::from("0123456789abcdef0123456789abcdef"), Secret::from([7; 64].to_vec())];
    /// assert_eq!(KeySet::from_secrets(&secrets)?.len(), 2);
    ///
    /// let jwks = br#"{ "keys": [
    ///     { "kid": "1", "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" },
    ///     { "kid": "2", "kty": "quantum" }
    /// ] }"#;
    /// assert_eq!(KeySet::from_jwks(jwks)?.len(), 1);
    /// # Ok::<(), idnow_webhooks_core::keys::KeySetError>(())
    /// ```
    pub fn len(&self) -> usize {
        self.sources
    }

    /// Whether the set holds no usable key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// One key, bound to one algorithm.
pub struct VerificationKey {
    key_id: Option<String>,
    /// The entry of the JWKS that it was read from.
    jwk: Option<Arc<str>>,
    algorithm: Algorithm,
    material: Material,
}

enum Material {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

impl VerificationKey {
    /// The id that tokens name in `kid`.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    pub(crate) fn jwk(&self) -> Option<Arc<str>> {
        self.jwk.clone()
    }

    /// The only algorithm that this key is used with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's signature of `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Public(key) => key.verify_sig(message, signature).is_ok(),
            Material::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey")
            .field("key_id", &self.key_id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
