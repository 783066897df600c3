use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::{Inner, Worker};
use crate::backoff::Backoff;
use crate::handling::Handling;
use crate::router::{EventRouter, RepeatedHandler};
use crate::store::{EventStore, SessionOrder};
use crate::turns::Turns;

/// Builds a [`Worker`].
#[derive(Debug)]
#[must_use]
pub struct WorkerBuilder {
    store: Arc<dyn EventStore>,
    router: EventRouter,
    concurrency: usize,
    handler_limit: Duration,
    lease: Duration,
    poll_interval: Duration,
    drain_limit: Duration,
    backoff: Backoff,
    max_runs: u32,
    order: SessionOrder,
}

impl WorkerBuilder {
    pub(super) fn new(store: Arc<dyn EventStore>, router: EventRouter) -> Self {
        Self {
            store,
            router,
            concurrency: 16,
            handler_limit: Duration::from_secs(300),
            lease: Duration::from_secs(60),
            poll_interval: Duration::from_secs(1),
            drain_limit: Duration::from_secs(30),
            backoff: Backoff { first: Duration::from_secs(1), most: Duration::from_secs(3600), jitter: 0.2 },
            max_runs: 15,
            order: SessionOrder::default(),
        }
    }

    /// How many events are handled at once (default: 16).
    pub fn concurrency(mut self, events: usize) -> Self {
        self.concurrency = events;
        self
    }

    /// How long a handler may run (default: 5 min). Then it is stopped, and the event is handled again later.
    pub fn handler_limit(mut self, limit: Duration) -> Self {
        self.handler_limit = limit;
        self
    }

    /// How long a lease on an event lasts (default: 60 s). It is extended while the handler runs; after a crash the
    /// event is handled again when it has run out.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How often to look for events that are due again (default: 1 s). New ones are noticed at once where the store
    /// can tell.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// How long [`Worker::stop`] waits for handlers that run (default: 30 s).
    pub fn drain_limit(mut self, limit: Duration) -> Self {
        self.drain_limit = limit;
        self
    }

    /// How long to wait before an event is handled again (default: 1 s, doubled up to 1 h, less up to a fifth of it
    /// at random).
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How often an event is handled before it becomes a dead letter (default: 15, about 3 h with the default
    /// waits). Runs that ended without a result, because the process was killed, count too.
    pub fn max_runs(mut self, runs: u32) -> Self {
        self.max_runs = runs;
        self
    }

    /// What to heed among the events of one session (default: one at a time, in sequence among those that are here).
    pub fn session_order(mut self, order: SessionOrder) -> Self {
        self.order = order;
        self
    }

    /// Starts the worker in the current Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] for a wrong setting, or outside of a runtime.
    pub fn start(self) -> Result<Worker, WorkerError> {
        self.router.check()?;
        for (what, zero) in [
            ("concurrency", self.concurrency == 0),
            ("handler_limit", self.handler_limit.is_zero()),
            ("lease", self.lease.is_zero()),
            ("poll_interval", self.poll_interval.is_zero()),
            ("max_runs", self.max_runs == 0),
        ] {
            if zero {
                return Err(WorkerError::Zero(what));
            }
        }
        let runtime = Handle::try_current().map_err(|_| WorkerError::NoRuntime)?;
        let (stop, stopped) = watch::channel(false);
        let inner = Arc::new(Inner {
            store: self.store,
            handling: Handling::new(self.router, self.handler_limit),
            order: self.order,
            running: Turns::default(),
            concurrency: self.concurrency,
            lease: self.lease,
            poll_interval: self.poll_interval,
            drain_limit: self.drain_limit,
            backoff: self.backoff,
            max_runs: self.max_runs,
        });
        Ok(Worker { stop, task: runtime.spawn(inner.work(stopped)) })
    }
}

/// A [`WorkerBuilder`] that cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// Two handlers are registered for one event.
    #[error(transparent)]
    Handlers(#[from] RepeatedHandler),
    /// A setting of zero would mean that nothing is ever done.
    #[error("`{0}` must not be zero")]
    Zero(&'static str),
    /// There is no Tokio runtime to run in.
    #[error("a worker must be started inside of a Tokio runtime")]
    NoRuntime,
}
