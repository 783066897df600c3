//! Transactions of handlers that were begun and have not been ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use idnow_webhooks_core::store::Lease;

/// The most that are remembered: far more than handlers run at once. The oldest are forgotten, those of leases that
/// somebody else took over since.
const MOST: usize = 4096;

/// By event, the lease under which a transaction was begun, until it is committed or rolled back, or the lease ends. An
/// event whose handler has dropped one is not handled.
#[derive(Debug, Default)]
pub(crate) struct BegunTransactions(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    leases: HashMap<Arc<str>, Entry>,
    count: u64,
}

#[derive(Debug)]
struct Entry {
    token: u64,
    number: u64,
}

impl BegunTransactions {
    pub(crate) fn add(&self, lease: &Lease) {
        let mut state = self.state();
        state.count = state.count.wrapping_add(1);
        let entry = Entry { token: lease.token, number: state.count };
        state.leases.insert(Arc::clone(&lease.event_id), entry);
        if state.leases.len() > MOST {
            let oldest = state.leases.iter().min_by_key(|(_, entry)| entry.number);
            if let Some(oldest) = oldest.map(|(id, _)| Arc::clone(id)) {
                state.leases.remove(&oldest);
            }
        }
    }

    pub(crate) fn contains(&self, lease: &Lease) -> bool {
        self.state().leases.get(&lease.event_id).is_some_and(|entry| entry.token == lease.token)
    }

    /// Whatever was begun for this event.
    pub(crate) fn remove(&self, event_id: &str) {
        self.state().leases.remove(event_id);
    }

    /// What was begun under this very lease.
    pub(crate) fn end(&self, lease: &Lease) {
        let mut state = self.state();
        if state.leases.get(&lease.event_id).is_some_and(|entry| entry.token == lease.token) {
            state.leases.remove(&lease.event_id);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_remembered() {
        let begun = BegunTransactions::default();
        let lease = |number: usize| Lease::new(number.to_string(), 1);
        for number in 0..=MOST {
            begun.add(&lease(number));
        }
        assert_eq!(begun.state().leases.len(), MOST);
        assert!(!begun.contains(&lease(0)) && begun.contains(&lease(1)) && begun.contains(&lease(MOST)));
        begun.end(&Lease::new("1", 2));
        assert!(begun.contains(&lease(1)), "that is another lease");
        begun.end(&lease(1));
        assert!(!begun.contains(&lease(1)));
    }
}
