//! Attempts that nobody makes any more.

use futures_util::FutureExt as _;
use tokio::task::unconstrained;

use super::*;
use crate::database::tests::Raw;

const PATIENCE: Duration = Duration::from_secs(10);

impl Bench {
    async fn waits_until(&self, counts: [u64; 5]) {
        let so = async {
            while self.counts() != counts {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let so = tokio::time::timeout(PATIENCE, so).await;
        assert!(so.is_ok(), "{:?} has not become {counts:?}", self.counts());
    }
}

#[tokio::test]
async fn an_attempt_whose_outcome_was_noted_is_not_given_up() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(2).await;
    let mut taken = bench.take(endpoint, 2).await;
    bench.record(&taken.due[0], Verdict::Delivered).await;
    drop(taken.due.remove(0));
    assert_eq!(bench.database().shared.given_up(), 0);
    drop(taken);
    assert_eq!(bench.database().shared.given_up(), 1);
}

/// The sandbox stops after its grace while an outcome is on its way to the disk.
#[tokio::test]
async fn an_outcome_that_is_in_the_queue_is_noted_although_its_caller_has_gone() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(1).await;
    let due = bench.take_one(endpoint).await;
    let delivered = made(Verdict::Delivered);
    assert!(bench.state.record(&due, &delivered).now_or_never().is_none(), "it is in the queue");
    drop(due);
    bench.sessions(1).await;
    let attempts = bench.attempts(1).await;
    assert_eq!(bench.delivery(1).await.state, DeliveryState::Delivered, "{attempts:?}");
    assert_eq!((attempts.len(), &attempts[0].answer), (1, &Some(OK)));
    bench.waits_until([1, 0, 1, 0, 0]).await;
}

/// As above, with more in the queue before it than one commit takes along.
#[tokio::test]
async fn an_outcome_that_is_far_behind_in_the_queue_is_noted_although_its_caller_has_gone() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(1).await;
    let due = bench.take_one(endpoint).await;
    let mut before: Vec<_> = (0..1000).map(|_| Box::pin(bench.database().write(Raw("")))).collect();
    for work in &mut before {
        assert!(unconstrained(work).now_or_never().is_none(), "it is in the queue");
    }
    let delivered = made(Verdict::Delivered);
    let recording = Box::pin(bench.state.record(&due, &delivered));
    assert!(unconstrained(recording).now_or_never().is_none(), "it is in the queue");
    drop(due);
    futures_util::future::try_join_all(before).await.unwrap();
    bench.sessions(1).await;
    let attempts = bench.attempts(1).await;
    assert_eq!((attempts.len(), &attempts[0].answer), (1, &Some(OK)), "{attempts:?}");
    bench.waits_until([1, 0, 1, 0, 0]).await;
}

/// Its outcome was in the queue, could not be noted, and nobody tries it once more.
#[tokio::test]
async fn an_attempt_whose_outcome_is_lost_is_due_again() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(1).await;
    let due = bench.take_one(endpoint).await;
    let spoil = "CREATE TRIGGER spoil BEFORE INSERT ON attempts WHEN NEW.answer IS NOT NULL
                     BEGIN SELECT raise(FAIL, 'spoilt'); END";
    bench.database().write(Raw(spoil)).await.unwrap();
    let delivered = made(Verdict::Delivered);
    assert!(bench.state.record(&due, &delivered).now_or_never().is_none(), "it is in the queue");
    drop(due);
    bench.waits_until([1, 0, 0, 0, 0]).await;
    let due = bench.take_one(endpoint).await;
    assert_eq!((due.number, due.retries), (2, 0));
    assert_eq!(bench.attempts(1).await[0].answer, None);
}

/// The file is away while an attempt is given up, and nobody asks for anything afterwards.
#[tokio::test]
async fn what_was_given_up_is_due_again_once_the_file_is_there_again() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(1).await;
    let due = bench.take_one(endpoint).await;
    let aside = path.with_extension("aside");
    std::fs::rename(&path, &aside).unwrap();
    drop(due);
    tokio::time::sleep(Duration::from_millis(200)).await;
    std::fs::rename(&aside, &path).unwrap();
    bench.waits_until([1, 0, 0, 0, 0]).await;
}
