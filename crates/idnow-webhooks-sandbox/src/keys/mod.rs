//! RSA keys, and the tokens that they sign.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::Error;
use crate::model::{Key, KeyState};

/// What anybody may know of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicKey {
    /// Its number in the database.
    pub(crate) row: i64,
    pub(crate) id: String,
    /// Big endian, without leading zeros.
    pub(crate) modulus: Vec<u8>,
    pub(crate) exponent: Vec<u8>,
}

impl PublicKey {
    pub(crate) fn jwk(&self) -> Value {
        json!({
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.id,
            "n": URL_SAFE_NO_PAD.encode(&self.modulus),
            "e": URL_SAFE_NO_PAD.encode(&self.exponent),
        })
    }
}

/// The decoded header of the tokens that are signed by a key.
pub(crate) fn header(kid: &str) -> Value {
    json!({ "alg": "RS256", "kid": kid, "typ": "JWT" })
}

/// A key with its private half, which `Debug` does not show.
pub(crate) struct SigningKey {
    /// Its number in the database.
    pub(crate) row: i64,
    pub(crate) id: String,
    /// The first part of each token, encoded, with its dot.
    header: String,
    pair: RsaKeyPair,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("row", &self.row).field("id", &self.id).finish_non_exhaustive()
    }
}

/// A new key: its `kid`, and both halves as PKCS#8. A debug build takes most of a second.
pub(crate) fn generate() -> Result<(String, Vec<u8>), Error> {
    let failed = |error| Error::unavailable_because("a new RSA key could not be made", error);
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
    Ok((Uuid::new_v4().to_string(), der.as_ref().to_vec()))
}

impl SigningKey {
    pub(crate) fn from_pkcs8(row: i64, id: String, pkcs8: &[u8]) -> Result<Self, Error> {
        let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|error| {
            Error::unavailable_because(format!("the key {id} in the database cannot be read"), error)
        })?;
        let header = format!("{}.", URL_SAFE_NO_PAD.encode(header(&id).to_string()));
        Ok(Self { row, id, header, pair })
    }

    /// A compact token with these claims, which are JSON. This is most of what a delivery costs: about a millisecond of
    /// processor time on slow machines.
    pub(crate) fn sign(&self, claims: &[u8]) -> Result<String, Error> {
        let mut token = String::with_capacity(self.header.len() + (claims.len() + 256) / 3 * 4 + 8);
        token.push_str(&self.header);
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .map_err(|error| Error::unavailable_because("a token could not be signed", error))?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&signature, &mut token);
        Ok(token)
    }

    /// What anybody may know of it.
    pub(crate) fn public(&self) -> PublicKey {
        let public = self.pair.public_key();
        PublicKey {
            row: self.row,
            id: self.id.clone(),
            modulus: public.modulus().big_endian_without_leading_zero().to_vec(),
            exponent: public.exponent().big_endian_without_leading_zero().to_vec(),
        }
    }

    /// The decoded header of its tokens.
    pub(crate) fn header(&self) -> Value {
        header(&self.id)
    }
}

/// A key, and what it is used for.
#[derive(Debug, Clone)]
pub(crate) struct KeyEntry {
    pub(crate) public: Arc<PublicKey>,
    /// None of a retired one: what cannot be lost cannot be stolen.
    pub(crate) private: Option<Arc<SigningKey>>,
    pub(crate) state: KeyState,
    pub(crate) created_at: DateTime<Utc>,
}

impl KeyEntry {
    pub(crate) fn shown(&self) -> Key {
        Key { id: self.public.id.clone(), state: self.state, created_at: self.created_at }
    }
}

#[cfg(test)]
mod tests;
