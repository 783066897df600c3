use std::collections::BTreeMap;
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
const MAX_KEYS: usize = 1_000;
/// Windows editors and some servers put it in front of JSON (RFC 8259, section 8.1, lets readers ignore it).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The shortest shared secret: the output of SHA-256, the least that RFC 7518 (section 3.2) allows.
const MIN_SECRET_BYTES: usize = 32;

/// An immutable set of verification keys, each checked and parsed once.
#[derive(Debug, Default)]
pub struct KeySet {
    /// In the order of the document.
    keys: Vec<VerificationKey>,
    /// How many JWKs or secrets the keys come from: each gives a key for every algorithm that it fits.
    sources: usize,
    skipped: Vec<SkippedKey>,
    by_id: BTreeMap<Arc<str>, Entries>,
}

/// What a key set holds under one id, as positions in its lists.
#[derive(Debug, Default)]
struct Entries {
    keys: Vec<usize>,
    skipped: Vec<usize>,
}

/// An entry of a JWKS that cannot be used, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedKey {
    /// Its place in the `keys` array, from 0.
    pub index: usize,
    /// Its `kid`, as far as it could be read. The first one, if it has several.
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
        let json = json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json);
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
                Ok(usable) => set.add(entry.get(), usable),
                Err(unusable) => set.skip(index, unusable),
            }
        }
        Ok(set)
    }

    fn add(&mut self, jwk: &str, usable: jwk::Usable) {
        let jwk::Usable { key_id, thumbprint, bound, keys } = usable;
        let key_id: Option<Arc<str>> = key_id.map(Into::into);
        let (jwk, thumbprint): (Arc<str>, Arc<str>) = (jwk.into(), thumbprint.into());
        if let Some(key_id) = &key_id {
            let positions = self.keys.len()..self.keys.len() + keys.len();
            self.by_id.entry(Arc::clone(key_id)).or_default().keys.extend(positions);
        }
        self.sources += 1;
        self.keys.extend(keys.into_iter().map(|(algorithm, key)| VerificationKey {
            key_id: key_id.clone(),
            jwk: Some(Arc::clone(&jwk)),
            thumbprint: Some(Arc::clone(&thumbprint)),
            algorithm,
            bound,
            material: Material::Public(key),
        }));
    }

    fn skip(&mut self, index: usize, unusable: jwk::Unusable) {
        let jwk::Unusable { key_ids, reason } = unusable;
        for key_id in &key_ids {
            self.by_id.entry(key_id.as_str().into()).or_default().skipped.push(self.skipped.len());
        }
        self.skipped.push(SkippedKey { index, key_id: key_ids.into_iter().next(), reason });
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
                        thumbprint: None,
                        algorithm,
                        bound: true,
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
        let all = algorithm.is_hmac() || key_id.is_none();
        let (all, named) = if all { (&*self.keys, None) } else { (&[][..], key_id) };
        let named = named.into_iter().flat_map(|key_id| self.keys_with(key_id));
        all.iter().chain(named).filter(move |key| key.algorithm == algorithm)
    }

    fn keys_with(&self, key_id: &str) -> impl Iterator<Item = &VerificationKey> {
        let positions = self.by_id.get(key_id).map_or(&[][..], |entries| &entries.keys);
        positions.iter().filter_map(|position| self.keys.get(*position))
    }

    /// The algorithms of the usable keys with this id, sorted and without repetition. Empty if there is no such key.
    ///
    /// An RSA key whose entry names no `alg` serves all RSA algorithms.
    pub fn algorithms_of(&self, key_id: &str) -> Vec<Algorithm> {
        let mut algorithms: Vec<_> = self.keys_with(key_id).map(VerificationKey::algorithm).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        algorithms
    }

    /// The entries with this id that were left out of the set, such as a key that is too weak.
    ///
    /// The issuer may sign with such a key, so no token that names one is proven to be forged.
    pub fn skipped_with(&self, key_id: &str) -> impl Iterator<Item = &SkippedKey> {
        let positions = self.by_id.get(key_id).map_or(&[][..], |entries| &entries.skipped);
        positions.iter().filter_map(|position| self.skipped.get(*position))
    }

    /// Whether a key with this id could have made a signature by the algorithm of this name, as it stands in a
    /// token's `alg`, for all that this set tells.
    ///
    /// `false` proves that the issuer, with the keys of this set, has not signed a token that names both: every entry with this id
    /// is usable, and none of them fits the algorithm. `true` proves nothing. It is also the answer for an id that the
    /// set does not hold, and for one of an entry that was [left out](Self::skipped_with).
    ///
    /// ```
    /// use idnow_webhooks_core::keys::KeySet;
    ///
    /// let keys = KeySet::from_jwks(br#"{ "keys": [
    ///     { "kid": "1", "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" },
    ///     { "kid": "2", "kty": "quantum" }
    /// ] }"#)?;
    /// assert!(!keys.could_have_signed("1", "RS256"));
    /// assert!(keys.could_have_signed("1", "EdDSA"));
    /// assert!(keys.could_have_signed("2", "RS256") && keys.could_have_signed("3", "RS256"));
    /// # Ok::<(), idnow_webhooks_core::keys::KeySetError>(())
    /// ```
    pub fn could_have_signed(&self, key_id: &str, algorithm: &str) -> bool {
        let mut keys = self.keys_with(key_id).peekable();
        if keys.peek().is_none() || self.skipped_with(key_id).next().is_some() {
            return true;
        }
        match algorithm.parse::<Algorithm>() {
            Ok(algorithm) => keys.any(|key| key.algorithm == algorithm),
            // One that we do not know may fit a key whose entry does not say what it is for. `none` is no signature.
            Err(_) => algorithm != "none" && keys.any(|key| !key.bound),
        }
    }

    /// All usable keys, one for each algorithm of an entry or a secret, in the order of the document.
    pub fn keys(&self) -> impl Iterator<Item = &VerificationKey> {
        self.keys.iter()
    }

    /// The ids of the usable keys, sorted and without repetition, for diagnostics.
    pub fn key_ids(&self) -> Vec<&str> {
        self.by_id
            .iter()
            .filter(|(_, entries)| !entries.keys.is_empty())
            .map(|(key_id, _)| &**key_id)
            .collect()
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
    key_id: Option<Arc<str>>,
    /// The entry of the JWKS that it was read from.
    jwk: Option<Arc<str>>,
    thumbprint: Option<Arc<str>>,
    algorithm: Algorithm,
    /// Whether its entry, by `alg`, is for this algorithm alone.
    bound: bool,
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

    /// The JWK thumbprint of a public key: SHA-256, RFC 7638, as base64url. `None` for a shared secret.
    ///
    /// Two keys have the same one only if they are the same key, whatever their ids and however their entries are
    /// written.
    pub fn thumbprint(&self) -> Option<&str> {
        self.thumbprint.as_deref()
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
