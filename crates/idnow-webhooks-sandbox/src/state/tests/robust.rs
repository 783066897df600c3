use super::*;
use crate::database::sessions::{self, Drive, Expire};
use crate::database::tests::Raw;
use crate::model::{Outcome, SessionStatus, Step};

const COMPLETE: Step = Step::Complete { outcome: Outcome::Accepted };

async fn raw(bench: &Bench, sql: &'static str) {
    bench.database().write(Raw(sql)).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_written_fails_alone() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(3).await;
    let taken = bench.take(endpoint, 3).await;
    raw(
        &bench,
        "CREATE TRIGGER spoil BEFORE INSERT ON attempts WHEN NEW.delivery = 2
             BEGIN SELECT raise(FAIL, 'spoilt'); END",
    )
    .await;
    let create = Create { flow: bench.flow, environment: "staging".into(), ttl: 1, runs: vec![&[]] };
    let made = made(Verdict::Delivered);
    let record = |due| bench.state.record(due, &made);
    let (first, second, third, created) = tokio::join!(
        record(&taken.due[0]),
        record(&taken.due[1]),
        record(&taken.due[2]),
        bench.database().write(create)
    );
    first.unwrap();
    third.unwrap();
    assert_eq!(created.unwrap().len(), 1);
    let error = second.unwrap_err();
    assert!(error.to_string().contains("spoilt"), "{error}");
    assert_eq!(bench.counts(), [1, 1, 2, 0, 0]);
    assert!(bench.attempts(1).await[0].answer.is_some());
    raw(&bench, "DROP TRIGGER spoil").await;
    bench.record(&taken.due[1], Verdict::Delivered).await;
    assert_eq!(bench.counts(), [1, 0, 3, 0, 0]);
}

#[tokio::test]
async fn an_attempt_that_cannot_begin_does_not_keep_others_from_it() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    let other = bench.endpoint("https://b.example/").await;
    bench.sessions(1).await;
    raw(
        &bench,
        "CREATE TRIGGER spoil BEFORE UPDATE ON deliveries WHEN NEW.id = 1 AND NEW.state = 1
             BEGIN SELECT raise(FAIL, 'spoilt'); END",
    )
    .await;
    let (spoilt, fine) = tokio::join!(bench.state.take_due(endpoint, 5), bench.state.take_due(other, 5));
    assert!(spoilt.unwrap_err().to_string().contains("spoilt"));
    let fine = fine.unwrap();
    assert_eq!(fine.due.iter().map(|due| (due.delivery, due.number)).collect::<Vec<_>>(), [(2, 1)]);
    assert_eq!(bench.counts(), [1, 1, 0, 0, 0]);
    raw(&bench, "DROP TRIGGER spoil").await;
    // What was begun in vain is nobody's: only the attempt that was really begun is under way.
    let due = bench.take_one(endpoint).await;
    assert_eq!((due.delivery, due.number), (1, 1));
    bench.sessions(1).await;
    assert_eq!(bench.counts(), [2, 2, 0, 0, 0]);
}

#[tokio::test]
async fn what_cannot_be_read_is_put_off_and_the_rest_is_sent() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(3).await;
    raw(&bench, "UPDATE events SET last_step = 'nonsense' WHERE id = 1").await;
    let taken = bench.take(endpoint, 1).await;
    assert_eq!(taken.due.iter().map(|due| due.delivery).collect::<Vec<_>>(), [2]);
    let taken = bench.take(endpoint, 10).await;
    assert_eq!(taken.due.iter().map(|due| due.delivery).collect::<Vec<_>>(), [3]);
    let spoilt = bench.delivery(1).await;
    assert_eq!((spoilt.state, spoilt.attempts), (DeliveryState::Waiting, 0));
    let wait = spoilt.next_attempt_at.unwrap() - clock::now();
    assert!((350..=360).contains(&wait.num_seconds()), "an hour, ten times as fast: {wait}");
    assert_eq!(bench.counts(), [1, 2, 0, 0, 0]);
}

