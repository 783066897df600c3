//! Any calls in any order, against a model that is too simple to be wrong.

use std::fmt::Write;

use super::prelude::*;

const SEEDS: u64 = 12;
const STEPS: usize = 310;
const SESSIONS: [&str; 4] = ["p", "q", "r", "s"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting { due: i64 },
    Running { until: i64, token: u64 },
    Completed { token: u64 },
    Dead,
}

#[derive(Debug, Clone)]
struct Modelled {
    id: String,
    session: Option<&'static str>,
    sequence: u64,
    arrived: i64,
    runs: u32,
    state: State,
}

impl Modelled {
    fn due(&self) -> Option<i64> {
        match self.state {
            State::Waiting { due: at } | State::Running { until: at, .. } => Some(at),
            State::Completed { .. } | State::Dead => None,
        }
    }

    fn held_under(&self, lease: &Lease) -> bool {
        matches!(self.state, State::Running { token, .. } if token == lease.token)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parked {
    id: String,
    audience: String,
    is_expected_flow: bool,
    stored: i64,
}

/// Few enough to be reached.
const PARK_LIMITS: ParkLimits = ParkLimits { per_audience: 4, in_all: 9, keep: Duration::from_mins(5) };

/// The store, what it should hold, and all leases it ever gave.
struct Trial<'a> {
    on: &'a Stage,
    order: SessionOrder,
    now: i64,
    events: Vec<Modelled>,
    leases: Vec<Lease>,
    parked: Vec<Parked>,
    chance: Chance,
    /// What was done, to be told when it ends badly.
    log: String,
}

impl Trial<'_> {
    /// Which events are to be had now, and what their place is: for each session, only the first that is not finished.
    fn claimable(&self) -> BTreeMap<String, (u32, Order)> {
        let due = |event: &Modelled| event.due().is_some_and(|due| due <= self.now);
        let mut claimable = BTreeMap::new();
        for (place, event) in self.events.iter().enumerate() {
            let order = match (self.order, event.session) {
                (SessionOrder::Sequence { grace }, Some(session)) => {
                    let others =
                        || self.events.iter().enumerate().filter(|(_, other)| other.session == Some(session));
                    let held_back = others().any(|(at, other)| {
                        let runs = matches!(other.state, State::Running { until, .. } if until > self.now);
                        let before = (other.sequence, at) < (event.sequence, place);
                        at != place && other.due().is_some() && (runs || before)
                    });
                    let completed =
                        others().filter(|(_, other)| matches!(other.state, State::Completed { .. }));
                    let highest = completed.map(|(_, other)| other.sequence).max().unwrap_or(0);
                    let waited = seconds(u64::try_from(self.now - event.arrived).unwrap());
                    match Order::judge(event.sequence, highest, waited, grace) {
                        Ok(order) if !held_back => order,
                        _ => continue,
                    }
                }
                _ => Order::Unchecked,
            };
            if due(event) {
                claimable.insert(event.id.clone(), (event.runs + 1, order));
            }
        }
        claimable
    }

    fn model(&mut self, id: &str) -> &mut Modelled {
        self.events.iter_mut().find(|event| event.id == id).unwrap()
    }

    fn note(&mut self, what: &str) {
        writeln!(self.log, "at {}: {what}", self.now).unwrap();
    }

    async fn insert(&mut self) {
        let known = self.chance.below(5) == 0 && !self.events.is_empty();
        if known {
            let id = self.events[self.chance.index(self.events.len())].id.clone();
            self.note(&format!("insert {id} again"));
            assert_eq!(self.on.insert(&id).await, Insertion::Duplicate);
            return;
        }
        let id = format!("event {}", self.events.len());
        let sequence = self.chance.below(6);
        let session = (self.chance.below(8) > 0).then(|| SESSIONS[self.chance.index(SESSIONS.len())]);
        let event =
            session.map_or_else(|| without_session(&id), |session| in_session(&id, session, sequence));
        self.note(&format!("insert {id}: {session:?}, {sequence}"));
        assert_eq!(self.on.insert_event(event).await, Insertion::New);
        let state = State::Waiting { due: self.now };
        self.events.push(Modelled { id, session, sequence, arrived: self.now, runs: 0, state });
    }

