//! What others may know of a key, in the forms that receivers and forgers take it in.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use idnow_webhooks_core::Secret;
use idnow_webhooks_core::keys::{Algorithm, KeySet};
use serde_json::{Value, json};

use super::{Material, SigningKey};
use crate::fail::{OrFail, fail};

impl SigningKey {
    /// The public part as a JWK with `use`, `alg` and, if there is one, `kid`.
    ///
    /// A shared secret has no public part. Its JWK has the type `oct` and holds the secret itself: a receiver
    /// must skip it, and a test may check that.
    pub fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &*self.material {
            Material::Rsa(pair) => {
                let public = pair.public_key();
                json!({
                    "kty": "RSA",
                    "n": encode(public.modulus().big_endian_without_leading_zero()),
                    "e": encode(public.exponent().big_endian_without_leading_zero()),
                })
            }
            Material::Ec(pair) => {
                // An uncompressed point: the byte 4, then both coordinates at full width.
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if self.algorithm == Algorithm::Es256 { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
            }
            Material::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) })
            }
            Material::Secret(secret) => json!({ "kty": "oct", "k": encode(secret) }),
        };
        if let Value::Object(members) = &mut jwk {
            members.insert("use".into(), "sig".into());
            members.insert("alg".into(), self.algorithm.name().into());
            members.extend(self.key_id.clone().map(|key_id| ("kid".into(), key_id.into())));
        }
        jwk
    }

    /// A JWKS document with this key alone. For several keys, put their [`jwk`](Self::jwk)s into one array.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.jwk()] })
    }

    /// What a receiver verifies this key's tokens with. A secret under 32 bytes, which no receiver accepts,
    /// panics.
    pub fn key_set(&self) -> KeySet {
        match &*self.material {
            Material::Secret(secret) => KeySet::from_secrets([&Secret::from(secret.clone())]),
            _ => KeySet::from_jwks(self.jwks().to_string().as_bytes()),
        }
        .or_fail("building the key set")
    }

    /// The public key as `SubjectPublicKeyInfo` in DER. A shared secret, which has none, panics.
    pub fn public_key_der(&self) -> Vec<u8> {
        let der: Result<PublicKeyX509Der<'_>, _> = match &*self.material {
            Material::Rsa(pair) => pair.public_key().as_der(),
            Material::Ec(pair) => pair.public_key().as_der(),
            Material::Ed25519(pair) => pair.public_key().as_der(),
            Material::Secret(_) => fail("a shared secret has no public key"),
        };
        der.or_fail("writing the public key").as_ref().to_vec()
    }

    /// The public key as PEM (`-----BEGIN PUBLIC KEY-----`). A shared secret, which has none, panics.
    pub fn public_key_pem(&self) -> String {
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        for (position, character) in STANDARD.encode(self.public_key_der()).chars().enumerate() {
            if position > 0 && position % 64 == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push_str("\n-----END PUBLIC KEY-----\n");
        pem
    }
}
