//! What people write without the SDK: the least that verifies a token and reads a typed event.
//!
//! It has no limits, no deduplication, no observability, and accepts documents that name a member twice.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use idnow_webhooks_core::{Clock, SystemClock};
use idnow_webhooks_testkit::Provider;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use uuid::Uuid;

use crate::fixture::{Handled, Signature};

/// The claims of a delivery with its event, typed and owned.
#[derive(Deserialize)]
#[expect(dead_code, reason = "read because a handler would want them")]
pub struct Claims {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    sub: String,
    pub data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read because a handler would want them")]
pub struct Data {
    event_id: String,
    event_name: String,
    event_version: String,
    event_sequence: String,
    event_deliver_id: String,
    created_at: DateTime<Utc>,
    environment: String,
    payload: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read because a handler would want them")]
pub struct Payload {
    flow_id: String,
    session_id: Uuid,
    session_status: Status,
    last_step_id: Option<String>,
    last_step_type: Option<String>,
    last_step_status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    Created,
    Running,
    Completed,
    Aborted,
    Expired,
    Error,
}

/// A receiver with its handler.
pub trait ByHand: Send + Sync + 'static {
    fn verify(&self, token: &[u8]) -> Option<Claims>;

    fn handled(&self) -> &Handled;

    /// Whether the delivery was accepted.
    fn receive(&self, token: &[u8]) -> bool {
        let Some(claims) = self.verify(token) else {
            return false;
        };
        if claims.data.event_name == "session.completed" {
            std::hint::black_box(&claims.data.payload.session_id);
            self.handled().one_more();
        }
        true
    }
}

/// The careful one: the key is parsed once.
pub struct ParsedKey {
    key: Key,
    algorithm: &'static str,
    key_id: Option<String>,
    issuer: String,
    audience: String,
    handled: Handled,
}

enum Key {
    Rsa(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

impl ParsedKey {
    pub fn new(provider: &Provider, signature: Signature, handled: &Handled) -> Self {
        let (key, algorithm) = match signature {
            Signature::Rs256 => (Key::Rsa(rsa_key(provider)), "RS256"),
            Signature::Hs256 => (Key::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]))), "HS256"),
        };
        Self {
            key,
            algorithm,
            key_id: provider.key().key_id().map(str::to_owned),
            issuer: provider.issuer().to_owned(),
            audience: provider.audience().to_owned(),
            handled: handled.clone(),
        }
    }
}

pub fn rsa_key(provider: &Provider) -> ParsedPublicKey {
    ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, provider.key().public_key_der()).unwrap()
}

impl ByHand for ParsedKey {
    fn verify(&self, token: &[u8]) -> Option<Claims> {
        #[derive(Deserialize)]
        struct Header {
            alg: String,
            kid: Option<String>,
        }
        let token = std::str::from_utf8(token).ok()?;
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        if header.alg != self.algorithm || header.kid != self.key_id {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        match &self.key {
            Key::Rsa(key) => key.verify_sig(message.as_bytes(), &signature).ok()?,
            Key::Secret(key) => hmac::verify(key, message.as_bytes(), &signature).ok()?,
        }
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        let valid = claims.iss == self.issuer
            && claims.aud == self.audience
            && claims.exp > SystemClock.now().timestamp();
        valid.then_some(claims)
    }

    fn handled(&self) -> &Handled {
        &self.handled
    }
}

/// The usual one: `jsonwebtoken::decode`, which parses the key for every token.
pub struct JsonWebToken {
    keys: JwkSet,
    key: DecodingKey,
    validation: Validation,
    handled: Handled,
}

impl JsonWebToken {
    pub fn new(keys: &str, issuer: &str, audience: &str, handled: &Handled) -> Self {
        let keys: JwkSet = serde_json::from_str(keys).unwrap();
        let key = DecodingKey::from_jwk(keys.keys.first().unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        Self { keys, key, validation, handled: handled.clone() }
    }

    pub fn of(provider: &Provider, handled: &Handled) -> Self {
        let keys = provider.key().jwks().to_string();
        Self::new(&keys, provider.issuer(), provider.audience(), handled)
    }

    /// The other habit: the key is looked up by `kid` in the JWKS, and made from it anew each time.
    pub fn verify_with_jwk(&self, token: &[u8]) -> Option<Claims> {
        let key_id = jsonwebtoken::decode_header(token).ok()?.kid?;
        let key = DecodingKey::from_jwk(self.keys.find(&key_id)?).ok()?;
        decode(token, &key, &self.validation)
    }
}

impl ByHand for JsonWebToken {
    fn verify(&self, token: &[u8]) -> Option<Claims> {
        decode(token, &self.key, &self.validation)
    }

    fn handled(&self) -> &Handled {
        &self.handled
    }
}

#[expect(clippy::disallowed_methods, reason = "what we are compared with")]
fn decode(token: &[u8], key: &DecodingKey, validation: &Validation) -> Option<Claims> {
    Some(jsonwebtoken::decode(token, key, validation).ok()?.claims)
}
