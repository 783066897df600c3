use super::*;

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

    async fn park(&self, token: ParkedToken, limits: ParkLimits) -> Result<ParkOutcome, StoreError> {
        self.up()?.park(token, limits).await
    }

    async fn parked(&self, after: i64, limit: usize) -> Result<Vec<ParkedToken>, StoreError> {
        self.up()?.parked(after, limit).await
    }

    async fn unpark(&self, id: &str) -> Result<bool, StoreError> {
        self.up()?.unpark(id).await
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
