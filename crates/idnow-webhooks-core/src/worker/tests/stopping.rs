use super::*;

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
