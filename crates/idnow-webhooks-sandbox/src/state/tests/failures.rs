use super::*;

#[tokio::test]
async fn what_was_under_way_when_the_process_ended_is_due_again_under_a_new_number() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(3).await;
    let taken = bench.take(endpoint, 2).await;
    assert_eq!(taken.due.len(), 2);
    assert!(taken.next.unwrap() <= clock::now(), "one more is due");
    bench.record(&taken.due[0], Verdict::Delivered).await;
    let flow = bench.close().await;

    let bench = open(&path, Some(flow)).await;
    assert_eq!(bench.counts(), [2, 0, 1, 0, 0]);
    let mut numbers: Vec<_> =
        bench.take(endpoint, 10).await.due.iter().map(|due| (due.delivery, due.number)).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [(2, 2), (3, 1)]);
    let attempts = bench.attempts(2).await;
    assert_eq!(
        attempts.iter().map(|attempt| (attempt.number, attempt.answer.clone())).collect::<Vec<_>>(),
        [(1, None), (2, None)]
    );
    drop(taken);
}

#[tokio::test]
async fn an_attempt_that_is_dropped_is_due_again() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(1).await;
    let signal = bench.state.signal(endpoint);
    let due = bench.take_one(endpoint).await;
    assert!(bench.take(endpoint, 10).await.due.is_empty());
    signal.notified().await;
    drop(due);
    tokio::time::timeout(Duration::from_secs(10), signal.notified()).await.expect("the lane is told");
    let due = bench.take_one(endpoint).await;
    assert_eq!((due.number, due.retries), (2, 0), "it has used up no retry");
    bench.record(&due, Verdict::Delivered).await;
    drop(due);
    assert_eq!(bench.delivery(1).await.state, DeliveryState::Delivered);
    assert_eq!(bench.counts(), [0, 0, 1, 0, 0]);
}

#[tokio::test]
async fn a_disk_that_fails_is_an_error_and_not_the_end() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(1).await;
    let due = bench.take_one(endpoint).await;
    // Another file in the place of the database: what is written to the old one would be lost.
    let aside = path.with_extension("aside");
    std::fs::rename(&path, &aside).unwrap();
    for _ in 0..2 {
        let error = bench.state.record(&due, &made(Verdict::Delivered)).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        assert!(error.to_string().contains("is gone"), "{error}");
    }
    std::fs::rename(&aside, &path).unwrap();
    bench.record(&due, Verdict::Delivered).await;
    assert_eq!(bench.counts(), [0, 0, 1, 0, 0]);
}

#[tokio::test]
async fn a_full_disk_is_an_error_until_there_is_space_again() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(1).await;
    let due = bench.take_one(endpoint).await;
    // It holds for the connection, which is not used again after a failure.
    bench.database().write(crate::database::tests::Raw("PRAGMA max_page_count = 1")).await.unwrap();
    let runs = vec![&[] as &[_]; 500];
    let create = Create { flow: bench.flow, environment: "staging".into(), ttl: 1, runs };
    let error = bench.database().write(create).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("no space is left"), "{error}");
    assert_eq!(bench.counts(), [0, 1, 0, 0, 0]);
    bench.record(&due, Verdict::Delivered).await;
    bench.sessions(500).await;
    assert_eq!(bench.counts(), [500, 0, 1, 0, 0]);
}

/// SQLite fails in the middle of a transaction, in which something was done already.
#[tokio::test]
async fn a_transaction_that_fails_leaves_nothing_behind() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(2).await;
    let taken = bench.take(endpoint, 1).await;
    // Found by the writer as it would find a damaged file: a trigger that fails.
    let spoil = "CREATE TRIGGER spoil BEFORE INSERT ON deliveries BEGIN SELECT raise(FAIL, 'spoilt'); END";
    bench.database().write(crate::database::tests::Raw(spoil)).await.unwrap();
    let create = || Create { flow: bench.flow, environment: "staging".into(), ttl: 1, runs: vec![&[]] };
    let delivered = made(Verdict::Delivered);
    let both = futures_util::future::join(
        bench.state.record(&taken.due[0], &delivered),
        bench.database().write(create()),
    );
    let (recorded, created) = both.await;
    assert!(created.unwrap_err().to_string().contains("spoilt"));
    recorded.unwrap();
    assert_eq!(bench.counts(), [1, 0, 1, 0, 0]);
    bench.database().write(crate::database::tests::Raw("DROP TRIGGER spoil")).await.unwrap();
    assert_eq!(bench.counts(), [1, 0, 1, 0, 0]);
    let created = bench.database().write(create()).await.unwrap();
    let mut reader = bench.database().reader().await.unwrap();
    let all = crate::database::sessions::list(
        &mut reader,
        &crate::model::SessionFilter::default(),
        i64::MAX,
        0,
        10,
    )
    .await
    .unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].1, created[0]);
}

#[tokio::test]
async fn calls_after_the_end_are_told_so() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    let state = bench.state.clone();
    bench.close().await;
    let error = state.take_due(endpoint, 1).await.unwrap_err();
    assert_eq!(error.to_string(), "the sandbox has stopped");
    assert!(state.database().reader().await.is_err());
}
