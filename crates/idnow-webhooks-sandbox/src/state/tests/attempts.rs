use super::*;

#[tokio::test]
async fn a_delivery_is_retried_until_it_is_dead_and_again_when_it_is_retriggered() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(1).await;
    for (number, retries) in [(1, 0), (2, 1), (3, 2)] {
        let due = bench.take_one(endpoint).await;
        assert_eq!((due.number, due.retries), (number, retries));
        let sending = bench.delivery(due.delivery).await;
        assert_eq!((sending.state, sending.attempts), (DeliveryState::Sending, number));
        assert_eq!(sending.next_attempt_at, None);
        let before = clock::now();
        bench.record(&due, Verdict::Retry).await;
        let after = bench.delivery(due.delivery).await;
        if retries < 2 {
            assert_eq!(after.state, DeliveryState::Waiting);
            // 1 s and 2 s, ten times as fast.
            let wait = (after.next_attempt_at.unwrap() - before).num_milliseconds();
            let expected = 100 << retries;
            assert!((expected..expected + 80).contains(&wait), "{wait} ms");
            assert_eq!(bench.counts(), [1, 0, 0, 0, 0]);
        } else {
            assert_eq!(after.state, DeliveryState::Dead);
            assert_eq!(after.dead_reason, Some(DeadReason::RetriesExhausted));
            assert!(after.finished_at.is_some() && after.next_attempt_at.is_none());
            assert_eq!(bench.counts(), [0, 0, 0, 1, 0]);
        }
    }
    let id = 1;
    let again = bench.database().write(Retrigger(id)).await.unwrap();
    assert_eq!((again.state, again.dead_reason, again.finished_at), (DeliveryState::Waiting, None, None));
    assert_eq!(bench.counts(), [1, 0, 0, 0, 0]);
    let due = bench.take_one(endpoint).await;
    assert_eq!((due.number, due.retries), (4, 0), "numbers go on, retries begin anew");
    bench.record(&due, Verdict::Delivered).await;
    assert_eq!(bench.delivery(id).await.state, DeliveryState::Delivered);
    let attempts = bench.attempts(id).await;
    assert_eq!(attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(
        attempts.iter().all(|a| a.duration_ms == 7 && a.answer == Some(OK) && a.url == "https://a.example/")
    );
    let refused = bench.database().write(Retrigger(id)).await.unwrap_err().to_string();
    assert!(refused.contains("it was delivered"), "{refused}");
    assert_eq!(bench.counts(), [0, 0, 1, 0, 0]);
}

#[tokio::test]
async fn an_outcome_is_noted_once() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(1).await;
    let first = bench.take_one(endpoint).await;
    bench.record(&first, Verdict::Retry).await;
    bench.record(&first, Verdict::Delivered).await;
    assert_eq!(bench.delivery(1).await.state, DeliveryState::Waiting);
    let second = bench.take_one(endpoint).await;
    bench.record(&first, Verdict::Delivered).await;
    assert_eq!(bench.delivery(1).await.state, DeliveryState::Sending);
    bench.record(&second, Verdict::Delivered).await;
    assert_eq!(bench.attempts(1).await.len(), 2);
    assert_eq!(bench.counts(), [0, 0, 1, 0, 0]);
}

#[tokio::test]
async fn what_is_taken_is_the_longest_due_and_all_that_the_token_tells() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    let sessions = bench.sessions(5).await;
    let taken = bench.take(endpoint, 3).await;
    assert_eq!(taken.due.iter().map(|due| due.delivery).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(taken.endpoint.url, "https://a.example/");
    for (due, session) in taken.due.iter().zip(&sessions) {
        let event = &due.event;
        assert_eq!((event.session_id, event.flow_id), (session.id, bench.flow));
        assert_eq!((event.sequence, event.environment.as_str()), (1, "staging"));
        assert_eq!(event.name, crate::model::EventKind::Created);
    }
    // Two lanes never get the same.
    let rest = bench.take(endpoint, 3).await;
    assert_eq!(rest.due.iter().map(|due| due.delivery).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(rest.next, None);
}

#[tokio::test]
async fn concurrent_calls_share_a_transaction_and_get_their_own() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let mut endpoints = Vec::new();
    for number in 0..8 {
        endpoints.push(bench.endpoint(&format!("https://{number}.example/")).await);
    }
    bench.sessions(20).await;
    let calls = endpoints.iter().flat_map(|endpoint| [bench.take(*endpoint, 15), bench.take(*endpoint, 15)]);
    let taken = futures_util::future::join_all(calls).await;
    let mut all: Vec<_> = taken.iter().flat_map(|taken| taken.due.iter().map(|due| due.delivery)).collect();
    all.sort_unstable();
    all.dedup();
    let count: usize = taken.iter().map(|taken| taken.due.len()).sum();
    assert_eq!(all.len(), count, "nothing twice");
    assert!(count >= 8 * 15);
    let records = taken.iter().flat_map(|taken| &taken.due).map(|due| bench.record(due, Verdict::Delivered));
    futures_util::future::join_all(records).await;
    assert_eq!(bench.counts(), [160 - count as u64, 0, count as u64, 0, 0]);
}

#[tokio::test]
async fn a_delivery_tells_the_last_answer_whatever_came_after_it() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(1).await;
    let due = bench.take_one(endpoint).await;
    assert_eq!(bench.delivery(1).await.last_answered, None);
    bench.record(&due, Verdict::Retry).await;
    let first = bench.attempts(1).await.remove(0);
    // One that was cut off, and one that is under way.
    drop(bench.take_one(endpoint).await);
    let due = bench.take_one(endpoint).await;
    let delivery = bench.delivery(1).await;
    assert_eq!((delivery.attempts, delivery.last_answered.as_ref()), (3, Some(&first)));
    let mut reader = bench.database().reader().await.unwrap();
    let listed = rows::list(&mut reader, &DeliveryFilter::default(), i64::MAX, 10).await.unwrap();
    assert_eq!(listed, [delivery]);
    bench.record(&due, Verdict::Delivered).await;
    assert_eq!(bench.delivery(1).await.last_answered, bench.attempts(1).await.pop());
}