#[tokio::test]
async fn what_waits_longer_than_any_wait_is_due() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(3).await;
    // As if the clock had been set back: by an hour and by a minute. The longest wait is six minutes here.
    let now = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)";
    for (delivery, ahead) in [(1, 3_600_000_000_i64), (2, 60_000_000)] {
        let update = format!("UPDATE deliveries SET next_at = {now} + {ahead} WHERE id = {delivery}");
        raw(&bench, update.leak()).await;
    }
    let taken = bench.take(endpoint, 10).await;
    let mut ids: Vec<_> = taken.due.iter().map(|due| due.delivery).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 3]);
    assert!((50..=60).contains(&(taken.next.unwrap() - clock::now()).num_seconds()));
}

/// The clock was set back, and what waits within the longest wait fills all places.
#[tokio::test]
async fn what_waits_longer_than_any_wait_is_due_however_many_wait_before_it() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(9).await;
    raw(
        &bench,
        "UPDATE deliveries SET next_at = next_at + 60000000 WHERE id IN (2, 3, 4, 5);
         UPDATE deliveries SET next_at = next_at + 3600000000 WHERE id > 5",
    )
    .await;
    let ids = |taken: &Taken| taken.due.iter().map(|due| due.delivery).collect::<Vec<_>>();
    // In the first rows are 1 to 3; then 2 and 3; then 2 to 8, and only 9 is behind those.
    let first = bench.take(endpoint, 2).await;
    assert_eq!(ids(&first), [1, 6]);
    let second = bench.take(endpoint, 1).await;
    assert_eq!(ids(&second), [7]);
    let third = bench.take(endpoint, 4).await;
    assert_eq!(ids(&third), [8, 9]);
    assert!((50..=60).contains(&(third.next.unwrap() - clock::now()).num_seconds()));
    assert_eq!(bench.counts(), [4, 5, 0, 0, 0]);
}

#[tokio::test]
async fn who_comes_second_to_the_same_endpoint_is_told_to_come_again() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(2).await;
    let take = || bench.state.take_due(endpoint, 1);
    let (first, second) = tokio::join!(take(), take());
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.due.len(), second.due.len()), (1, 0), "they were served by one commit");
    assert!(second.next.expect("one waits") <= clock::now());
}

/// It would also be looked for again and again, without a pause.
#[tokio::test]
async fn a_session_that_cannot_be_read_does_not_keep_others_from_expiring() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let create = || Create { flow: bench.flow, environment: "staging".into(), ttl: 1, runs: vec![&[]] };
    for _ in 0..3 {
        bench.database().write(create()).await.unwrap();
    }
    let other = bench.database().write(create()).await.unwrap().remove(0);
    raw(&bench, "UPDATE sessions SET last_step = 'nonsense' WHERE id < 4").await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    let expire = || bench.database().write(Expire { limit: 2 });
    let next = expire().await.unwrap();
    assert!(next.unwrap() <= clock::now().timestamp_micros(), "it was not looked at all of them");
    let next = expire().await.unwrap().unwrap() - clock::now().timestamp_micros();
    assert!((3_500_000_000..=3_600_000_000).contains(&next), "{next}");
    let mut reader = bench.database().reader().await.unwrap();
    let now = sessions::by_id(&mut reader, other.id).await.unwrap().unwrap();
    assert_eq!(now.status, SessionStatus::Expired);
    drop(reader);
    let tally = bench.database().tally();
    assert_eq!(tally.session_count(SessionStatus::Created), 3);
    // They end like any other once they can be read again.
    raw(&bench, "UPDATE sessions SET last_step = NULL, expires_at = expires_at - 3600000000").await;
    while expire().await.unwrap().is_some() {}
    assert_eq!(bench.database().tally().session_count(SessionStatus::Expired), 4);
}

