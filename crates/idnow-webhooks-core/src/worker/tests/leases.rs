use super::*;

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

/// A handler that has committed the store's transaction may have more to do.
#[tokio::test(start_paused = true)]
async fn a_handler_whose_event_is_completed_under_its_own_lease_runs_to_its_end() {
    let (store, clock) = store();
    let (runs, ended) = (Runs::default(), Arc::new(AtomicBool::new(false)));
    let (own, runs_here, end) = (Arc::clone(&store), runs.clone(), Arc::clone(&ended));
    let router = EventRouter::new().on_any(move |event| {
        let (store, end) = (Arc::clone(&own), Arc::clone(&end));
        runs_here.0.lock().unwrap().push((event.id.clone(), clock.0.elapsed().as_secs()));
        async move {
            store.complete(&event.run().unwrap().lease).await?;
            sleep(60 * SECOND).await;
            end.store(true, Ordering::SeqCst);
            Ok(())
        }
    });
    store.insert(event("a")).await.unwrap();
    let worker = patient(&store, router).lease(9 * SECOND).start().unwrap();
    sleep(100 * SECOND).await;
    worker.stop().await;
    assert!(ended.load(Ordering::SeqCst), "it was stopped by the heartbeat");
    assert_eq!(runs.seconds().len(), 1);
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
