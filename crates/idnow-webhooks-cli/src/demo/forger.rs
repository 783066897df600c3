//! Somebody who has seen a genuine delivery, and knows what everybody may know.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::RsaPublicKeyComponents;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use idnow_webhooks::keys::Algorithm;
use idnow_webhooks_testkit::{SigningKey, compact};
use serde_json::{Value, json};

use super::Failure;

pub(super) struct Forger {
    token: String,
    claims: Value,
    key_id: String,
    /// The public key that the token was signed with, in PEM.
    pem: String,
}

impl Forger {
    pub(super) fn new(token: String, public_key: &Value) -> Result<Self, Failure> {
        let payload = token.split('.').nth(1).ok_or("nothing came by that could be forged")?;
        let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?;
        let member = |name: &str| {
            let member = public_key.get(name).and_then(Value::as_str);
            member.ok_or_else(|| format!("the public key has no {name:?}"))
        };
        let number = |name| -> Result<_, Failure> { Ok(URL_SAFE_NO_PAD.decode(member(name)?)?) };
        let components = RsaPublicKeyComponents { n: number("n")?, e: number("e")? };
        let der: PublicKeyX509Der<'_> = components.as_der().map_err(|_| "the public key is none")?;
        let (key_id, pem) = (member("kid")?.to_owned(), pem(der.as_ref()));
        Ok(Self { token, claims, key_id, pem })
    }

    /// As it came by.
    pub(super) fn genuine(&self) -> String {
        self.token.clone()
    }

    /// Keeps header and signature, and makes a refused person out of an accepted one.
    pub(super) fn tampered(&self) -> String {
        let mut parts: Vec<_> = self.token.split('.').collect();
        let forged = compact("", self.forged_claims().to_string(), "");
        if let (Some(slot), Some(claims)) = (parts.get_mut(1), forged.split('.').nth(1)) {
            *slot = claims;
        }
        parts.join(".")
    }

    /// Under the name of the provider's key.
    pub(super) fn by_another_key(&self) -> String {
        SigningKey::shared().with_key_id(&self.key_id).sign(&self.forged_claims())
    }

    pub(super) fn unsigned(&self) -> String {
        compact(r#"{"alg":"none","typ":"JWT"}"#, self.forged_claims().to_string(), "")
    }

    /// A secret that everybody knows: a receiver that goes by the token's `alg` takes the public key for it.
    pub(super) fn by_the_public_key(&self) -> String {
        let key = SigningKey::from_secret(Algorithm::Hs256, self.pem.as_str()).with_key_id(&self.key_id);
        key.sign(&self.forged_claims())
    }

    fn forged_claims(&self) -> Value {
        let mut claims = self.claims.clone();
        if let Some(step) = claims.pointer_mut("/data/payload/lastStepId") {
            *step = json!("END-REJECT");
        }
        claims
    }
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}
