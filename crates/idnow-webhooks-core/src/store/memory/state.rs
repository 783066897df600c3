//! What the store in memory holds, and the indexes over it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::json::Json;
use crate::store::{
    Backlog, Claim, ClaimedEvent, EventFilter, EventState, Evidence, Lease, NewEvent, Order, Purge,
    SessionOrder, StoreError, StoredEvent,
};

#[derive(Default)]
pub(super) struct State {
    events: HashMap<Arc<str>, Record>,
    /// Ids in the order in which their events ended. One that was replayed may be here twice.
    ended: VecDeque<Arc<str>>,
    /// Unfinished events that a worker may claim, by the time to look at them and their position.
    queue: BTreeMap<(DateTime<Utc>, i64), Arc<str>>,
    sessions: HashMap<Arc<str>, Session>,
    last_token: u64,
    last_position: i64,
}

/// The events of one session, as far as they came through the queue.
#[derive(Default)]
struct Session {
    /// By sequence and position.
    unfinished: BTreeMap<(u64, i64), Arc<str>>,
    /// The highest number that is completed.
    highest: u64,
    /// How many are remembered, finished or not.
    remembered: usize,
}

pub(super) struct Record {
    /// Whether a worker may claim it. Otherwise it is handled inline, and kept only to be recognised.
    pub(super) queued: bool,
    pub(super) runs: u32,
    pub(super) phase: Phase,
    position: i64,
    token: u64,
    received_at: DateTime<Utc>,
    /// Its key in the queue.
    wake: Option<DateTime<Utc>>,
    /// Only of queued events: nobody reads the others again.
    details: Option<Box<Details>>,
}

struct Details {
    name: Option<String>,
    session: Option<Arc<str>>,
    sequence: u64,
    data: Option<Json>,
    evidence: Option<Arc<Evidence>>,
    error: Option<String>,
}

#[derive(Clone, Copy)]
pub(super) enum Phase {
    Waiting { due: DateTime<Utc> },
    Running { until: DateTime<Utc> },
    Completed { at: DateTime<Utc> },
    Dead { at: DateTime<Utc> },
}

impl Phase {
    pub(super) fn state(self) -> EventState {
        match self {
            Self::Waiting { .. } => EventState::Waiting,
            Self::Running { .. } => EventState::Running,
            Self::Completed { .. } => EventState::Completed,
            Self::Dead { .. } => EventState::Dead,
        }
    }

    /// When a lease can be taken, if ever.
    fn due(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Waiting { due: at } | Self::Running { until: at } => Some(at),
            Self::Completed { .. } | Self::Dead { .. } => None,
        }
    }

    fn finished(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Completed { at } | Self::Dead { at } => Some(at),
            Self::Waiting { .. } | Self::Running { .. } => None,
        }
    }
}

impl Record {
    pub(super) fn inline(now: DateTime<Utc>) -> Self {
        Self {
            queued: false,
            runs: 0,
            phase: Phase::Waiting { due: now },
            position: 0,
            token: 0,
            received_at: now,
            wake: None,
            details: None,
        }
    }

    pub(super) fn queued(event: &NewEvent, now: DateTime<Utc>) -> Self {
        let details = Details {
            name: event.name(),
            session: event.session_id().map(Into::into),
            sequence: event.sequence,
            data: Some(event.json().clone()),
            evidence: event.evidence.clone(),
            error: event.dead.as_deref().map(Into::into),
        };
        Self { queued: true, details: Some(Box::new(details)), ..Self::inline(now) }
    }

    pub(super) fn failed(&mut self, error: &str) {
        if let Some(details) = &mut self.details {
            details.error = Some(error.to_owned());
        }
    }

    /// Nobody needs the text of a completed event any more.
    pub(super) fn forget_text(&mut self) {
        if let Some(details) = &mut self.details {
            (details.data, details.error) = (None, None);
        }
    }

    fn session(&self) -> Option<(&Arc<str>, u64)> {
        let details = self.details.as_deref()?;
        Some((details.session.as_ref()?, details.sequence))
    }
}

impl State {
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn record(&self, id: &str) -> Option<&Record> {
        self.events.get(id)
    }

    pub(super) fn held(&mut self, lease: &Lease) -> Result<&mut Record, StoreError> {
        self.events
            .get_mut(&lease.event_id)
            .filter(|record| record.token == lease.token && matches!(record.phase, Phase::Running { .. }))
            .ok_or_else(|| StoreError::LeaseLost(lease.event_id.clone()))
    }