    async fn claim(&mut self, limit: usize) {
        self.note(&format!("claim {limit}"));
        let expected = self.claimable();
        let claimed = self.on.claim_by(limit, self.order).await;
        let found: BTreeMap<_, _> = claimed
            .iter()
            .map(|event| (event.lease.event_id.to_string(), (event.run, event.order)))
            .collect();
        assert_eq!(found.len(), claimed.len());
        if limit >= expected.len() {
            assert_eq!(found, expected, "everything that is to be had");
        } else {
            assert_eq!(found.len(), limit, "of {expected:?}");
            assert!(
                found.iter().all(|(id, place)| expected.get(id) == Some(place)),
                "{found:?} of {expected:?}"
            );
        }
        if self.order == SessionOrder::Any {
            let due = claimed.iter().map(|event| {
                self.events.iter().find(|other| *other.id == *event.lease.event_id).unwrap().due()
            });
            assert!(due.is_sorted(), "those that have been due for longest come first");
        }
        for event in claimed {
            self.run(event.lease);
        }
    }

    fn run(&mut self, lease: Lease) {
        assert!(!self.leases.contains(&lease), "{lease:?} was given before");
        let until = self.now + 30;
        let event = self.model(&lease.event_id);
        event.runs += 1;
        event.state = State::Running { until, token: lease.token };
        self.note(&format!("  run {lease:?}"));
        self.leases.push(lease);
    }

    async fn begin(&mut self) {
        if self.events.is_empty() {
            return;
        }
        let event = self.events[self.chance.index(self.events.len())].clone();
        self.note(&format!("begin {}", event.id));
        match (self.on.begin(&event.id).await, event.state) {
            (Beginning::Run(lease), State::Waiting { .. }) => self.run(lease),
            (Beginning::Run(lease), State::Running { until, .. }) if until <= self.now => self.run(lease),
            (Beginning::Running, State::Running { until, .. }) => assert!(until > self.now),
            (Beginning::Completed, State::Completed { .. }) | (Beginning::Buried, State::Dead) => {}
            (beginning, state) => panic!("{beginning:?} of {state:?}"),
        }
    }

    /// Ends one of the last leases, or one from long ago.
    async fn settle(&mut self) {
        let Some(last) = self.leases.len().checked_sub(1) else { return };
        let back = if self.chance.below(10) == 0 { 50 } else { 6 };
        let recent = self.chance.index(back);
        let lease = self.leases[last.saturating_sub(recent)].clone();
        let (store, now) = (&self.on.store, self.now);
        let wait = i64::try_from(self.chance.below(50)).unwrap();
        let duration = seconds(u64::try_from(wait).unwrap());
        let state = self.model(&lease.event_id).state;
        let held = self.model(&lease.event_id).held_under(&lease);
        let (what, done, then) = match self.chance.below(10) {
            0..4 => {
                let done = store.complete(&lease).await;
                if state == (State::Completed { token: lease.token }) {
                    // A second time.
                    return done.unwrap();
                }
                ("complete", done, State::Completed { token: lease.token })
            }
            4..7 => {
                ("retry", store.retry(&lease, duration, "failed").await, State::Waiting { due: now + wait })
            }
            7 => ("release", store.release(&lease).await, State::Waiting { due: now }),
            8 => ("bury", store.bury(&lease, "bad").await, State::Dead),
            _ => {
                let until = now + 30 + wait;
                let done = store.extend(&lease, LEASE + duration).await;
                if state == (State::Completed { token: lease.token }) {
                    return done.unwrap();
                }
                ("extend", done, State::Running { until, token: lease.token })
            }
        };
        self.note(&format!("{what} {lease:?}, {wait}: {done:?}"));
        match done {
            Ok(()) if held => {
                let event = self.model(&lease.event_id);
                event.state = then;
                event.runs -= u32::from(what == "release");
            }
            Err(StoreError::LeaseLost(_)) if !held => {}
            other => panic!("{other:?}, and it is {held} that the lease was held"),
        }
    }

