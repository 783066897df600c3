//! Which keys of a JWKS are used, which are left out and why, and which key a token gets.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends with a panic, also in its helpers"
)]

mod document;
mod jwk;
mod lookup;

use idnow_webhooks_core::keys::{KeySet, UnusableKey};
use idnow_webhooks_testkit::SigningKey;
use serde_json::{Value, json};

fn set_of(keys: &[Value]) -> KeySet {
    KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

/// The JWK of `key` with some members replaced; `null` removes one.
fn changed(key: &SigningKey, changes: &Value) -> Value {
    let mut jwk = key.jwk();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            jwk.as_object_mut().unwrap().remove(name);
        } else {
            jwk[name] = value.clone();
        }
    }
    jwk
}

/// The reason why `jwk` is left out, and the proof that a good key beside it still works.
fn reason(jwk: &Value) -> UnusableKey {
    let good = SigningKey::shared_other();
    let set = set_of(&[jwk.clone(), good.jwk()]);
    assert_verifies(&set, &good);
    assert_eq!(set.key_ids(), [good.key_id().unwrap()], "no key may come from {jwk}");
    let [skipped] = set.skipped() else { panic!("expected one skipped key, not {:?}", set.skipped()) };
    assert_eq!(skipped.index, 0);
    skipped.reason.clone()
}

/// The reason why the shared RSA key is left out once it has these changes.
fn reason_after(changes: &Value) -> UnusableKey {
    reason(&changed(&SigningKey::shared(), changes))
}

fn assert_verifies(set: &KeySet, key: &SigningKey) {
    let [found] = set.candidates(key.algorithm(), key.key_id()).collect::<Vec<_>>()[..] else {
        panic!("{key:?} is not in {set:?}")
    };
    assert_eq!(found.key_id(), key.key_id());
    assert_eq!(found.algorithm(), key.algorithm());
    let signature = key.sign_bytes(b"message");
    assert!(found.verifies(b"message", &signature));
    assert!(!found.verifies(b"massage", &signature));
    assert!(!found.verifies(b"message", b""));
}
