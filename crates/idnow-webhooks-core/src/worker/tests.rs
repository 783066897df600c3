use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::*;
use crate::clock::Clock;
use crate::event::{Event, SessionCreated};
use crate::handler::{HandlerError, HandlerResult};
use crate::router::EventRouter;
use crate::store::{
    Backlog, Beginning, EventFilter, EventState, Insertion, MemoryStore, NewEvent, Order, Purge, Replay,
    StoredEvent,
};

const SECOND: Duration = Duration::from_secs(1);

/// Follows Tokio's time, which these tests let jump.
#[derive(Debug, Clone, Copy)]
struct TokioClock(Instant);

impl TokioClock {
    fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TokioClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::from_std(self.0.elapsed()).unwrap()
    }
}

fn event(id: &str) -> NewEvent {
    let data = json!({
        "eventId": id, "eventName": "session.created", "eventSequence": 1, "environment": "staging",
        "payload": {},
    });
    NewEvent::from_json(&data.to_string()).unwrap()
}

/// Notes when each run began, and does what the script says for it.
#[derive(Clone, Default)]
struct Runs(Arc<Mutex<Vec<(String, u64)>>>);

impl Runs {
    fn router<F>(&self, clock: TokioClock, result: F) -> EventRouter
    where
        F: Fn(usize) -> HandlerResult + Clone + Send + Sync + 'static,
    {
        let runs = self.clone();
        EventRouter::new().on_any(move |event| {
            let (runs, result) = (runs.clone(), result.clone());
            async move {
                let number = {
                    let mut runs = runs.0.lock().unwrap();
                    runs.push((event.id, clock.0.elapsed().as_secs()));
                    runs.len()
                };
                result(number)
            }
        })
    }

    fn seconds(&self) -> Vec<u64> {
        self.0.lock().unwrap().iter().map(|(_, at)| *at).collect()
    }
}

/// A clock that follows Tokio's, and a store that goes by it.
fn store() -> (Arc<MemoryStore>, TokioClock) {
    let clock = TokioClock::start();
    (Arc::new(MemoryStore::new().with_clock(clock)), clock)
}

fn claim(limit: usize, lease: Duration) -> Claim {
    Claim { limit, lease, order: SessionOrder::default() }
}

fn patient(store: &Arc<MemoryStore>, router: EventRouter) -> WorkerBuilder {
    let backoff = Backoff { first: SECOND, most: 8 * SECOND, jitter: 0.0 };
    Worker::builder(Arc::clone(store), router).backoff(backoff).poll_interval(SECOND)
}

async fn is_dead(store: &MemoryStore, id: &str) -> bool {
    let beginning = store.begin(event(id), SECOND).await.unwrap();
    matches!(beginning, Beginning::Buried)
}