    async fn replay(&mut self) {
        if self.events.is_empty() {
            return;
        }
        let event = self.events[self.chance.index(self.events.len())].clone();
        self.note(&format!("replay {}", event.id));
        let expected = match event.state {
            State::Waiting { .. } | State::Dead => Replay::Queued,
            State::Running { .. } => Replay::Refused(EventState::Running),
            State::Completed { .. } => Replay::Refused(EventState::Completed),
        };
        assert_eq!(self.on.replay(&event.id).await, expected);
        if expected == Replay::Queued {
            let due = self.now;
            let event = self.model(&event.id);
            (event.state, event.runs) = (State::Waiting { due }, 0);
        }
    }

    async fn replay_dead(&mut self) {
        self.note("replay all dead");
        let now = self.now;
        let dead: Vec<_> = self.events.iter_mut().filter(|event| event.state == State::Dead).collect();
        assert_eq!(self.on.store.replay_dead(1000).await.unwrap(), dead.len());
        for event in dead {
            (event.state, event.runs) = (State::Waiting { due: now }, 0);
        }
    }

    async fn park(&mut self) {
        let (id, audience) = (self.chance.below(30).to_string(), self.chance.below(4).to_string());
        let evidence = Evidence::new("aaa.bbb.ccc", None);
        let is_expected_flow = self.chance.below(3) == 0;
        let token = ParkedToken {
            audience: audience.clone(),
            is_expected_flow,
            ..ParkedToken::new(&id, evidence, self.on.now())
        };
        let outcome = self.on.store.park(token, PARK_LIMITS).await.unwrap();
        self.note(&format!("park {id} for {audience}, {is_expected_flow}: {outcome:?}"));
        if self.parked.iter().any(|token| token.id == id) {
            return assert_eq!(outcome, ParkOutcome::Known);
        }
        let before = self.parked.len();
        let oldest = self.now - i64::try_from(PARK_LIMITS.keep.as_secs()).unwrap();
        self.parked.retain(|token| token.stored > oldest);
        let others = self.parked.iter().filter(|token| token.audience == audience).count();
        if others + 1 > PARK_LIMITS.per_audience {
            self.drop_parked(|token| token.audience == audience);
        }
        if self.parked.len() + 1 > PARK_LIMITS.in_all {
            self.drop_parked(|_| true);
        }
        self.parked.push(Parked { id, audience, is_expected_flow, stored: self.now });
        let dropped = u64::try_from(before + 1 - self.parked.len()).unwrap();
        assert_eq!(outcome, ParkOutcome::New { dropped });
    }

    /// Drops one of these: the oldest, if it can be one without an expected flow.
    fn drop_parked(&mut self, which: impl Fn(&Parked) -> bool) {
        let first = |is_expected| {
            self.parked.iter().position(|token| which(token) && token.is_expected_flow == is_expected)
        };
        let first = first(false).or_else(|| first(true)).unwrap();
        self.parked.remove(first);
    }

    /// No event, as leases on it would be asked for later. But what was parked so long ago.
    async fn purge_parked(&mut self) {
        let age = self.chance.below(300);
        self.note(&format!("purge what is older than {age} s"));
        assert_eq!(self.on.purge(EventState::Completed, age, 0).await, 0);
        let oldest = self.now - i64::try_from(age).unwrap();
        self.parked.retain(|token| token.stored > oldest);
    }

    async fn unpark(&mut self) {
        let id = self.chance.below(30).to_string();
        let unparked = self.on.store.unpark(&id).await.unwrap();
        self.note(&format!("unpark {id}: {unparked}"));
        let before = self.parked.len();
        self.parked.retain(|token| token.id != id);
        assert_eq!(unparked, self.parked.len() < before);
    }

