//! Runs the handlers for events that wait in a store.

mod builder;
mod job;

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::handler::panic_message;
use crate::handling::Handling;
use crate::store::call::{guarded, measured};
use crate::store::{Claim, ClaimedEvent, EventStore, Lease, SessionOrder, StoreError};
use crate::telemetry;
use crate::turns::Turns;

pub use builder::{WorkerBuilder, WorkerError};
use job::{Heartbeat, in_future};

/// How long to wait after a claim that failed: a store that is back must not wait long for its workers.
const CLAIM_AGAIN: Backoff =
    Backoff { first: Duration::from_millis(100), most: Duration::from_secs(5), jitter: 0.2 };
/// How long handlers that were stopped may take to notice it.
const STOP_LIMIT: Duration = Duration::from_secs(1);
/// Keeps a panic that comes back at once from taking a whole core.
const AFTER_PANIC: Duration = Duration::from_secs(1);
/// How often the state of the queue is noted.
const OBSERVE: Duration = Duration::from_secs(15);

/// Takes events from a store and runs their handlers, in tasks of its own.
///
/// An event is handled until it succeeds, fails for good, or has failed too often; the last two make it a dead
/// letter. Events of different sessions are handled concurrently and in no particular order; for those of one session
/// see [`session_order`](WorkerBuilder::session_order). Whoever puts them into the store is a
/// [`Receiver`](crate::Receiver) in queued mode, here or in another process.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
///
/// use idnow_webhooks_core::event::{Event, SessionCompleted};
/// use idnow_webhooks_core::store::MemoryStore;
/// use idnow_webhooks_core::{EventRouter, Worker};
/// use idnow_webhooks_testkit::{Provider, SampleEvent};
/// use tokio::sync::mpsc;
///
/// let (sender, mut handled) = mpsc::unbounded_channel();
/// let handlers = EventRouter::new().on(move |event: Event<SessionCompleted>| {
///     let sent = sender.send(event.id);
///     async move { Ok(sent?) }
/// });
/// let store = Arc::new(MemoryStore::new());
/// let worker = Worker::builder(Arc::clone(&store), handlers).start()?;
///
/// let provider = Provider::new();
/// let receiver = provider.receiver().queued(store).build()?;
/// let event = SampleEvent::completed();
/// assert_eq!(provider.deliver(&receiver, &event).await.code(), "stored");
/// assert_eq!(handled.recv().await.as_deref(), Some(event.event_id()));
/// worker.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping a worker stops it"]
pub struct Worker {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Worker {
    /// Begins to set up a worker for a store.
    pub fn builder(store: impl EventStore, handlers: crate::EventRouter) -> WorkerBuilder {
        WorkerBuilder::new(Arc::new(store), handlers)
    }

    /// Takes no more events, waits for the handlers that run and for [`on_failure`](crate::EventRouter::on_failure), and
    /// gives back the events of handlers that do not end within the [drain limit](WorkerBuilder::drain_limit): they are
    /// handled again later, by whoever claims them.
    ///
    /// # Cancel safety
    ///
    /// The worker stops even if the future is dropped.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // It fails only if the task was aborted with its runtime.
        let _ = self.task.await;
    }
}

/// What a worker works with. Dropping the [`Worker`] stops it, as `stop` does.
#[derive(Debug)]
struct Inner {
    store: Arc<dyn EventStore>,
    handling: Handling,
    concurrency: usize,
    lease: Duration,
    poll_interval: Duration,
    drain_limit: Duration,
    backoff: Backoff,
    max_runs: u32,
    order: SessionOrder,
    running: Turns,
}

/// The handlers that run, and the leases on their events.
#[derive(Default)]
struct Jobs {
    tasks: JoinSet<()>,
    leases: HashMap<Id, Lease>,
}

impl Jobs {
    fn start(&mut self, inner: &Arc<Inner>, event: ClaimedEvent) {
        let lease = event.lease.clone();
        let heartbeat = Heartbeat::start(inner, &lease);
        let task = self.tasks.spawn(Arc::clone(inner).job(event, heartbeat));
        self.leases.insert(task.id(), lease);
    }

    /// Waits until one has ended, and takes note of all that have; for ever if none runs.
    async fn ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.forget(ended),
            None => std::future::pending().await,
        }
        // So that one claim fills all the places that are free.
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.forget(ended);
        }
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let (id, panic) = match ended {
            Ok((id, ())) => (id, None),
            Err(error) => (error.id(), error.try_into_panic().ok()),
        };
        let lease = self.leases.remove(&id);
        if let (Some(lease), Some(panic)) = (lease, panic) {
            telemetry::work::job_panicked(&lease, panic_message(&*panic));
        }
    }
}

