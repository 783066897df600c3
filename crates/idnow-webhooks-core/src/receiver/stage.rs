use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::outcome::Refusal;

const BODY: u8 = 0;
const KEYS: u8 = 1;
const VERIFIED: u8 = 2;

/// What a delivery waits for. Only one whose signature holds may count as our fault when its time is over: an
/// unauthenticated client can send slowly, and name keys that have to be looked for.
#[derive(Default)]
pub(super) struct Stage(AtomicU8);

impl Stage {
    pub(super) fn body_is_read(&self) {
        self.0.store(KEYS, Ordering::Relaxed);
    }

    pub(super) fn signature_holds(&self) {
        self.0.store(VERIFIED, Ordering::Relaxed);
    }

    pub(super) fn too_late(&self, limit: Duration) -> Refusal {
        match self.0.load(Ordering::Relaxed) {
            BODY => Refusal::Incomplete,
            KEYS => Refusal::KeysTooSlow(limit),
            _ => Refusal::Deadline(limit),
        }
    }
}