    pub(super) fn was_completed_under(&self, lease: &Lease) -> bool {
        self.record(&lease.event_id).is_some_and(|record| {
            record.token == lease.token && record.phase.state() == EventState::Completed
        })
    }

    pub(super) fn make_room(&mut self, capacity: usize) -> Result<(), StoreError> {
        while self.events.len() >= capacity {
            let oldest = self.ended.pop_front().ok_or(StoreError::Full(self.events.len()))?;
            // One that was replayed is not finished.
            if self.record(&oldest).is_some_and(|record| record.phase.finished().is_some()) {
                self.forget(&oldest);
            }
        }
        Ok(())
    }

    pub(super) fn add(&mut self, id: &Arc<str>, mut record: Record, phase: Phase) {
        self.last_position = self.last_position.saturating_add(1);
        record.position = self.last_position;
        if let Some((session, _)) = record.session() {
            self.sessions.entry(Arc::clone(session)).or_default().remembered += 1;
        }
        self.events.insert(Arc::clone(id), record);
        self.enter(id, phase);
    }

    /// Puts an event into another phase, and into or out of the indexes.
    pub(super) fn enter(&mut self, id: &Arc<str>, phase: Phase) {
        let Self { events, ended, queue, sessions, .. } = self;
        let Some(record) = events.get_mut(id) else { return };
        record.phase = phase;
        let wake = phase.due().filter(|_| record.queued);
        look_at(queue, record, id, wake);
        if phase.finished().is_some() {
            ended.push_back(Arc::clone(id));
        }
        let position = record.position;
        let Some((session, sequence)) = record.session() else { return };
        let Some(session) = sessions.get_mut(session) else { return };
        if phase.finished().is_none() {
            session.unfinished.insert((sequence, position), Arc::clone(id));
        } else {
            session.unfinished.remove(&(sequence, position));
        }
        if phase.state() == EventState::Completed {
            session.highest = session.highest.max(sequence);
        }
        if phase.state() != EventState::Running {
            // Those that it held back are looked at anew.
            for other in session.unfinished.values() {
                if let Some(record) = events.get_mut(other)
                    && let Phase::Waiting { due } = record.phase
                    && record.queued
                {
                    look_at(queue, record, other, Some(due));
                }
            }
        }
    }

    pub(super) fn forget(&mut self, id: &str) {
        let Some((id, record)) = self.events.remove_entry(id) else { return };
        if let Some(wake) = record.wake {
            self.queue.remove(&(wake, record.position));
        }
        if let Some((name, sequence)) = record.session()
            && let Some(session) = self.sessions.get_mut(name)
        {
            session.unfinished.remove(&(sequence, record.position));
            session.remembered = session.remembered.saturating_sub(1);
            if session.remembered == 0 {
                self.sessions.remove(name);
            }
        }
        drop(id);
    }

    pub(super) fn lease(&mut self, id: &Arc<str>, until: DateTime<Utc>) -> Lease {
        self.last_token = self.last_token.saturating_add(1);
        let token = self.last_token;
        if let Some(record) = self.events.get_mut(id) {
            record.runs = record.runs.saturating_add(1);
            record.token = token;
        }
        self.enter(id, Phase::Running { until });
        Lease::new(Arc::clone(id), token)
    }