impl Inner {
    async fn work(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut jobs = Jobs::default();
        // A panic here can only come from a defect, or from the store's `changed`.
        // Either way events must go on being handled, those among them that run.
        let mut turns = AssertUnwindSafe(self.turns(&mut jobs, &mut stop, None)).catch_unwind().await;
        while let Err(panic) = turns {
            turns = AssertUnwindSafe(self.turns(&mut jobs, &mut stop, Some(panic))).catch_unwind().await;
        }
        if !*stop.borrow() {
            // Nothing else would tell: deliveries are stored and answered as before.
            telemetry::work::worker_dropped();
        }
        let until = in_future(self.drain_limit);
        // Each panic comes with the end of a job, so there are no more of them than jobs.
        while let Err(panic) = AssertUnwindSafe(self.drain(&mut jobs, until)).catch_unwind().await {
            telemetry::work::worker_panicked(panic_message(&*panic));
        }
        self.give_back(jobs).await;
    }

    /// Works until it is to stop.
    async fn turns(
        self: &Arc<Self>,
        jobs: &mut Jobs,
        stop: &mut watch::Receiver<bool>,
        after: Option<Box<dyn Any + Send>>,
    ) {
        if let Some(panic) = after {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(AFTER_PANIC) => {}
            }
            telemetry::work::worker_panicked(panic_message(&*panic));
        }
        tokio::select! {
            () = self.claim_until(jobs, stop) => {}
            () = self.observe() => {}
        }
    }

    async fn claim_until(self: &Arc<Self>, jobs: &mut Jobs, stop: &mut watch::Receiver<bool>) {
        let mut failures = 0;
        loop {
            let free = self.concurrency.saturating_sub(jobs.leases.len());
            let claimed = if free == 0 { Ok(Vec::new()) } else { self.claim(free).await };
            let wait = match claimed {
                Ok(events) => {
                    failures = 0;
                    for event in events {
                        jobs.start(self, event);
                    }
                    self.poll_interval
                }
                Err(error) => {
                    failures += 1;
                    telemetry::work::claim_failed(&error);
                    CLAIM_AGAIN.wait(failures)
                }
            };
            let full = jobs.leases.len() >= self.concurrency;
            tokio::select! {
                // Also when the worker was dropped.
                _ = stop.wait_for(|stop| *stop) => break,
                () = jobs.ended() => {}
                () = self.store.changed(), if !full && failures == 0 => {}
                () = tokio::time::sleep(wait), if !full => {}
            }
        }
    }

    async fn claim(&self, limit: usize) -> Result<Vec<ClaimedEvent>, StoreError> {
        measured("claim", self.store.claim(Claim { limit, lease: self.lease, order: self.order })).await
    }

    /// Notes from time to time what there is to do.
    async fn observe(&self) {
        loop {
            telemetry::work::backlog(&guarded(self.store.backlog()).await);
            tokio::time::sleep(OBSERVE).await;
        }
    }

    async fn drain(&self, jobs: &mut Jobs, until: Instant) {
        let all = async {
            while !jobs.leases.is_empty() {
                jobs.ended().await;
            }
            self.handling.told().await;
        };
        // Those that are left are given back.
        let _ = tokio::time::timeout_at(until, all).await;
    }

    /// Stops what still runs.
    async fn give_back(&self, mut jobs: Jobs) {
        if jobs.leases.is_empty() {
            return;
        }
        jobs.tasks.abort_all();
        let mut stopped = Vec::new();
        let all = async {
            while let Some(ended) = jobs.tasks.join_next_with_id().await {
                let (id, aborted) = ended.map_or_else(|error| (error.id(), true), |(id, ())| (id, false));
                stopped.extend(jobs.leases.remove(&id).filter(|_| aborted));
            }
        };
        let _ = tokio::time::timeout(STOP_LIMIT, all).await;
        // One that blocks its thread runs on, so nobody else may have its event yet.
        for lease in jobs.leases.values() {
            telemetry::work::not_stopped(lease);
        }
        for lease in &stopped {
            let started = Instant::now();
            let released = guarded(self.store.release(lease)).await;
            telemetry::work::store_call("release", &released, started);
            if let Err(error) = released {
                telemetry::work::release_failed(lease, &error);
            }
        }
    }
}

#[cfg(test)]
mod tests;
