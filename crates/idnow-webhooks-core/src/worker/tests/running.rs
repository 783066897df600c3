use super::*;

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
    NewEvent::from_json(&data.to_string())
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