#[tokio::test]
async fn a_session_whose_time_is_up_ends_with_that_and_nothing_else() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    bench.endpoint("https://a.example/").await;
    let create = Create { flow: bench.flow, environment: "staging".into(), ttl: 1, runs: vec![&[]; 2] };
    let made = bench.database().write(create).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    for session in &made {
        let driven = bench.database().write(Drive { session: session.id, step: COMPLETE }).await.unwrap();
        assert!(
            matches!(&driven, Err(Error::Conflict { reason }) if reason.contains("EXPIRED")),
            "{driven:?}"
        );
        let mut reader = bench.database().reader().await.unwrap();
        let now = sessions::by_id(&mut reader, session.id).await.unwrap().unwrap();
        assert_eq!((now.status, now.events, now.outcome), (SessionStatus::Expired, 2, None));
        assert_eq!(now.expires_at, session.expires_at);
    }
    // Two events each, each with a delivery.
    assert_eq!(bench.counts(), [4, 0, 0, 0, 0]);
    let tally = bench.database().tally();
    assert_eq!(tally.session_count(SessionStatus::Expired), 2);
    assert_eq!(tally.session_count(SessionStatus::Created), 0);
}

#[tokio::test]
async fn attempts_that_were_cut_off_use_up_no_retry() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(1).await;
    for number in 1..=5 {
        let due = bench.take_one(endpoint).await;
        assert_eq!((due.number, due.retries), (number, 0));
        drop(due);
    }
    for (number, retries) in [(6, 0), (7, 1), (8, 2)] {
        let due = bench.take_one(endpoint).await;
        assert_eq!((due.number, due.retries), (number, retries));
        bench.record(&due, Verdict::Retry).await;
    }
    assert_eq!(bench.delivery(1).await.state, DeliveryState::Dead);
}

/// The disk fails in the moment of a commit, which is durable all the same.
fn doubt(bench: &Bench) {
    bench.database().shared.doubtful.store(true, std::sync::atomic::Ordering::Relaxed);
}

#[tokio::test]
async fn attempts_of_a_commit_in_doubt_are_put_back_under_a_new_number() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(2).await;
    let before = bench.take(endpoint, 1).await;
    doubt(&bench);
    let error = bench.state.take_due(endpoint, 5).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    let taken = bench.take(endpoint, 5).await;
    let taken: Vec<_> = taken.due.iter().map(|due| (due.delivery, due.number, due.retries)).collect();
    assert_eq!(taken, [(2, 2, 0)], "not the one that is under way");
    assert_eq!(bench.delivery(1).await.state, DeliveryState::Sending);
    bench.record(&before.due[0], Verdict::Delivered).await;
}

#[tokio::test]
async fn lanes_are_told_of_what_a_commit_in_doubt_has_made() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    let signal = bench.state.signal(endpoint);
    signal.notified().await;
    assert!(bench.take(endpoint, 5).await.due.is_empty());
    doubt(&bench);
    let create = Create { flow: bench.flow, environment: "staging".into(), ttl: 1_000_000, runs: vec![&[]] };
    bench.database().write(create).await.unwrap_err();
    // Nobody asks for anything more.
    tokio::time::timeout(Duration::from_secs(10), signal.notified()).await.expect("the lane is told");
    assert_eq!(bench.take(endpoint, 5).await.due.len(), 1);
    assert_eq!(bench.counts(), [0, 1, 0, 0, 0]);
}

#[tokio::test]
async fn an_outcome_whose_commit_is_in_doubt_is_noted_once() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(1).await;
    let due = bench.take_one(endpoint).await;
    doubt(&bench);
    bench.state.record(&due, &made(Verdict::Retry)).await.unwrap_err();
    // The lane has the delivery in hand again before the outcome is noted once more, and lost.
    let again = bench.take_one(endpoint).await;
    assert_eq!((again.number, again.retries), (2, 1));
    drop(due);
    bench.sessions(1).await;
    assert_eq!(bench.delivery(1).await.state, DeliveryState::Sending, "the second attempt is under way");
    bench.record(&again, Verdict::Delivered).await;
    assert_eq!(bench.attempts(1).await.len(), 2);
}
