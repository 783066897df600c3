//! What a lane has in hand.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use uuid::Uuid;

use super::lock;
use crate::keys::SigningKey;
use crate::model::{Endpoint, Event};

/// What a lane is to send now. All of it is counted as attempted, whatever happens.
#[derive(Debug)]
pub(crate) struct Taken {
    /// As it was when the attempts were counted: what its URL was is noted. With the values of its headers.
    pub(crate) endpoint: Arc<Endpoint>,
    /// What signs these attempts.
    pub(crate) key: Arc<SigningKey>,
    pub(crate) due: Vec<Due>,
    /// When the next one is due; `None` if none waits.
    pub(crate) next: Option<DateTime<Utc>>,
}

/// An attempt that has begun.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) delivery: i64,
    /// The `eventDeliverId`.
    pub(crate) number: u32,
    /// How many retries there were before, since the delivery was made or retriggered.
    pub(crate) retries: u32,
    /// The `createdAt`.
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) event: Event,
    pub(crate) endpoint: Uuid,
    pub(crate) loose: Loose,
}

/// Puts a delivery back when the last clone is dropped before the outcome of its attempt was noted. An outcome that is in
/// the queue has one, too: whoever has told it may go away.
#[derive(Debug, Clone)]
pub(crate) struct Loose(Arc<InHand>);

#[derive(Debug)]
struct InHand {
    orphans: Arc<Orphans>,
    attempt: Begun,
    is_loose: AtomicBool,
}

/// A delivery and the number of its attempt.
pub(crate) type Begun = (i64, u32);

impl Loose {
    pub(super) fn new(orphans: Arc<Orphans>, attempt: Begun) -> Self {
        Self(Arc::new(InHand { orphans, attempt, is_loose: AtomicBool::new(false) }))
    }

    pub(super) fn attempt(&self) -> Begun {
        self.0.attempt
    }

    /// The attempt has begun, durably. Before that there is nothing to put back.
    pub(super) fn arm(&self) {
        self.0.is_loose.store(true, Ordering::Relaxed);
    }

    /// Its outcome was noted, durably.
    pub(super) fn noted(&self) {
        self.0.is_loose.store(false, Ordering::Relaxed);
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        if *self.is_loose.get_mut() {
            self.orphans.add(self.attempt);
        }
    }
}

/// Attempts whose outcome nobody will tell, for the writer to put back.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    attempts: Mutex<Vec<Begun>>,
    added: Notify,
}

impl Orphans {
    fn add(&self, attempt: Begun) {
        lock(&self.attempts).push(attempt);
        self.added.notify_one();
    }

    pub(super) async fn added(&self) {
        self.added.notified().await;
    }

    pub(super) fn take(&self) -> Vec<Begun> {
        std::mem::take(&mut *lock(&self.attempts))
    }
}
