use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::outcome::Refusal;

const BODY: u8 = 0;
const KEYS: u8 = 1;
const BELIEVED: u8 = 2;

/// What a delivery waits for. Only one that is believed may count as our fault when its time is over: a stranger can send
/// slowly, and name keys that have to be looked for.
#[derive(Default)]
pub(super) struct Stage(AtomicU8);

impl Stage {
    pub(super) fn body_is_read(&self) {
        self.0.store(KEYS, Ordering::Relaxed);
    }

    pub(super) fn token_is_believed(&self) {
        self.0.store(BELIEVED, Ordering::Relaxed);
    }

    pub(super) fn too_late(&self, limit: Duration) -> Refusal {
        match self.0.load(Ordering::Relaxed) {
            BODY => Refusal::Incomplete,
            KEYS => Refusal::KeysTooSlow(limit),
            _ => Refusal::Deadline(limit),
        }
    }
}
