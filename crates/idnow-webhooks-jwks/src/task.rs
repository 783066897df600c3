//! The one task that fetches keys. It owns the schedule; nobody else ever fetches.

use std::future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::error::FetchError;
use crate::fetch::Fetched;
use crate::observe::Observer;
use crate::policy::Policy;
use crate::state::{Attempt, Held, State};

type Outcome = Result<Fetched, FetchError>;
pub(crate) type Fetch = Box<dyn Fn() -> BoxFuture<'static, Outcome> + Send>;

/// How the key source talks to its task. The task ends when the last clone is gone.
#[derive(Debug, Clone)]
pub(crate) struct TaskHandle {
    /// The latest `arrived` of a caller who needs fresher keys. Never shrinks, so that nobody is forgotten.
    pub(crate) wanted: watch::Sender<Option<StdInstant>>,
    pub(crate) state: watch::Receiver<State>,
}

pub(crate) fn new(
    fetch: Fetch,
    policy: Policy,
    location: Arc<str>,
) -> (TaskHandle, impl Future<Output = ()> + Send + 'static) {
    let (wanted_sender, wanted) = watch::channel(None);
    let (state, state_receiver) = watch::channel(State::default());
    let task = Task {
        fetch,
        policy,
        wanted,
        state,
        flight: None,
        next: Instant::now(),
        failures: 0,
        observer: Observer::new(location),
    };
    (TaskHandle { wanted: wanted_sender, state: state_receiver }, task.run())
}

/// Keeps a panic that comes back at once from taking a whole core.
const AFTER_PANIC: Duration = Duration::from_millis(100);

struct Task {
    fetch: Fetch,
    policy: Policy,
    wanted: watch::Receiver<Option<StdInstant>>,
    state: watch::Sender<State>,
    flight: Option<Flight>,
    /// When the next scheduled fetch is due.
    next: Instant,
    failures: u32,
    observer: Observer,
}

struct Flight {
    began: Began,
    outcome: BoxFuture<'static, Outcome>,
}

/// When a fetch began, by both clocks.
#[derive(Clone, Copy)]
struct Began {
    std: StdInstant,
    tokio: Instant,
}

enum Event {
    Landed(Began, Outcome),
    Wanted,
    Abandoned,
    Tick,
}

impl Task {
    async fn run(mut self) {
        // Tokio panics when asked for the time in a runtime built without it, and can only be asked by trying.
        if AssertUnwindSafe(pause(Duration::ZERO)).catch_unwind().await.is_err() {
            return;
        }
        // A panic here can only come from a defect or from the user's log or metrics backend. Either way the
        // keys must go on being fetched.
        while AssertUnwindSafe(self.turns()).catch_unwind().await.is_err() {
            self.recover();
            pause(AFTER_PANIC).await;
        }
    }

    fn recover(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.next = Instant::now() + self.policy.backoff.wait(self.failures);
        if let Some(flight) = self.flight.take() {
            self.fail(flight.began.std, &Arc::new(FetchError::Panicked));
        }
    }

    async fn turns(&mut self) {
        loop {
            self.take_off_if_due();
            match self.event().await {
                Event::Landed(began, Ok(fetched)) => self.succeeded(began, fetched),
                Event::Landed(began, Err(error)) => self.failed(began.std, error),
                Event::Abandoned => return,
                Event::Wanted | Event::Tick => {}
            }
            self.drop_stale_keys();
        }
    }

    async fn event(&mut self) -> Event {
        let stale_at = self.state.borrow().held.as_ref().map(|held| held.stale_at);
        let wake = match (&self.flight, stale_at) {
            (Some(_), stale_at) => stale_at,
            (None, Some(stale_at)) => Some(stale_at.min(self.next)),
            (None, None) => Some(self.next),
        };
        let flight = async {
            match self.flight.as_mut() {
                Some(flight) => (flight.began, flight.outcome.as_mut().await),
                None => future::pending().await,
            }
        };
        let tick = async {
            match wake {
                Some(instant) => sleep_until(instant).await,
                None => future::pending().await,
            }
        };
        let event = tokio::select! {
            (began, outcome) = flight => Event::Landed(began, outcome),
            changed = self.wanted.changed() => if changed.is_ok() { Event::Wanted } else { Event::Abandoned },
            () = tick => Event::Tick,
        };
        if matches!(event, Event::Landed(..)) {
            self.flight = None;
        }
        event
    }

