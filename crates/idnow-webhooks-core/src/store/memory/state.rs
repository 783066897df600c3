//! What the store in memory holds, and the indexes over it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::after;
use super::parked::Parked;
use super::record::{Details, Phase, Record};
use crate::json::Json;
use crate::store::{
    Beginning, Claim, ClaimedEvent, EventState, Lease, NewEvent, Order, SessionOrder, StoreError,
};

/// When to look at an event that never ran: at the next claim, even if the clock is set back before.
const NEW: DateTime<Utc> = DateTime::<Utc>::MIN_UTC;

#[derive(Default)]
pub(super) struct State {
    pub(super) events: HashMap<Arc<str>, Record>,
    /// Ids in the order in which their events ended.
    pub(super) ended: VecDeque<Arc<str>>,
    pub(super) parked: Parked,
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
        let record = self.events.get(&lease.event_id).filter(|record| record.token == lease.token);
        record.is_some_and(|record| record.phase.state() == EventState::Completed)
    }

    /// Inline mode takes every delivery through here and through [`complete`](Self::complete), so the event is
    /// looked up once, and nothing is done for the indexes, which it is not in.
    pub(super) fn begin(
        &mut self,
        event: NewEvent,
        capacity: usize,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Beginning, StoreError> {
        let id = Arc::clone(&event.id);
        match self.events.get(&id).map(|record| record.phase) {
            None => {}
            Some(Phase::Completed { .. }) => return Ok(Beginning::Completed),
            Some(Phase::Dead { .. }) => return Ok(Beginning::Buried),
            Some(Phase::Running { until }) if until > now => return Ok(Beginning::Running),
            // The provider decides when to try again, so the time noted by `retry` does not hold it back.
            Some(Phase::Running { .. } | Phase::Waiting { .. }) => {
                return Ok(Beginning::Run(self.lease(&id, until)));
            }
        }
        self.make_room(capacity)?;
        let (token, position) = (self.next_token(), self.next_position());
        let phase = Phase::Running { until };
        let record = Record { runs: 1, phase, position, token, ..Record::inline(event, now) };
        self.events.insert(Arc::clone(&id), record);
        Ok(Beginning::Run(Lease::new(id, token)))
    }

    /// Whether others of its session may have waited for this.
    pub(super) fn complete(&mut self, lease: &Lease, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let lost = || StoreError::LeaseLost(lease.event_id.clone());
        let record = self.events.get_mut(&lease.event_id).filter(|record| record.token == lease.token);
        let record = record.ok_or_else(lost)?;
        match record.phase {
            Phase::Completed { .. } => Ok(false),
            Phase::Running { .. } if record.queued => {
                record.forget_text();
                self.enter(&lease.event_id, Phase::Completed { at });
                Ok(true)
            }
            Phase::Running { .. } => {
                record.forget_text();
                record.phase = Phase::Completed { at };
                self.ended.push_back(lease.event_id.clone());
                Ok(false)
            }
            Phase::Waiting { .. } | Phase::Dead { .. } => Err(lost()),
        }
    }

    fn next_token(&mut self) -> u64 {
        self.last_token = self.last_token.saturating_add(1);
        self.last_token
    }

    fn next_position(&mut self) -> i64 {
        self.last_position = self.last_position.saturating_add(1);
        self.last_position
    }

    pub(super) fn make_room(&mut self, capacity: usize) -> Result<(), StoreError> {
        while self.events.len() >= capacity {
            let oldest = self.ended.pop_front().ok_or(StoreError::Full(self.events.len()))?;
            let Some(phase) = self.record(&oldest).map(|record| record.phase) else { continue };
            // One that was replayed is not finished.
            if phase.finished().is_some() {
                self.forget(&oldest);
            }
            // An earlier attempt of it may be parked, and must not be admitted as a new event.
            if let Phase::Completed { at } = phase {
                self.parked.drop_stored_by(at);
            }
        }
        Ok(())
    }

    pub(super) fn add(&mut self, id: &Arc<str>, mut record: Record, phase: Phase) {
        record.position = self.next_position();
        self.remember_session(&record);
        self.events.insert(Arc::clone(id), record);
        self.enter(id, phase);
        if let Phase::Waiting { .. } = phase
            && let Some(record) = self.events.get_mut(id)
        {
            look_at(&mut self.queue, record, id, Some(NEW));
        }
    }

    /// Nothing is new any more: from now on it is looked at when it is due. It is due by now, whatever the clock said
    /// when it arrived.
    fn look_at_new(&mut self, now: DateTime<Utc>) {
        while let Some((_, id)) = self.queue.range(..=(NEW, i64::MAX)).next() {
            let id = Arc::clone(id);
            let Some(record) = self.events.get_mut(&id) else { break };
            if let Phase::Waiting { due } = &mut record.phase {
                *due = now.min(*due);
            }
            let due = record.phase.due();
            look_at(&mut self.queue, record, &id, due);
        }
    }

    /// From now on a worker may claim an event that was begun inline and is not finished.
    pub(super) fn put_into_queue(&mut self, id: &Arc<str>) {
        let Some(record) = self.events.get_mut(id) else { return };
        let Some(event) = record.begun.take() else { return };
        record.queued = true;
        let details = record.details.insert(Box::new(Details::of(&event)));
        if let Some(session) = &details.session {
            self.sessions.entry(Arc::clone(session)).or_default().remembered += 1;
        }
        let phase = record.phase;
        self.enter(id, phase);
    }

    fn remember_session(&mut self, record: &Record) {
        if let Some((session, _)) = record.session() {
            self.sessions.entry(Arc::clone(session)).or_default().remembered += 1;
        }
    }

    /// Puts an event into another phase, and into or out of the indexes.
    pub(super) fn enter(&mut self, id: &Arc<str>, phase: Phase) {
        let Self { events, ended, queue, sessions, .. } = self;
        let Some(record) = events.get_mut(id) else { return };
        let before = std::mem::replace(&mut record.phase, phase);
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
        // The one that comes first now is looked at anew. It holds all others back, wherever they stand.
        if before.state() == EventState::Running
            && let Some(first) = session.unfinished.values().next()
            && let Some(record) = events.get_mut(first)
            && let Some(due) = record.phase.due()
        {
            let is_free = record.runs == 0 && phase.state() != EventState::Running;
            look_at(queue, record, first, Some(if is_free { NEW } else { due }));
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
        let token = self.next_token();
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
        self.look_at_new(now);
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
        // Or since it was first looked at, if the clock was set back before.
        let since = record.phase.due().map_or(record.received_at, |due| due.min(record.received_at));
        let waited = (now - since).to_std().unwrap_or_default();
        Order::judge(sequence, session.highest, waited, grace).map_err(|rest| after(now, rest))
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

#[cfg(test)]
impl State {
    /// How many there are of everything: events, those that ended, the queue, sessions.
    pub(super) fn sizes(&self) -> [usize; 4] {
        [self.events.len(), self.ended.len(), self.queue.len(), self.sessions.len()]
    }
}
