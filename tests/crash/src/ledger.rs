use idnow_webhooks_testkit::SampleEvent;
use uuid::Uuid;

use crate::Chance;

/// Sessions with this at the start of their id have events whose handler takes long.
pub const LONG: &str = "long-";

/// What is to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Supply {
    /// So many different events; `None` for no end.
    pub events: Option<usize>,
    /// So many sessions at a time.
    pub sessions: usize,
    /// So many events in each session.
    pub per_session: u64,
    /// One in so many sessions is [long](LONG), and has two events. 0 for none.
    pub long_in: u64,
}

/// What was sent, and what was answered 200: the truth that a store is compared with.
#[derive(Debug, Clone)]
pub struct Ledger {
    supply: Supply,
    chance: Chance,
    events: Vec<Sent>,
    /// Sessions that are not complete, with the number of their last event.
    sessions: Vec<(String, u64)>,
    /// Events that were answered 200, by their index.
    answered: Vec<usize>,
    /// Events that are to be sent once more, because nobody answered 200, and that nobody is sending.
    open: Vec<usize>,
}

/// One event that was sent at least once.
#[derive(Debug, Clone)]
pub struct Sent {
    /// `eventId`.
    pub id: String,
    /// `sessionId`.
    pub session: String,
    /// Whether it was answered 200, at least once.
    pub answered: bool,
    sequence: u64,
    attempts: u64,
}

impl Ledger {
    pub(crate) fn new(supply: Supply, chance: Chance) -> Self {
        let (events, sessions, answered, open) = Default::default();
        Self { supply, chance, events, sessions, answered, open }
    }

    /// All events that were sent.
    pub fn events(&self) -> &[Sent] {
        &self.events
    }

    /// How many of them were answered 200.
    pub fn answered(&self) -> usize {
        self.answered.len()
    }

    /// Whether there is nothing more to be sent, ever.
    pub(crate) fn is_done(&self) -> bool {
        self.is_exhausted() && self.answered.len() == self.events.len()
    }

    /// The next attempt, of whatever event. `None` while all that are left are being sent.
    pub(crate) fn next(&mut self) -> Option<(usize, SampleEvent)> {
        let duplicate = self.chance.one_in(8) && !self.answered.is_empty();
        let again = !self.open.is_empty() && (self.is_exhausted() || self.chance.one_in(2));
        let index = if duplicate {
            *self.chance.pick(&self.answered)?
        } else if again {
            self.open.swap_remove(self.chance.index(self.open.len()))
        } else if self.is_exhausted() {
            return None;
        } else {
            self.add()
        };
        let sent = self.events.get_mut(index)?;
        sent.attempts += 1;
        let event = if sent.sequence == 1 { SampleEvent::created() } else { SampleEvent::completed() };
        let event = event
            .with_event_id(sent.id.as_str())
            .with_session_id(sent.session.as_str())
            .with_sequence(sent.sequence)
            .with_attempt(sent.attempts);
        Some((index, event))
    }

    /// What became of an attempt.
    pub(crate) fn note(&mut self, index: usize, accepted: bool) {
        let Some(sent) = self.events.get_mut(index) else { return };
        match (sent.answered, accepted) {
            (true, _) => {}
            (false, true) => {
                sent.answered = true;
                self.answered.push(index);
            }
            (false, false) => self.open.push(index),
        }
    }

    fn is_exhausted(&self) -> bool {
        self.supply.events.is_some_and(|limit| self.events.len() >= limit)
    }

    fn add(&mut self) -> usize {
        if self.sessions.len() < self.supply.sessions {
            let long = self.supply.long_in > 0 && self.chance.one_in(self.supply.long_in);
            let prefix = if long { LONG } else { "" };
            self.sessions.push((format!("{prefix}{}", Uuid::new_v4()), 0));
        }
        let chosen = self.chance.index(self.sessions.len());
        let mut added = (String::new(), 0);
        if let Some((session, sequence)) = self.sessions.get_mut(chosen) {
            *sequence += 1;
            added = (session.clone(), *sequence);
        }
        let (session, sequence) = added;
        let last = if session.starts_with(LONG) { 2 } else { self.supply.per_session };
        if sequence >= last {
            self.sessions.swap_remove(chosen);
        }
        let id = Uuid::new_v4().to_string();
        self.events.push(Sent { id, session, answered: false, sequence, attempts: 0 });
        self.events.len() - 1
    }
}
