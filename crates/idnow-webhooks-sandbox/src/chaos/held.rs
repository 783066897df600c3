//! Events that wait for the next one of their session to overtake them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

/// An endpoint and a session: a session's events go to several endpoints, and each has its own order.
type Line = (Uuid, Uuid);

#[derive(Debug, Clone, Default)]
pub(super) struct Register(Arc<Mutex<HashMap<Line, Vec<Entry>>>>);

#[derive(Debug)]
struct Entry {
    sequence: u64,
    delivery: i64,
    overtaken: Arc<Notify>,
}

/// A place in the register, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    register: Register,
    line: Line,
    delivery: i64,
    overtaken: Arc<Notify>,
}

impl Register {
    pub(super) fn hold(&self, line: Line, sequence: u64, delivery: i64) -> Held {
        let overtaken = Arc::new(Notify::new());
        let entry = Entry { sequence, delivery, overtaken: Arc::clone(&overtaken) };
        self.lock().entry(line).or_default().push(entry);
        Held { register: self.clone(), line, delivery, overtaken }
    }

    /// The endpoint has an event of the session: those that come before it may follow now.
    pub(super) fn arrived(&self, line: Line, sequence: u64) {
        for entry in self.lock().get(&line).into_iter().flatten() {
            if entry.sequence < sequence {
                entry.overtaken.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Line, Vec<Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    pub(crate) async fn overtaken(&self) {
        self.overtaken.notified().await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut lines = self.register.lock();
        if let Some(entries) = lines.get_mut(&self.line) {
            entries.retain(|entry| entry.delivery != self.delivery);
            if entries.is_empty() {
                lines.remove(&self.line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn only_a_later_event_of_the_same_session_to_the_same_endpoint_overtakes() {
        let (register, line) = (Register::default(), (Uuid::from_u128(1), Uuid::from_u128(2)));
        let held = register.hold(line, 2, 10);
        for (line, sequence) in [((line.0, Uuid::nil()), 3), ((Uuid::nil(), line.1), 3), (line, 2), (line, 1)]
        {
            register.arrived(line, sequence);
        }
        assert_eq!(held.overtaken().now_or_never(), None);
        register.arrived(line, 3);
        assert_eq!(held.overtaken().now_or_never(), Some(()));
        drop(held);
        assert!(register.lock().is_empty());
    }
}
