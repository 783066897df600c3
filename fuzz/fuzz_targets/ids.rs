//! Ids of events and sessions, as the stores keep them: what was written comes back, and no id is taken for another.
//!
//! Each line is an id.

#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

// The modules themselves: they are no part of any interface.
#[path = "../../crates/idnow-webhooks-sqlite/src/compact.rs"]
mod compact;
#[path = "../../crates/idnow-webhooks-postgres/src/key.rs"]
mod key;

use compact::Compact;
use key::Key;

fuzz_target!(|text: &str| {
    let mut compact: HashMap<Compact, &str> = HashMap::new();
    let mut keys: HashMap<Key, &str> = HashMap::new();
    for id in text.lines() {
        let usual = Uuid::try_parse(id).is_ok_and(|uuid| uuid.hyphenated().to_string() == id);

        let small = Compact::new(id);
        assert_eq!(small.expand(), id);
        assert_eq!(matches!(small, Compact::Uuid(_)), usual, "{id:?}");
        assert_eq!(*compact.entry(small).or_insert(id), id);

        let key = Key::new(id);
        let kept = key.text(id);
        assert_eq!(Key::id(key.get(), kept.map(str::to_owned)), id);
        assert!(kept.is_some() || usual, "{id:?}");
        assert_eq!(*keys.entry(key).or_insert(id), id);
    }
});
