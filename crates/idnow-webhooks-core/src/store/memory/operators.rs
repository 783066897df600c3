//! What operators ask of the store in memory. It looks at every event, of which there are not many.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::record::{Phase, Record};
use super::state::State;
use crate::store::{Backlog, EventFilter, EventState, Purge, StoredEvent};

impl State {
    pub(super) fn get(&self, id: &str) -> Option<StoredEvent> {
        let (id, record) = self.events.get_key_value(id)?;
        Some(record.stored(id))
    }

    pub(super) fn list(&self, filter: &EventFilter) -> Vec<StoredEvent> {
        let fits = |record: &Record| {
            let name = record.details.as_deref().and_then(|details| details.name.as_deref());
            let session = record.session().map(|(session, _)| &**session);
            filter.state.is_none_or(|state| record.phase.state() == state)
                && filter.before.is_none_or(|before| record.position < before)
                && (filter.name.is_none() || name == filter.name.as_deref())
                && (filter.session_id.is_none() || session == filter.session_id.as_deref())
        };
        let mut events: Vec<_> = self.events.iter().filter(|(_, record)| fits(record)).collect();
        events.sort_unstable_by_key(|(_, record)| std::cmp::Reverse(record.position));
        events.into_iter().take(filter.limit).map(|(id, record)| record.stored(id)).collect()
    }

    pub(super) fn oldest_dead(&self, limit: usize) -> Vec<Arc<str>> {
        let dead = |(_, record): &(&Arc<str>, &Record)| record.phase.state() == EventState::Dead;
        let mut dead: Vec<_> = self.events.iter().filter(dead).collect();
        dead.sort_unstable_by_key(|(_, record)| record.position);
        dead.into_iter().take(limit).map(|(id, _)| Arc::clone(id)).collect()
    }

    pub(super) fn replay(&mut self, ids: &[Arc<str>], due: DateTime<Utc>) {
        for id in ids {
            self.put_into_queue(id);
            if let Some(record) = self.events.get_mut(id) {
                record.runs = 0;
            }
            self.enter(id, Phase::Waiting { due });
        }
        self.tidy();
    }

    /// Drops what did not end, or is gone, from the order in which events ended.
    fn tidy(&mut self) {
        let Self { events, ended, .. } = self;
        ended.retain(|id| events.get(id).is_some_and(|record| record.phase.finished().is_some()));
    }

    pub(super) fn purge(&mut self, purge: Purge, before: DateTime<Utc>) -> usize {
        if purge.state == EventState::Completed {
            self.parked.drop_stored_by(before);
        }
        let mut old: Vec<_> = self
            .events
            .iter()
            .filter_map(|(id, record)| {
                let (state, at) = record.ended()?;
                (state == purge.state && at <= before).then_some((at, id))
            })
            .collect();
        old.sort_unstable();
        let old: Vec<_> = old.into_iter().take(purge.limit).map(|(_, id)| Arc::clone(id)).collect();
        for id in &old {
            self.forget(id);
        }
        self.tidy();
        old.len()
    }

    pub(super) fn count(&self, state: EventState) -> u64 {
        self.events.values().filter(|record| record.phase.state() == state).count() as u64
    }

    pub(super) fn backlog(&self, now: DateTime<Utc>) -> Backlog {
        let waiting = |record: &&Record| record.queued && record.phase.state() == EventState::Waiting;
        let oldest = self.events.values().filter(waiting).map(|record| record.received_at).min();
        Backlog {
            waiting: self.events.values().filter(waiting).count() as u64,
            running: self.count(EventState::Running),
            dead: self.count(EventState::Dead),
            parked: self.parked.len() as u64,
            oldest_waiting: oldest.map(|at| (now - at).to_std().unwrap_or(Duration::ZERO)),
        }
    }
}