    pub(super) fn claim(
        &mut self,
        claim: Claim,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Vec<ClaimedEvent> {
        let mut claimed = Vec::new();
        // Whatever becomes of an event, it is not looked at again now.
        let until = until.max(now + TimeDelta::seconds(1));
        while claimed.len() < claim.limit
            && let Some((_, id)) = self.queue.range(..=(now, i64::MAX)).next()
        {
            let id = Arc::clone(id);
            match self.judge(&id, claim.order, now, until) {
                Ok(order) => {
                    let lease = self.lease(&id, until);
                    let Some(record) = self.events.get(&id) else { continue };
                    let data = record.details.as_ref().and_then(|details| details.data.as_ref());
                    let data = data.map(Json::get).unwrap_or_default();
                    claimed.push(ClaimedEvent::new(lease, record.runs, order, data));
                }
                Err(wake) => {
                    if let Some(record) = self.events.get_mut(&id) {
                        look_at(&mut self.queue, record, &id, Some(wake));
                    }
                }
            }
        }
        claimed
    }

    /// Whether the rest of its session lets an event run, or when to look at it again.
    fn judge(
        &self,
        id: &str,
        order: SessionOrder,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Order, DateTime<Utc>> {
        let SessionOrder::Sequence { grace } = order else { return Ok(Order::Unchecked) };
        let Some(record) = self.events.get(id) else { return Err(until) };
        let Some((session, sequence)) = record.session() else { return Ok(Order::Unchecked) };
        let Some(session) = self.sessions.get(session) else { return Ok(Order::Unchecked) };
        for (place, other) in &session.unfinished {
            let Some(other) = self.events.get(other) else { continue };
            let runs = matches!(other.phase, Phase::Running { until } if until > now);
            if other.position != record.position && (runs || *place < (sequence, record.position)) {
                return Err(other.phase.due().filter(|due| *due > now).unwrap_or(until));
            }
        }
        let waited = (now - record.received_at).to_std().unwrap_or_default();
        Order::judge(sequence, session.highest, waited, grace).map_err(|rest| now + rest)
    }

    pub(super) fn get(&self, id: &str) -> Option<StoredEvent> {
        let (id, record) = self.events.get_key_value(id)?;
        Some(stored(id, record))
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
        events.into_iter().take(filter.limit).map(|(id, record)| stored(id, record)).collect()
    }

    pub(super) fn oldest_dead(&self, limit: usize) -> Vec<Arc<str>> {
        let dead = |(_, record): &(&Arc<str>, &Record)| record.phase.state() == EventState::Dead;
        let mut dead: Vec<_> = self.events.iter().filter(dead).collect();
        dead.sort_unstable_by_key(|(_, record)| record.position);
        dead.into_iter().take(limit).map(|(id, _)| Arc::clone(id)).collect()
    }

    pub(super) fn replay(&mut self, id: &Arc<str>, due: DateTime<Utc>) {
        if let Some(record) = self.events.get_mut(id) {
            record.runs = 0;
        }
        self.enter(id, Phase::Waiting { due });
    }

    pub(super) fn purge(&mut self, purge: Purge, before: DateTime<Utc>) -> usize {
        let mut old: Vec<_> = self
            .events
            .iter()
            .filter(|(_, record)| record.phase.state() == purge.state)
            .filter_map(|(id, record)| Some((record.phase.finished().filter(|at| *at <= before)?, id)))
            .collect();
        old.sort_unstable();
        let old: Vec<_> = old.into_iter().take(purge.limit).map(|(_, id)| Arc::clone(id)).collect();
        for id in &old {
            self.forget(id);
        }
        old.len()
    }

    pub(super) fn count(&self, state: EventState) -> u64 {
        self.events.values().filter(|record| record.phase.state() == state).count() as u64
    }

    pub(super) fn backlog(&self, now: DateTime<Utc>) -> Backlog {
        let waiting = |record: &&Record| record.phase.state() == EventState::Waiting;
        let oldest = self.events.values().filter(waiting).map(|record| record.received_at).min();
        Backlog {
            waiting: self.count(EventState::Waiting),
            running: self.count(EventState::Running),
            dead: self.count(EventState::Dead),
            oldest_waiting: oldest.map(|at| (now - at).to_std().unwrap_or(Duration::ZERO)),
        }
    }
}

/// Notes when a worker is to look at an event, if at all.
fn look_at(
    queue: &mut BTreeMap<(DateTime<Utc>, i64), Arc<str>>,
    record: &mut Record,
    id: &Arc<str>,
    wake: Option<DateTime<Utc>>,
) {
    if let Some(old) = record.wake {
        queue.remove(&(old, record.position));
    }
    record.wake = wake;
    if let Some(wake) = wake {
        queue.insert((wake, record.position), Arc::clone(id));
    }
}

fn stored(id: &str, record: &Record) -> StoredEvent {
    let details = record.details.as_deref();
    StoredEvent {
        position: record.position,
        id: id.to_owned(),
        name: details.and_then(|details| details.name.clone()),
        session_id: record.session().map(|(session, _)| session.to_string()),
        sequence: details.map_or(0, |details| details.sequence),
        state: record.phase.state(),
        runs: record.runs,
        received_at: record.received_at,
        due_at: record.phase.due(),
        finished_at: record.phase.finished(),
        error: details.and_then(|details| details.error.clone()),
        data: details.and_then(|details| details.data.as_ref()).map(|data| data.get().to_owned()),
        evidence: details.and_then(|details| details.evidence.as_deref().cloned()),
    }
}
