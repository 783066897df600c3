//! Key set documents, and everything that is asked of a set.

#![no_main]

use idnow_webhooks_core::keys::{Algorithm, KeyLookup, KeySet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(set) = KeySet::from_jwks(bytes) else {
        return;
    };
    assert_eq!(bytes.trim_ascii_start().first(), Some(&b'{'));
    let _ = format!("{set:?}");
    for skipped in set.skipped() {
        assert!(!skipped.reason.to_string().is_empty());
    }
    for algorithm in Algorithm::ALL {
        assert!(!algorithm.is_hmac() || !set.supports_any(&[algorithm]), "a secret from a key set document");
        for key_id in set.key_ids().into_iter().map(Some).chain([None, Some("another")]) {
            let keys = match set.lookup(algorithm, key_id) {
                KeyLookup::One(key) => vec![key],
                KeyLookup::Several(keys) => keys,
                KeyLookup::Ambiguous | KeyLookup::Unknown => continue,
            };
            for key in keys {
                assert_eq!(key.algorithm(), algorithm);
                assert!(key_id.is_none() || key.key_id() == key_id);
                assert!(!key.verifies(b"message", b"no signature"));
            }
        }
    }
});