    fn wait(&mut self, seconds: i64) {
        self.now += seconds;
        self.on.at(self.now);
    }

    async fn step(&mut self) {
        match self.chance.below(126) {
            0..25 => self.insert().await,
            25..40 => self.claim(1000).await,
            40..50 => {
                let limit = 1 + self.chance.index(3);
                self.claim(limit).await;
            }
            50..80 => self.settle().await,
            80..85 => self.begin().await,
            85..89 => self.replay().await,
            89 => self.replay_dead().await,
            100..121 => self.park().await,
            121..125 => self.unpark().await,
            125 => self.purge_parked().await,
            _ => {
                let by = i64::try_from(self.chance.below(40)).unwrap();
                self.wait(by);
            }
        }
    }

    /// Whether every event stands where it should, and every parked token is there.
    async fn check(&self) {
        let parked = self.on.store.parked(0, 100).await.unwrap();
        let parked: Vec<_> = parked.into_iter().map(|token| (token.id, token.audience)).collect();
        let expected = self.parked.iter().map(|token| (token.id.clone(), token.audience.clone()));
        assert_eq!(parked, expected.collect::<Vec<_>>());
        assert_eq!(self.on.store.backlog().await.unwrap().parked, parked.len() as u64);
        let events =
            self.on.store.list(&EventFilter { limit: 10_000, ..EventFilter::default() }).await.unwrap();
        assert_eq!(events.len(), self.events.len());
        for (stored, event) in events.iter().rev().zip(&self.events) {
            assert_eq!(stored.id, event.id);
            let state = match event.state {
                State::Waiting { .. } => EventState::Waiting,
                State::Running { .. } => EventState::Running,
                State::Completed { .. } => EventState::Completed,
                State::Dead => EventState::Dead,
            };
            let expected = (state, event.runs, event.due().map(|due| self.on.time(due)));
            assert_eq!((stored.state, stored.runs, stored.due_at), expected, "{stored:?}");
        }
    }

    /// Everything gets its turn in the end, and nothing is forgotten.
    async fn drain(&mut self) {
        for _ in 0..self.events.len() * 4 {
            self.claim(1000).await;
            for lease in self.leases.clone() {
                if self.model(&lease.event_id).held_under(&lease) {
                    self.on.complete(&lease).await;
                    self.model(&lease.event_id).state = State::Completed { token: lease.token };
                }
            }
            if self.events.iter().all(|event| event.due().is_none()) {
                return;
            }
            self.wait(20);
        }
        panic!("not everything has been handled");
    }
}

async fn follow(on: Stage, order: SessionOrder) {
    let mut begins = 0;
    for seed in 0..SEEDS {
        // The events of the trials before are finished, and belong to other sessions by then. Nothing stays parked either.
        let purged =
            on.purge(EventState::Completed, 0, 10_000).await + on.purge(EventState::Dead, 0, 10_000).await;
        assert_eq!((purged == 0, on.all().await.len()), (seed == 0, 0));
        let mut trial = Trial {
            on: &on,
            order,
            now: begins,
            events: Vec::new(),
            leases: Vec::new(),
            parked: Vec::new(),
            chance: Chance::new(seed),
            log: String::new(),
        };
        let log = ShownOnPanic(&mut trial);
        for step in 0..STEPS {
            log.0.step().await;
            if step % 10 == 0 {
                log.0.check().await;
            }
        }
        log.0.drain().await;
        log.0.check().await;
        begins = log.0.now;
    }
}

/// Tells what led to a failure.
struct ShownOnPanic<'a, 'b>(&'a mut Trial<'b>);

impl Drop for ShownOnPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.log);
        }
    }
}

pub(crate) async fn in_any_order(on: Stage) {
    follow(on, SessionOrder::Any).await;
}

pub(crate) async fn in_sequence(on: Stage) {
    follow(on, SessionOrder::default()).await;
}

pub(crate) async fn in_sequence_with_grace(on: Stage) {
    follow(on, grace(45)).await;
}
