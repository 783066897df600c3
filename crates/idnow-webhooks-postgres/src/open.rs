//! Which runs have left a transaction open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use idnow_webhooks_core::store::Lease;

/// Many more than handlers can run at once: what is beyond that are runs whose end this process never learns of,
/// because another replica took the event over.
const MOST: usize = 4096;

/// The transactions that handlers have begun and neither committed nor rolled back: dropped ones stay here until their
/// event is settled or leased anew.
#[derive(Debug, Default)]
pub(crate) struct Open(Mutex<HashMap<Arc<str>, Entry>>);

#[derive(Debug)]
struct Entry {
    token: u64,
    transactions: usize,
    /// When the run was last known to go on.
    seen: Instant,
}

impl Open {
    pub(crate) fn begun(&self, lease: &Lease) {
        let mut entries = self.entries();
        let seen = Instant::now();
        if let Some(entry) = entries.get_mut(&lease.event_id).filter(|entry| entry.token == lease.token) {
            entry.transactions = entry.transactions.saturating_add(1);
            entry.seen = seen;
            return;
        }
        if entries.len() >= MOST {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.seen).map(|(id, _)| Arc::clone(id));
            oldest.map(|id| entries.remove(&id));
        }
        entries.insert(Arc::clone(&lease.event_id), Entry { token: lease.token, transactions: 1, seen });
    }

    /// The handler took one transaction back, and said so.
    pub(crate) fn rolled_back(&self, lease: &Lease) {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(&lease.event_id).filter(|entry| entry.token == lease.token) else {
            return;
        };
        entry.transactions = entry.transactions.saturating_sub(1);
        if entry.transactions == 0 {
            entries.remove(&lease.event_id);
        }
    }

    /// The run has ended, or its event is completed.
    pub(crate) fn ended(&self, lease: &Lease) {
        let mut entries = self.entries();
        if entries.get(&lease.event_id).is_some_and(|entry| entry.token == lease.token) {
            entries.remove(&lease.event_id);
        }
    }

    /// The run goes on.
    pub(crate) fn extended(&self, lease: &Lease) {
        if let Some(entry) = self.entries().get_mut(&lease.event_id) {
            entry.seen = Instant::now();
        }
    }

    /// A new lease: all others on its event have ended.
    pub(crate) fn leased(&self, lease: &Lease) {
        let mut entries = self.entries();
        if entries.get(&lease.event_id).is_some_and(|entry| entry.token != lease.token) {
            entries.remove(&lease.event_id);
        }
    }

    pub(crate) fn is_left(&self, lease: &Lease) -> bool {
        self.entries().get(&lease.event_id).is_some_and(|entry| entry.token == lease.token)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Arc<str>, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(id: &str, token: u64) -> Lease {
        Lease::new(id, token)
    }

    #[test]
    fn every_transaction_of_a_run_counts_until_one_is_committed() {
        let (open, one) = (Open::default(), lease("a", 1));
        open.begun(&one);
        open.begun(&one);
        open.rolled_back(&one);
        assert!(open.is_left(&one));
        open.rolled_back(&one);
        assert!(!open.is_left(&one));
        open.begun(&one);
        open.begun(&one);
        open.ended(&one);
        assert!(!open.is_left(&one) && open.entries().is_empty());
    }

    #[test]
    fn another_lease_on_the_event_is_another_run() {
        let (open, one, next) = (Open::default(), lease("a", 1), lease("a", 2));
        open.begun(&one);
        assert!(!open.is_left(&next));
        open.ended(&next);
        open.rolled_back(&next);
        open.leased(&one);
        assert!(open.is_left(&one));
        open.leased(&next);
        assert!(!open.is_left(&one) && open.entries().is_empty());
        open.begun(&one);
        open.begun(&next);
        assert!(open.is_left(&next) && !open.is_left(&one));
    }

    #[test]
    fn runs_that_go_on_are_kept_and_the_others_bounded() {
        let (open, alive) = (Open::default(), lease("alive", 1));
        open.begun(&alive);
        for number in 0..MOST * 2 {
            open.begun(&lease(&number.to_string(), 1));
            if number % 1000 == 0 {
                open.extended(&alive);
            }
        }
        assert_eq!(open.entries().len(), MOST);
        assert!(open.is_left(&alive) && !open.is_left(&lease("0", 1)));
    }
}
