//! Ids as small keys of fixed size: a B-tree of random keys costs by its size.

use aws_lc_rs::digest::{SHA256, digest};
use uuid::{Builder, Uuid};

/// What stands for an id in the indexes.
///
/// A UUID in its usual form is its own key. Any other text has one that is made from its hash, of version 8; a UUID of
/// that version is therefore such a text too, so that no id has the key of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(Uuid);

const HASHED: usize = 8;

impl Key {
    pub(crate) fn new(id: &str) -> Self {
        let usual = Uuid::try_parse(id).ok().filter(|uuid| uuid.get_version_num() != HASHED);
        let usual = usual.filter(|uuid| uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == id);
        Self(usual.unwrap_or_else(|| hashed(id)))
    }

    /// For a pair of texts.
    pub(crate) fn of_pair(first: &str, second: &str) -> Self {
        // With the length, so that no other pair makes the same text.
        Self(hashed(&format!("{} {first}{second}", first.len())))
    }

    pub(crate) fn get(self) -> Uuid {
        self.0
    }

    /// The text to keep beside the key, unless the key says it all.
    pub(crate) fn text(self, id: &str) -> Option<&str> {
        (self.0.get_version_num() == HASHED).then_some(id)
    }

    /// The id, from what was kept.
    pub(crate) fn id(key: Uuid, text: Option<String>) -> String {
        text.unwrap_or_else(|| key.hyphenated().to_string())
    }
}

fn hashed(id: &str) -> Uuid {
    let hash = digest(&SHA256, id.as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash.as_ref()).for_each(|(byte, hash)| *byte = *hash);
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_uuids_are_their_own_keys() {
        for id in [
            "0f8fad5b-d9cb-469f-a165-70867728950e",
            "018f5f5e-7b3a-7cc2-98c8-9a0d9d9d9d9d",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ] {
            let key = Key::new(id);
            assert_eq!((key.get().to_string().as_str(), key.text(id)), (id, None));
            assert_eq!(Key::id(key.get(), None), id);
        }
    }

    #[test]
    fn every_other_text_is_kept_and_has_a_key_that_no_uuid_has() {
        let mut keys = std::collections::HashSet::new();
        let key_of_a = Key::new("a").get().to_string();
        for id in [
            "",
            "a",
            "nul \0",
            "0F8FAD5B-D9CB-469F-A165-70867728950E",
            "0f8fad5bd9cb469fa16570867728950e",
            "{0f8fad5b-d9cb-469f-a165-70867728950e}",
            "urn:uuid:0f8fad5b-d9cb-469f-a165-70867728950e",
            "0f8fad5b-d9cb-469f-a165-70867728950g",
            // Of the version that only hashes have.
            "0f8fad5b-d9cb-869f-a165-70867728950e",
            "0f8fad5b-d9cb-869f-0165-70867728950e",
            // The very key of another id.
            &key_of_a,
        ] {
            let key = Key::new(id);
            assert_eq!((key.get().get_version_num(), key.text(id)), (HASHED, Some(id)));
            assert_eq!(key.get().get_variant(), uuid::Variant::RFC4122);
            assert_ne!(key.get().to_string(), id);
            assert_eq!(Key::id(key.get(), Some(id.to_owned())), id);
            assert!(keys.insert(key), "{id}");
        }
        assert_ne!(Key::of_pair("a", "bc"), Key::of_pair("ab", "c"));
        assert_eq!(key_of_a, "ca978112-ca1b-8dca-bac2-31b39a23dc4d", "keys are on disks, and must stay");
    }
}