#[tokio::test(start_paused = true)]
async fn new_events_are_handled_at_once_and_once() {
    let ((store, clock), runs) = (store(), Runs::default());
    let worker =
        patient(&store, runs.router(clock, |_| Ok(()))).poll_interval(3600 * SECOND).start().unwrap();
    sleep(5 * SECOND).await;
    for id in ["a", "b", "a"] {
        store.insert(event(id)).await.unwrap();
    }
    sleep(SECOND).await;
    assert_eq!(runs.seconds(), [5, 5]);
    worker.stop().await;
    assert_eq!(store.insert(event("a")).await.unwrap(), Insertion::Duplicate);
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_with_growing_waits_and_panics_are_failures() {
    let ((store, clock), runs) = (store(), Runs::default());
    let router = runs.router(clock, |number| match number {
        1 => Err(HandlerError::retry("first")),
        2 => panic!("second"),
        3 => Err(HandlerError::retry("third")),
        _ => Ok(()),
    });
    store.insert(event("a")).await.unwrap();
    let worker = patient(&store, router).start().unwrap();
    sleep(100 * SECOND).await;
    let waits: Vec<_> = runs.seconds().windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Doubled, and then up to a second until somebody looks.
    assert!(matches!(waits[..], [1 | 2, 2 | 3, 4 | 5]), "{waits:?}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_what_fails_for_good_or_too_often_or_cannot_be_read() {
    let (store, _) = store();
    let counts = Arc::new(Mutex::new(HashMap::<String, u32>::new()));
    let counted = Arc::clone(&counts);
    let router = EventRouter::new()
        .on_any(move |event| {
            *counted.lock().unwrap().entry(event.id.clone()).or_default() += 1;
            async move {
                match event.id.as_str() {
                    "permanent" => Err(HandlerError::permanent("never")),
                    "stubborn" => Err(HandlerError::retry("not now")),
                    _ => Ok(()),
                }
            }
        })
        .on(|_: Event<SessionCreated>| async { Ok(()) });
    for id in ["permanent", "stubborn", "unreadable"] {
        store.insert(event(id)).await.unwrap();
    }
    let worker = patient(&store, router).max_runs(3).start().unwrap();
    sleep(100 * SECOND).await;
    worker.stop().await;
    let counts = counts.lock().unwrap().clone();
    assert_eq!((counts["permanent"], counts["stubborn"], counts["unreadable"]), (1, 3, 1));
    for id in ["permanent", "stubborn", "unreadable"] {
        assert!(is_dead(&store, id).await, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn handlers_run_beside_each_other_up_to_the_limit() {
    let (store, _) = store();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (running, peak) = (Arc::clone(&now), Arc::clone(&most));
    let router = EventRouter::new().on_any(move |_| {
        let (running, peak) = (Arc::clone(&running), Arc::clone(&peak));
        async move {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(SECOND).await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    });
    for number in 0..40 {
        store.insert(event(&number.to_string())).await.unwrap();
    }
    let worker = patient(&store, router).concurrency(4).start().unwrap();
    sleep(Duration::from_millis(10_500)).await;
    assert_eq!(most.load(Ordering::SeqCst), 4);
    assert!(store.claim(claim(99, SECOND)).await.unwrap().is_empty(), "ten rounds of four are done");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_extended_while_the_handler_runs_and_taken_over_after_a_crash() {
    let ((store, clock), runs) = (store(), Runs::default());
    store.insert(event("crashed")).await.unwrap();
    // Somebody claimed it and was never heard of again.
    assert_eq!(store.claim(claim(1, 10 * SECOND)).await.unwrap().len(), 1);
    store.insert(event("slow")).await.unwrap();
    let noted = runs.clone();
    let router = EventRouter::new().on_any(move |event| {
        noted.0.lock().unwrap().push((event.id.clone(), clock.0.elapsed().as_secs()));
        async move {
            sleep(if event.id == "slow" { 60 * SECOND } else { SECOND }).await;
            Ok(())
        }
    });
    let start = || patient(&store, router.clone()).lease(9 * SECOND).start().unwrap();
    let (one, other) = (start(), start());
    sleep(100 * SECOND).await;
    let runs = runs.0.lock().unwrap().clone();
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert_eq!(runs[0], ("slow".to_owned(), 0));
    assert!(runs[1].0 == "crashed" && (10..=11).contains(&runs[1].1), "{runs:?}");
    one.stop().await;
    other.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_handlers_and_gives_back_what_does_not_end() {
    let (store, _) = store();
    let finished = Arc::new(AtomicUsize::new(0));
    let ended = Arc::clone(&finished);
    let router = EventRouter::new().on_any(move |event| {
        let ended = Arc::clone(&ended);
        async move {
            sleep(if event.id == "quick" { 3 * SECOND } else { 3600 * SECOND }).await;
            ended.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    });
    for id in ["quick", "endless"] {
        store.insert(event(id)).await.unwrap();
    }
    let worker =
        patient(&store, router).handler_limit(7200 * SECOND).drain_limit(10 * SECOND).start().unwrap();
    sleep(SECOND).await;
    let stopping = Instant::now();
    worker.stop().await;
    assert_eq!(stopping.elapsed().as_secs(), 10);
    assert_eq!(finished.load(Ordering::SeqCst), 1);
    let given_back = store.claim(claim(9, SECOND)).await.unwrap();
    assert_eq!(given_back.iter().map(|c| (&*c.lease.event_id, c.run)).collect::<Vec<_>>(), [("endless", 1)]);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_worker_stops_it() {
    let ((store, clock), runs) = (store(), Runs::default());
    drop(patient(&store, runs.router(clock, |_| Ok(()))).start().unwrap());
    sleep(SECOND).await;
    store.insert(event("a")).await.unwrap();
    sleep(100 * SECOND).await;
    assert!(runs.seconds().is_empty());
}

/// A store that can be switched off.
#[derive(Debug)]
struct Flaky {
    inner: Arc<MemoryStore>,
    down: Arc<AtomicBool>,
}

impl Flaky {
    fn up(&self) -> Result<&MemoryStore, StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("switched off".into()));
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl EventStore for Flaky {
    async fn insert(&self, event: NewEvent) -> Result<Insertion, StoreError> {
        self.up()?.insert(event).await
    }

    async fn begin(&self, event: NewEvent, lease: Duration) -> Result<Beginning, StoreError> {
        self.up()?.begin(event, lease).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<ClaimedEvent>, StoreError> {
        self.up()?.claim(claim).await
    }

    async fn extend(&self, lease: &Lease, lasts: Duration) -> Result<(), StoreError> {
        self.up()?.extend(lease, lasts).await
    }

    async fn complete(&self, lease: &Lease) -> Result<(), StoreError> {
        self.up()?.complete(lease).await
    }

    async fn retry(&self, lease: &Lease, wait: Duration, error: &str) -> Result<(), StoreError> {
        self.up()?.retry(lease, wait, error).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.up()?.release(lease).await
    }

    async fn bury(&self, lease: &Lease, error: &str) -> Result<(), StoreError> {
        self.up()?.bury(lease, error).await
    }

    async fn list(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
        self.up()?.list(filter).await
    }

    async fn get(&self, event_id: &str) -> Result<Option<StoredEvent>, StoreError> {
        self.up()?.get(event_id).await
    }

    async fn replay(&self, event_id: &str) -> Result<Replay, StoreError> {
        self.up()?.replay(event_id).await
    }

    async fn replay_dead(&self, limit: usize) -> Result<usize, StoreError> {
        self.up()?.replay_dead(limit).await
    }

    async fn purge(&self, purge: Purge) -> Result<usize, StoreError> {
        self.up()?.purge(purge).await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.up()?.backlog().await
    }

    async fn completed(&self) -> Result<u64, StoreError> {
        self.up()?.completed().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_while_costs_no_event_and_no_second_run() {
    let ((store, clock), runs) = (store(), Runs::default());
    let down = Arc::new(AtomicBool::new(true));
    let noted = runs.clone();
    let router = EventRouter::new().on_any(move |event| {
        noted.0.lock().unwrap().push((event.id, clock.0.elapsed().as_secs()));
        async {
            sleep(5 * SECOND).await;
            Ok(())
        }
    });
    store.insert(event("a")).await.unwrap();
    let flaky = Flaky { inner: Arc::clone(&store), down: Arc::clone(&down) };
    let worker = Worker::builder(flaky, router).lease(30 * SECOND).start().unwrap();
    sleep(60 * SECOND).await;
    assert!(runs.seconds().is_empty());
    down.store(false, Ordering::SeqCst);
    while runs.seconds().is_empty() {
        sleep(SECOND).await;
    }
    // Away while the handler ends, and back before the lease does.
    down.store(true, Ordering::SeqCst);
    sleep(15 * SECOND).await;
    down.store(false, Ordering::SeqCst);
    sleep(100 * SECOND).await;
    assert_eq!(runs.seconds().len(), 1);
    assert_eq!(store.insert(event("a")).await.unwrap(), Insertion::Duplicate);
    assert!(store.claim(claim(1, SECOND)).await.unwrap().is_empty());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_whose_lease_is_lost_is_stopped() {
    let (store, _) = store();
    let down = Arc::new(AtomicBool::new(false));
    let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (first, last) = (Arc::clone(&begun), Arc::clone(&ended));
    let router = EventRouter::new().on_any(move |_| {
        let last = Arc::clone(&last);
        first.fetch_add(1, Ordering::SeqCst);
        async move {
            sleep(50 * SECOND).await;
            last.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    });
    store.insert(event("a")).await.unwrap();
    let flaky = Flaky { inner: Arc::clone(&store), down: Arc::clone(&down) };
    let worker = Worker::builder(flaky, router).lease(9 * SECOND).start().unwrap();
    sleep(SECOND).await;
    down.store(true, Ordering::SeqCst);
    sleep(30 * SECOND).await;
    down.store(false, Ordering::SeqCst);
    sleep(200 * SECOND).await;
    assert_eq!(
        (begun.load(Ordering::SeqCst), ended.load(Ordering::SeqCst)),
        (2, 1),
        "stopped, and run again"
    );
    worker.stop().await;
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let builder = || Worker::builder(MemoryStore::new(), EventRouter::new());
    assert_eq!(builder().concurrency(0).start().unwrap_err(), WorkerError::Zero("concurrency"));
    assert_eq!(builder().max_runs(0).start().unwrap_err(), WorkerError::Zero("max_runs"));
    assert_eq!(builder().lease(Duration::ZERO).start().unwrap_err(), WorkerError::Zero("lease"));
    assert_eq!(builder().start().unwrap_err(), WorkerError::NoRuntime);
}

fn session_event(id: &str, sequence: u64) -> NewEvent {
    let data = json!({
        "eventId": id, "eventName": "session.created", "eventSequence": sequence, "environment": "staging",
        "payload": { "sessionId": "fe1941c2-bc45-4142-b516-fa0fc9fd7754" },
    });
    NewEvent::from_json(&data.to_string()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn events_of_one_session_are_handled_one_by_one_and_in_order_and_told_of_gaps() {
    let (store, clock) = store();
    let runs = Arc::new(Mutex::new(Vec::new()));
    let (noted, running) = (Arc::clone(&runs), Arc::new(AtomicUsize::new(0)));
    let router = EventRouter::new().on_any(move |event| {
        let (noted, running) = (Arc::clone(&noted), Arc::clone(&running));
        async move {
            assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0);
            let run = event.run().unwrap();
            noted.lock().unwrap().push((clock.0.elapsed().as_secs(), event.sequence, run.order));
            sleep(2 * SECOND).await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    });
    let order = SessionOrder::Sequence { grace: 30 * SECOND };
    let worker = patient(&store, router).session_order(order).start().unwrap();
    for (id, sequence) in [("c", 3), ("a", 1), ("e", 5)] {
        store.insert(session_event(id, sequence)).await.unwrap();
    }
    sleep(10 * SECOND).await;
    store.insert(session_event("b", 2)).await.unwrap();
    sleep(50 * SECOND).await;
    store.insert(session_event("d", 4)).await.unwrap();
    sleep(10 * SECOND).await;
    worker.stop().await;
    let runs = runs.lock().unwrap().clone();
    assert_eq!(
        runs,
        [
            (0, 1, Order::InSequence),
            (10, 2, Order::InSequence),
            (12, 3, Order::InSequence),
            (30, 5, Order::AfterGap),
            (60, 4, Order::Late),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_ends_no_run_is_a_dead_letter_in_the_end() {
    let ((store, clock), runs) = (store(), Runs::default());
    store.insert(event("a")).await.unwrap();
    for _ in 0..3 {
        // As if the process had been killed each time.
        assert_eq!(store.claim(claim(1, SECOND)).await.unwrap().len(), 1);
        sleep(2 * SECOND).await;
    }
    let worker = patient(&store, runs.router(clock, |_| Ok(()))).max_runs(3).start().unwrap();
    sleep(5 * SECOND).await;
    worker.stop().await;
    assert!(runs.seconds().is_empty());
    let event = store.get("a").await.unwrap().unwrap();
    assert_eq!(event.state, EventState::Dead);
    assert_eq!(event.error.as_deref(), Some("3 runs ended without a result"));
}

#[tokio::test(start_paused = true)]
async fn a_worker_is_back_soon_after_its_store_is() {
    let ((store, clock), runs) = (store(), Runs::default());
    let down = Arc::new(AtomicBool::new(true));
    let flaky = Flaky { inner: Arc::clone(&store), down: Arc::clone(&down) };
    let worker = Worker::builder(flaky, runs.router(clock, |_| Ok(()))).start().unwrap();
    store.insert(event("a")).await.unwrap();
    sleep(7200 * SECOND).await;
    down.store(false, Ordering::SeqCst);
    sleep(6 * SECOND).await;
    assert_eq!(runs.seconds().len(), 1);
    worker.stop().await;
}

/// So many seconds ahead of another.
#[derive(Debug)]
struct Jumping(TokioClock, Arc<AtomicU32>);

impl Clock for Jumping {
    fn now(&self) -> DateTime<Utc> {
        self.0.now() + TimeDelta::seconds(self.1.load(Ordering::SeqCst).into())
    }
}

/// A clock that jumps ends leases before their time.
#[tokio::test]
async fn an_event_never_runs_twice_at_once_here() {
    let ahead = Arc::new(AtomicU32::new(0));
    let store = Arc::new(MemoryStore::new().with_clock(Jumping(TokioClock::start(), Arc::clone(&ahead))));
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (Arc::clone(&running), Arc::clone(&most));
    let router = EventRouter::new().on_any(move |_| {
        let (now, peak) = (Arc::clone(&now), Arc::clone(&peak));
        async move {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(Duration::from_millis(400)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    });
    store.insert(event("a")).await.unwrap();
    let worker =
        Worker::builder(Arc::clone(&store), router).poll_interval(Duration::from_millis(5)).start().unwrap();
    while running.load(Ordering::SeqCst) == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    ahead.store(3600, Ordering::SeqCst);
    while store.get("a").await.unwrap().unwrap().runs < 2 {
        sleep(Duration::from_millis(1)).await;
    }
    sleep(Duration::from_millis(100)).await;
    assert_eq!(most.load(Ordering::SeqCst), 1, "and not started again");
    worker.stop().await;
}

/// Two threads: one that the handler blocks, and one that extends its lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_blocks_its_thread_keeps_its_lease() {
    let store = Arc::new(MemoryStore::new());
    let router = EventRouter::new().on_any(|_| async {
        std::thread::sleep(3 * SECOND);
        Ok(())
    });
    store.insert(event("a")).await.unwrap();
    let worker = Worker::builder(Arc::clone(&store), router).lease(SECOND).start().unwrap();
    while store.backlog().await.unwrap().waiting > 0 {
        sleep(Duration::from_millis(1)).await;
    }
    sleep(Duration::from_millis(2200)).await;
    assert!(store.claim(claim(1, SECOND)).await.unwrap().is_empty(), "the lease lasts");
    worker.stop().await;
    assert_eq!(store.completed().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_a_handler_that_blocks() {
    let store = Arc::new(MemoryStore::new());
    let router = EventRouter::new().on_any(|event| async move {
        if event.id == "blocks" {
            std::thread::sleep(Duration::from_secs(4));
        } else {
            sleep(3600 * SECOND).await;
        }
        Ok(())
    });
    for id in ["blocks", "waits"] {
        store.insert(event(id)).await.unwrap();
    }
    let worker = Worker::builder(Arc::clone(&store), router)
        .handler_limit(7200 * SECOND)
        .drain_limit(Duration::from_millis(100))
        .start()
        .unwrap();
    while store.backlog().await.unwrap().waiting > 0 {
        sleep(Duration::from_millis(1)).await;
    }
    let stopping = Instant::now();
    worker.stop().await;
    assert!(stopping.elapsed() < 3 * SECOND, "{:?}", stopping.elapsed());
    let state = async |id| store.get(id).await.unwrap().unwrap().state;
    assert_eq!(state("waits").await, EventState::Waiting, "given back");
    assert_eq!(state("blocks").await, EventState::Running, "it still runs");
}

#[tokio::test(start_paused = true)]
async fn the_alarm_knows_which_failure_was_the_last() {
    let (store, _) = store();
    let told = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&told);
    let router = EventRouter::new().on_any(|_| async { Err(HandlerError::retry("not now")) }).on_failure(
        move |failure| {
            noted.lock().unwrap().push(failure.permanent);
            async {}
        },
    );
    store.insert(event("a")).await.unwrap();
    let worker = patient(&store, router).max_runs(3).start().unwrap();
    sleep(60 * SECOND).await;
    worker.stop().await;
    assert_eq!(*told.lock().unwrap(), [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_without_an_end_is_no_reason_to_panic() {
    let ((store, clock), runs) = (store(), Runs::default());
    store.insert(event("a")).await.unwrap();
    let worker = patient(&store, runs.router(clock, |_| Ok(()))).lease(Duration::MAX).start().unwrap();
    sleep(5 * SECOND).await;
    worker.stop().await;
    assert_eq!(store.completed().await.unwrap(), 1);
}

/// The next run may be claimed before the task of the last one has quite ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_may_come_at_once() {
    let store = Arc::new(MemoryStore::new());
    let router = EventRouter::new().on_any(|_| async { Err(HandlerError::retry("not now")) });
    store.insert(event("a")).await.unwrap();
    let backoff = Backoff { first: Duration::ZERO, most: Duration::ZERO, jitter: 0.0 };
    let worker = Worker::builder(Arc::clone(&store), router)
        .backoff(backoff)
        .poll_interval(Duration::from_micros(10))
        .max_runs(500)
        .start()
        .unwrap();
    let dead = async {
        while store.backlog().await.unwrap().dead == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(30 * SECOND, dead).await.expect("no run is left out");
    worker.stop().await;
    assert_eq!(store.get("a").await.unwrap().unwrap().runs, 500);
}
