//! The schedule, in paused time and without a network.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use idnow_webhooks_core::keys::{KeySet, KeySource};
use tokio::sync::Semaphore;
use tokio::time::{advance, sleep};

use super::*;
use crate::source::JwksSource;

const KEYS: &str = r#"{ "keys": [{ "kid": "1", "kty": "EC", "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM" }] }"#;
const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
enum Plan {
    Succeed,
    Older,
    Fail,
    Panic,
}

/// A key server that is told what to do, and lets a fetch end only when the test says so.
struct Script {
    plan: Mutex<Plan>,
    fetches: AtomicUsize,
    gate: Semaphore,
    ended: AtomicUsize,
}

impl Script {
    fn open(plan: Plan) -> Arc<Self> {
        let script = Self::closed(plan);
        script.gate.add_permits(Semaphore::MAX_PERMITS);
        script
    }

    fn closed(plan: Plan) -> Arc<Self> {
        Arc::new(Self {
            plan: Mutex::new(plan),
            fetches: AtomicUsize::new(0),
            gate: Semaphore::new(0),
            ended: AtomicUsize::new(0),
        })
    }

    fn plan(&self, plan: Plan) {
        *self.plan.lock().unwrap() = plan;
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    fn start(self: &Arc<Self>, policy: Policy) -> JwksSource {
        let script = Arc::clone(self);
        let fetch: Fetch = Box::new(move || {
            let script = Arc::clone(&script);
            script.fetches.fetch_add(1, Ordering::SeqCst);
            async move {
                script.gate.acquire().await.unwrap().forget();
                let plan = *script.plan.lock().unwrap();
                match plan {
                    Plan::Succeed | Plan::Older => {
                        let keys = KeySet::from_jwks(KEYS.as_bytes()).unwrap();
                        let age = if matches!(plan, Plan::Older) { Duration::MAX } else { Duration::ZERO };
                        Ok(Fetched { keys, lifetime: Some(Duration::from_secs(100)), age, compressed: false })
                    }
                    Plan::Fail => Err(FetchError::Discovery {
                        url: "scripted".to_owned(),
                        source: serde_json::from_str::<u8>("").unwrap_err(),
                    }),
                    Plan::Panic => panic!("scripted"),
                }
            }
            .boxed()
        });
        let (handle, task) = new(fetch, policy, "script".into());
        let script = Arc::clone(self);
        tokio::spawn(async move {
            task.await;
            script.ended.fetch_add(1, Ordering::SeqCst);
        });
        JwksSource::new(handle, "script".into())
    }
}

/// Lets every task run until it has nothing left to do at this instant.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// A waiter who is forgotten must fail the test, not hang it.
async fn within<F: Future>(waiter: F) -> F::Output {
    tokio::time::timeout(30 * SECOND, waiter).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn refreshes_before_expiry_again_and_again() {
    let script = Script::open(Plan::Succeed);
    let source = script.start(Policy::default());
    source.first_fetch().await.unwrap();
    advance(Duration::from_secs(71)).await;
    settle().await;
    assert_eq!(script.fetches(), 1, "too early");
    advance(Duration::from_secs(10)).await;
    settle().await;
    assert_eq!(script.fetches(), 2, "not at 80%");
    sleep(Duration::from_secs(800)).await;
    assert!((11..=13).contains(&script.fetches()), "{}", script.fetches());
    assert!(source.status().expires_in.unwrap() > Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn keeps_the_last_good_keys_for_a_bounded_time_and_recovers() {
    let script = Script::open(Plan::Succeed);
    let max_stale = Duration::from_secs(1000);
    let source = script.start(Policy { max_stale, ..Policy::default() });
    source.first_fetch().await.unwrap();
    script.plan(Plan::Fail);
    sleep(Duration::from_secs(1099)).await;
    let status = source.status();
    assert!(status.ready && !source.current().is_empty());
    assert_eq!(status.expires_in, Some(Duration::ZERO));
    assert!(status.last_error.is_some() && status.unusable_in.unwrap() <= SECOND);

    sleep(2 * SECOND).await;
    let status = source.status();
    assert!(!status.ready && status.key_ids.is_empty() && status.age.is_none());
    assert!(source.current().is_empty());

    script.plan(Plan::Succeed);
    sleep(Duration::from_secs(61)).await;
    assert!(source.status().ready && source.status().last_error.is_none());
}

#[tokio::test(start_paused = true)]
async fn older_keys_bring_the_next_fetch_forward_and_count_once_the_newer_are_gone() {
    let script = Script::open(Plan::Succeed);
    let policy = Policy { min_lifetime: 10 * SECOND, max_stale: 2 * SECOND, ..Policy::default() };
    let source = script.start(policy);
    source.first_fetch().await.unwrap();
    let newer = source.task_state().held.unwrap();
    script.plan(Plan::Older);
    sleep(Duration::from_secs(98)).await;
    // After 72 to 80 s, and then each 7.2 to 8 s.
    assert!((4..=5).contains(&script.fetches()), "{}", script.fetches());
    let held = source.task_state().held.unwrap();
    assert_eq!((held.as_of, held.stale_at), (newer.as_of, newer.stale_at), "still judged by its own age");
    assert!(source.status().last_error.is_none());

    sleep(Duration::from_millis(4100)).await;
    assert!(source.status().ready, "older keys are better than none, and come at once");
    assert_eq!(source.task_state().held.unwrap().as_of, None);
}

#[tokio::test(start_paused = true)]
async fn stale_keys_are_not_handed_out_even_if_the_task_is_stuck_in_a_fetch() {
    let script = Script::open(Plan::Succeed);
    let source = script.start(Policy { max_stale: Duration::ZERO, ..Policy::default() });
    source.first_fetch().await.unwrap();
    script.gate.forget_permits(Semaphore::MAX_PERMITS);
    sleep(Duration::from_secs(99)).await;
    assert_eq!(script.fetches(), 2, "the second one hangs");
    assert!(!source.current().is_empty());
    sleep(SECOND).await;
    assert!(source.current().is_empty());
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_with_growing_pauses() {
    let script = Script::open(Plan::Fail);
    let source = script.start(Policy::default());
    assert!(source.first_fetch().await.is_err());
    sleep(Duration::from_secs(60)).await;
    // 1, 2, 4, 8, 16, 32 s, each less up to a half.
    assert!((6..=8).contains(&script.fetches()), "{}", script.fetches());
    let before = script.fetches();
    sleep(Duration::from_secs(600)).await;
    // 60 s, each less up to a half.
    assert!((10..=20).contains(&(script.fetches() - before)), "{}", script.fetches() - before);
    script.plan(Plan::Succeed);
    sleep(Duration::from_secs(60)).await;
    assert!(source.status().ready);
}

#[tokio::test(start_paused = true)]
async fn a_storm_is_one_fetch_at_a_time_and_few_in_all() {
    let script = Script::closed(Plan::Succeed);
    script.gate.add_permits(1);
    let source = script.start(Policy::default());
    source.first_fetch().await.unwrap();

    let waiting: Vec<_> = (0..500)
        .map(|_| {
            let source = source.clone();
            tokio::spawn(async move { source.refresh(StdInstant::now()).await })
        })
        .collect();
    settle().await;
    assert_eq!(script.fetches(), 2);
    script.gate.add_permits(Semaphore::MAX_PERMITS - 10);
    let mut answers = Vec::new();
    for waiter in waiting {
        answers.push(waiter.await.unwrap());
    }
    assert!(script.fetches() <= 3, "{}", script.fetches());
    assert!(answers[0].is_ok(), "the one who caused the fetch is answered by it");
    for error in answers.into_iter().filter_map(Result::err) {
        assert_eq!(error.retry_after, Duration::from_secs(10));
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_arrival_is_not_answered_from_the_fetch_under_way() {
    let script = Script::closed(Plan::Succeed);
    let source = script.start(Policy { min_refresh_interval: 10 * SECOND, ..Policy::default() });
    script.gate.add_permits(1);
    source.first_fetch().await.unwrap();
    let first = tokio::spawn({
        let source = source.clone();
        let arrived = StdInstant::now();
        async move { source.refresh(arrived).await }
    });
    settle().await;
    assert_eq!(script.fetches(), 2);
    let late = tokio::spawn({
        let source = source.clone();
        let arrived = StdInstant::now();
        async move { source.refresh(arrived).await }
    });
    settle().await;
    assert!(!late.is_finished());
    script.gate.add_permits(1);
    assert!(within(first).await.unwrap().is_ok());
    assert_eq!(within(late).await.unwrap().unwrap_err().retry_after, 10 * SECOND);
    assert_eq!(script.fetches(), 2);
    assert!(!source.current().is_empty(), "a second look is worth while");

    // When the cool-down is over, the next one is served by a fetch of its own.
    sleep(10 * SECOND).await;
    script.gate.add_permits(1);
    assert!(source.refresh(StdInstant::now()).await.is_ok());
    assert_eq!(script.fetches(), 3);
}

#[tokio::test(start_paused = true)]
async fn without_cool_down_a_late_arrival_gets_the_next_fetch() {
    let script = Script::closed(Plan::Succeed);
    let source = script.start(Policy { min_refresh_interval: Duration::ZERO, ..Policy::default() });
    settle().await;
    assert_eq!(script.fetches(), 1);
    let arrived = StdInstant::now();
    let late = tokio::spawn({
        let source = source.clone();
        async move { source.refresh(arrived).await }
    });
    settle().await;
    script.gate.add_permits(1);
    settle().await;
    assert!(!late.is_finished(), "answered from a fetch that began too early");
    assert_eq!(script.fetches(), 2);
    script.gate.add_permits(1);
    assert!(within(late).await.unwrap().is_ok());
    assert!(source.task_state().held.unwrap().as_of >= Some(arrived));
}

#[tokio::test(start_paused = true)]
async fn a_failed_fetch_on_demand_is_told_and_then_cools_down() {
    let script = Script::open(Plan::Succeed);
    let source = script.start(Policy::default());
    source.first_fetch().await.unwrap();
    script.plan(Plan::Fail);
    for _ in 0..3 {
        let error = source.refresh(StdInstant::now()).await.unwrap_err();
        assert!(error.reason.contains("not an OIDC discovery document"), "{error}");
        assert_eq!(error.retry_after, 10 * SECOND);
    }
    assert_eq!(script.fetches(), 2);
    assert!(!source.current().is_empty(), "good keys were lost");
}

/// Tokens with false signatures: each fetches as long as the keys are older than five minutes.
#[tokio::test(start_paused = true)]
async fn whoever_wants_keys_of_the_last_minutes_fetches_once() {
    let minute = 60 * SECOND;
    let script = Script::open(Plan::Succeed);
    let policy = Policy { min_lifetime: 60 * minute, ..Policy::default() };
    let source = script.start(policy);
    source.first_fetch().await.unwrap();
    advance(6 * minute).await;
    settle().await;
    for _ in 0..500 {
        if source.age().unwrap() > 5 * minute {
            source.refresh(StdInstant::now()).await.unwrap();
            assert!(source.age().unwrap() < SECOND);
        }
    }
    assert_eq!(script.fetches(), 2);
    let error = source.refresh(StdInstant::now()).await.unwrap_err();
    assert!(error.reason.contains("so soon") && source.age().unwrap() < 5 * minute, "{error}");

    // As long as fetches fail, all are told so, and few fetch.
    script.plan(Plan::Fail);
    advance(6 * minute).await;
    settle().await;
    for _ in 0..500 {
        assert!(source.age().unwrap() > 5 * minute);
        source.refresh(StdInstant::now()).await.unwrap_err();
    }
    assert_eq!(script.fetches(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_arrival_in_the_future_is_now() {
    let script = Script::open(Plan::Succeed);
    let source = script.start(Policy { min_refresh_interval: Duration::ZERO, ..Policy::default() });
    source.first_fetch().await.unwrap();
    assert!(source.refresh(StdInstant::now() + Duration::from_secs(3600)).await.is_ok());
    assert_eq!(script.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_waiter_leaves_the_fetch_to_the_others() {
    let script = Script::closed(Plan::Succeed);
    let source = script.start(Policy::default());
    let arrived = StdInstant::now();
    let mut given_up = Box::pin(source.refresh(arrived));
    assert!((&mut given_up).now_or_never().is_none());
    settle().await;
    drop(given_up);
    script.gate.add_permits(1);
    assert!(source.refresh(arrived).await.is_ok());
    assert_eq!(script.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_fetch_is_a_failed_fetch() {
    let script = Script::open(Plan::Panic);
    let source = script.start(Policy::default());
    let Err(error) = source.first_fetch().await else { panic!("no keys can have come") };
    assert!(error.to_string().contains("panicked"), "{error}");
    assert!(source.status().running);
    script.plan(Plan::Succeed);
    sleep(2 * SECOND).await;
    assert!(source.status().ready);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_task_itself_does_not_end_it() {
    let calls = Arc::new(AtomicUsize::new(0));
    let fetch: Fetch = Box::new({
        let calls = Arc::clone(&calls);
        move || {
            assert!(calls.fetch_add(1, Ordering::SeqCst) != 0, "scripted");
            let keys = KeySet::from_jwks(KEYS.as_bytes()).unwrap();
            future::ready(Ok(Fetched { keys, lifetime: None, age: Duration::ZERO, compressed: false }))
                .boxed()
        }
    });
    let (handle, task) = new(fetch, Policy::default(), "script".into());
    tokio::spawn(task);
    let source = JwksSource::new(handle, "script".into());
    sleep(2 * SECOND).await;
    assert!(source.status().ready);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn ends_with_the_last_clone_even_in_the_middle_of_a_fetch() {
    let script = Script::closed(Plan::Succeed);
    let source = script.start(Policy::default());
    let clone = source.clone();
    settle().await;
    assert_eq!(script.fetches(), 1);
    drop(source);
    settle().await;
    assert_eq!(script.ended.load(Ordering::SeqCst), 0);
    drop(clone);
    settle().await;
    assert_eq!(script.ended.load(Ordering::SeqCst), 1);
}

#[test]
fn without_its_runtime_the_source_says_so() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let script = Script::open(Plan::Succeed);
    let source = runtime.block_on(async {
        let source = script.start(Policy::default());
        source.first_fetch().await.unwrap();
        source
    });
    drop(runtime);
    assert!(!source.status().running);
    assert!(!source.current().is_empty(), "the keys are good until they are too old");
    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = other.block_on(source.refresh(StdInstant::now())).unwrap_err();
    assert!(error.reason.contains("runtime"), "{error}");
}
