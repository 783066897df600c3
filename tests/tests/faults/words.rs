//! What is observed, in words that are the same every time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use idnow_webhooks_conformance::{Answer, Client, Protocol, delivery};
use idnow_webhooks_core::Clock;
use idnow_webhooks_core::store::{EventState, EventStore};
use serde_json::Value;

/// Longer than anything takes here: the longest are leases of 18 s.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The provider's first wait is 1 s; here nobody has the time.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// The answer to a request, `no answer` if the connection ends without one.
pub(crate) async fn attempt(address: SocketAddr, token: String) -> String {
    let mut client = Client::connect(address, Protocol::Http1).await;
    client.try_send(delivery(token)).await.map_or_else(|_| "no answer".into(), |answer| answered(&answer))
}

/// The answer to the first attempt that is not to be tried again, as the provider goes on after 503.
pub(crate) async fn attempts(address: SocketAddr, token: impl Fn() -> String) -> String {
    let started = Instant::now();
    loop {
        let answer = attempt(address, token()).await;
        if !answer.starts_with("503") || started.elapsed() > PATIENCE {
            return answer;
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

fn answered(answer: &Answer) -> String {
    let problem: Option<Value> = serde_json::from_str(&answer.body).ok();
    let code = problem.map(|problem| format!(" `{}`", problem["code"].as_str().unwrap_or("no code")));
    let retry_after = answer.header("retry-after").map(|seconds| match seconds.parse::<u32>().unwrap() {
        // What is left of the cool-down depends on the moment.
        2..=10 => ", Retry-After up to 10".to_owned(),
        seconds => format!(", Retry-After {seconds}"),
    });
    format!("{}{}{}", answer.status, code.unwrap_or_default(), retry_after.unwrap_or_default())
}

/// Several answers: `1 × 200; 7 × 503`.
pub(crate) fn counted(answers: Vec<String>) -> String {
    let mut counts = BTreeMap::<_, usize>::new();
    for answer in answers {
        *counts.entry(answer).or_default() += 1;
    }
    let counts: Vec<_> = counts.into_iter().map(|(answer, count)| format!("{count} × {answer}")).collect();
    counts.join("; ")
}

/// Where an event stands, as soon as the store can say it. `None` if it is not there.
async fn state(store: &dyn EventStore, id: &str) -> Option<EventState> {
    let started = Instant::now();
    loop {
        match store.get(id).await {
            Ok(event) => return event.map(|event| event.state),
            Err(error) => assert!(started.elapsed() < PATIENCE, "the store does not come back: {error}"),
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// Whether a token of the event is parked.
async fn is_parked(store: &dyn EventStore, id: &str) -> bool {
    let parked = store.parked(0, 1000).await.unwrap();
    parked.iter().any(|token| token.event_id.as_deref() == Some(id))
}

/// Where an event stands, and how often its handler was started: `completed; ran once`.
pub(crate) async fn now(store: &dyn EventStore, id: &str, runs: impl Fn() -> usize) -> String {
    let state = state(store, id).await;
    told(store, id, state, runs()).await
}

/// Whether somebody has taken a second lease on the event, once the first is over by this clock. `false`: that one was
/// extended by it instead.
pub(crate) async fn taken_over(store: &dyn EventStore, id: &str, clock: &impl Clock) -> bool {
    let started = Instant::now();
    loop {
        let event = store.get(id).await.unwrap().expect("an event that runs");
        if event.runs > 1 {
            return true;
        }
        if event.due_at.is_some_and(|ends| ends > clock.now()) {
            return false;
        }
        assert!(started.elapsed() < PATIENCE, "nobody takes the lease");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// As [`now`], once it is so, or the last of what was seen instead.
pub(crate) async fn reached(
    store: &dyn EventStore,
    id: &str,
    runs: impl Fn() -> usize,
    is_so: impl Fn(Option<EventState>, usize) -> bool,
) -> String {
    let started = Instant::now();
    loop {
        let (state, runs) = (state(store, id).await, runs());
        if is_so(state, runs) || started.elapsed() > PATIENCE {
            return told(store, id, state, runs).await;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// As [`now`], once an event that is there is finished, and has had the time to be handled once more.
pub(crate) async fn finished(store: &dyn EventStore, id: &str, runs: impl Fn() -> usize) -> String {
    let is_finished = |state, _| !matches!(state, Some(EventState::Waiting | EventState::Running));
    reached(store, id, &runs, is_finished).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    now(store, id, runs).await
}

/// For a write that nobody waits for any more, as the answer deadline has passed: it may be done, or not.
pub(crate) fn stored_or_not(seen: String) -> String {
    let either = ["not stored; never ran", "waiting; never ran", "running; ran once", "completed; ran once"];
    if either.contains(&seen.as_str()) { "stored, or not".into() } else { seen }
}

async fn told(store: &dyn EventStore, id: &str, state: Option<EventState>, runs: usize) -> String {
    let state = match state {
        None if is_parked(store, id).await => "parked",
        None => "not stored",
        Some(EventState::Waiting) => "waiting",
        Some(EventState::Running) => "running",
        Some(EventState::Completed) => "completed",
        Some(EventState::Dead) => "dead letter",
    };
    let runs = match runs {
        0 => "never ran".into(),
        1 => "ran once".into(),
        2 => "ran twice".into(),
        more => format!("ran {more} times"),
    };
    format!("{state}; {runs}")
}