    fn take_off_if_due(&mut self) {
        if self.flight.is_some() {
            return;
        }
        let now = Instant::now();
        let wanted = *self.wanted.borrow_and_update();
        let on_demand = {
            let state = self.state.borrow();
            let latest = state.last.as_ref().map(|attempt| attempt.began);
            // `None` is less than any instant: nothing wanted, or nothing fetched yet.
            wanted > latest && state.cooling(now).is_zero()
        };
        if !on_demand && now < self.next {
            return;
        }
        let began = Began { std: StdInstant::now(), tokio: now };
        let cool_until = on_demand.then(|| now + self.policy.min_refresh_interval);
        let fetch = AssertUnwindSafe((self.fetch)()).catch_unwind();
        let outcome = fetch.map(|outcome| outcome.unwrap_or(Err(FetchError::Panicked))).boxed();
        self.flight = Some(Flight { began, outcome });
        self.state.send_modify(|state| {
            state.in_flight = true;
            state.cool_until = cool_until.or(state.cool_until);
        });
    }

    fn succeeded(&mut self, began: Began, fetched: Fetched) {
        let now = Instant::now();
        let Began { std: began, tokio: fetched_at } = began;
        let as_of = began.checked_sub(fetched.age);
        self.failures = 0;
        let newer = self.state.borrow().keys(now).filter(|held| as_of < held.as_of).map(|held| held.stale_at);
        if let Some(stale_at) = newer {
            return self.outdated(began, &fetched, stale_at);
        }
        let lifetime = self.policy.lifetime(fetched.lifetime);
        let keys = Arc::new(fetched.keys);
        self.next = now + Policy::refresh_after(lifetime);
        let held = Held {
            keys: Arc::clone(&keys),
            as_of,
            fetched_at,
            age: fetched.age,
            expires_at: now + lifetime,
            stale_at: now + lifetime + self.policy.max_stale,
        };
        // Waiters first: logging and metrics may be slow, or panic.
        self.state.send_modify(|state| {
            state.in_flight = false;
            state.last = Some(Attempt { began, error: None });
            state.held = Some(held);
        });
        self.observer.succeeded(&keys, began.elapsed(), lifetime, fetched.age);
        if fetched.compressed {
            self.observer.compressed();
        }
    }

    /// What a cache answers from before the held keys could bring back a revoked key, or lose a new one.
    fn outdated(&mut self, began: StdInstant, fetched: &Fetched, stale_at: Instant) {
        // Once the held keys are gone, older ones are better than none: that must not wait.
        self.next = (Instant::now() + Policy::refresh_after(self.policy.min_lifetime)).min(stale_at);
        self.state.send_modify(|state| {
            state.in_flight = false;
            state.last = Some(Attempt { began, error: None });
        });
        self.observer.outdated(&fetched.keys, began.elapsed(), fetched.age);
    }

    fn failed(&mut self, began: StdInstant, error: FetchError) {
        self.failures = self.failures.saturating_add(1);
        let retry_in = self.policy.backoff.wait(self.failures);
        self.next = Instant::now() + retry_in;
        let error = Arc::new(error);
        self.fail(began, &error);
        self.observer.failed(&error, began.elapsed(), self.failures, retry_in);
    }

    fn fail(&self, began: StdInstant, error: &Arc<FetchError>) {
        self.state.send_modify(|state| {
            state.in_flight = false;
            state.last = Some(Attempt { began, error: Some(Arc::clone(error)) });
        });
    }

    fn drop_stale_keys(&mut self) {
        let now = Instant::now();
        let dropped = self.state.send_if_modified(|state| {
            let stale = state.held.is_some() && state.keys(now).is_none();
            if stale {
                state.held = None;
            }
            stale
        });
        if dropped {
            self.observer.too_stale();
        }
    }
}

/// The timer is made when the future is polled, so that its panic can be caught.
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

#[cfg(test)]
mod tests;
