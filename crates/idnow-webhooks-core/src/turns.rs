use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The events whose handlers run in this process, by id. Leases go by a clock, which may jump, and a handler can block
/// its thread: this keeps an event from being handled twice at once, whatever the store believes.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashSet<Arc<str>>>);

/// The turn of one event to be handled.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    id: Arc<str>,
}

impl Turns {
    /// `None` while the event is being handled.
    pub(crate) fn take(&self, id: &Arc<str>) -> Option<Turn<'_>> {
        // Made only when it is free: the drop of another one would end the turn of the event that runs.
        let free = self.ids().insert(Arc::clone(id));
        free.then(|| Turn { turns: self, id: Arc::clone(id) })
    }

    // An insertion or a removal is all that happens under this lock, so a poisoned one is still good.
    fn ids(&self) -> MutexGuard<'_, HashSet<Arc<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.ids().remove(&self.id);
    }
}
