//! Key set documents, and everything that is asked of a set.

#![no_main]

use idnow_webhooks_core::keys::{Algorithm, KeySet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(set) = KeySet::from_jwks(bytes) else {
        return;
    };
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    assert_eq!(text.trim_ascii_start().first(), Some(&b'{'));
    let _ = format!("{set:?}");
    for skipped in set.skipped() {
        assert!(!skipped.reason.to_string().is_empty());
        if let Some(key_id) = &skipped.key_id {
            assert!(set.skipped_with(key_id).any(|found| found == skipped));
            assert!(set.could_have_signed(key_id, "RS256"), "what was left out proves nothing");
        }
    }
    for algorithm in Algorithm::ALL {
        for key_id in set.key_ids().into_iter().map(Some).chain([None, Some("another")]) {
            for key in set.candidates(algorithm, key_id) {
                assert!(!algorithm.is_hmac(), "a secret from a key set document");
                assert_eq!(key.algorithm(), algorithm);
                assert!(key_id.is_none() || key.key_id() == key_id);
                assert!(!key.verifies(b"message", b"no signature"));
                assert!(key.key_id().is_none_or(|key_id| set.could_have_signed(key_id, algorithm.name())));
            }
        }
    }
});
