use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::Lease;

/// The events whose handlers run in this process, by id. Leases go by a clock, which may jump, and a handler can block
/// its thread: this keeps an event from being handled twice at once, whatever the store believes.
///
/// When a lease ends before its handler does, and the event is claimed here once more, the new lease is handed over to
/// the run that there is.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<Arc<str>, Option<Lease>>>);

/// The turn of one event to be handled.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    id: Arc<str>,
}

impl Turns {
    /// `None` while the event is being handled.
    pub(crate) fn take(&self, id: &Arc<str>) -> Option<Turn<'_>> {
        self.enter(id, None)
    }

    /// As [`take`](Self::take), but while the event is being handled its run gets this lease.
    pub(crate) fn take_or_hand_over(&self, lease: &Lease) -> Option<Turn<'_>> {
        self.enter(&lease.event_id, Some(lease.clone()))
    }

    fn enter(&self, id: &Arc<str>, lease: Option<Lease>) -> Option<Turn<'_>> {
        match self.ids().entry(Arc::clone(id)) {
            Entry::Occupied(mut running) => {
                if lease.is_some() {
                    running.insert(lease);
                }
                None
            }
            Entry::Vacant(free) => {
                free.insert(None);
                // Made only here: the drop of another one would end the turn of the event that runs.
                Some(Turn { turns: self, id: Arc::clone(id) })
            }
        }
    }

    /// As [`Turn::handed_over`], for the run that there is.
    pub(crate) fn handed_over(&self, id: &str) -> Option<Lease> {
        self.ids().get(id).cloned().flatten()
    }

    // An insertion or a removal is all that happens under this lock, so a poisoned one is still good.
    fn ids(&self) -> MutexGuard<'_, HashMap<Arc<str>, Option<Lease>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// The lease that was handed over to this run at last, if any.
    pub(crate) fn handed_over(&self) -> Option<Lease> {
        self.turns.handed_over(&self.id)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.ids().remove(&self.id);
    }
}
