//! Callers that go away: a future may be dropped wherever it waits.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::prelude::*;

/// Polls a future at most so often, and then drops it.
async fn abandoned<T>(after: u64, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if polls >= after => Poll::Ready(None),
        Poll::Pending => {
            polls += 1;
            Poll::Pending
        }
    })
    .await
}

/// Inserts many at once, of which some are dropped: after a number of polls, or after a time. Tells for each what the
/// caller heard.
async fn insert_some(on: &Stage, prefix: &'static str, dropped: bool) -> Vec<(String, Option<Insertion>)> {
    let stores = [Arc::clone(&on.store), on.another().await];
    at_once((0..300_u64).map(|number| {
        let store = Arc::clone(&stores[usize::from(number % 2 == 0)]);
        async move {
            let id = format!("{prefix} {number}");
            let insertion = store.insert(event(&id));
            let heard = match number % 3 {
                0 if dropped => abandoned(number / 3 % 8, insertion).await,
                1 if dropped => {
                    let limit = Duration::from_micros(number * 40);
                    tokio::time::timeout(limit, insertion).await.ok()
                }
                _ => Some(insertion.await),
            };
            (id, heard.map(Result::unwrap))
        }
    }))
    .await
}

pub(crate) async fn insertions(on: Stage) {
    let first = insert_some(&on, "event", true).await;
    for (id, heard) in &first {
        let again = on.insert(id).await;
        if heard.is_some() {
            assert_eq!(*heard, Some(Insertion::New));
            assert_eq!(again, Insertion::Duplicate, "{id} was acknowledged");
        }
    }
    let expected: BTreeSet<_> = first.into_iter().map(|(id, _)| id).collect();
    let all = on.all().await;
    assert_eq!(all.len(), 300, "each is there once");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), expected);
    let claimed = on.claim(1000).await;
    assert_eq!(claimed.len(), 300);
    assert_eq!(ids(&claimed).into_iter().collect::<HashSet<_>>().len(), 300);
}

/// Others in the same batch do not suffer.
pub(crate) async fn insertions_beside_those_that_are_not_dropped(on: Stage) {
    let (dropped, kept) = tokio::join!(insert_some(&on, "dropped", true), insert_some(&on, "kept", false));
    assert!(kept.iter().all(|(_, heard)| *heard == Some(Insertion::New)));
    let all: HashSet<_> = on.all().await.into_iter().collect();
    for (id, heard) in kept.iter().chain(&dropped) {
        assert!(heard.is_none() || all.contains(id), "{id} was acknowledged");
    }
}

/// Tasks that are aborted by their runtime, at any time.
pub(crate) async fn tasks_that_are_aborted(on: Stage) {
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let mut chance = Chance::new(1);
    for round in 0..20 {
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let (store, acknowledged) = (Arc::clone(&on.store), Arc::clone(&acknowledged));
                let id = format!("{round}/{number}");
                tokio::spawn(async move {
                    let inserted = store.insert(event(&id)).await.unwrap();
                    assert_eq!(inserted, Insertion::New);
                    acknowledged.lock().unwrap().insert(id);
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_micros(chance.below(3000))).await;
        for task in tasks {
            task.abort();
        }
    }
    // Those that are still under way are done by the time their duplicates are.
    let acknowledged = acknowledged.lock().unwrap().clone();
    for id in (0..20).flat_map(|round| (0..20).map(move |number| format!("{round}/{number}"))) {
        let again = on.insert(&id).await;
        assert!(again == Insertion::Duplicate || !acknowledged.contains(&id), "{id} was acknowledged");
    }
    let all = on.all().await;
    assert_eq!(all.len(), 400);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 400);
    assert_eq!(on.claim(1000).await.len(), 400);
}

pub(crate) async fn claims(on: Stage) {
    for number in 0..60 {
        on.insert(&format!("event {number}")).await;
    }
    let mut heard = 0;
    for after in 0..12 {
        let claim = Claim { limit: 5, lease: LEASE, order: SessionOrder::default() };
        let claimed = abandoned(after, on.store.claim(claim)).await;
        heard += claimed.map_or(0, |claimed| claimed.unwrap().len());
    }
    let rest = on.claim(1000).await.len();
    assert!(heard + rest <= 60);
    // Those that nobody heard of come back when their leases run out.
    on.advance(LEASE);
    assert_eq!(on.claim(1000).await.len(), 60);
}

pub(crate) async fn beginnings(on: Stage) {
    for after in 0..20 {
        let id = format!("event {after}");
        let begun = abandoned(after, on.store.begin(event(&id), LEASE)).await;
        match begun {
            Some(begun) => assert!(matches!(begun.unwrap(), Beginning::Run(_))),
            None => on.advance(LEASE),
        }
        let again = on.begin(&id).await;
        assert!(matches!(again, Beginning::Run(_) | Beginning::Running), "{again:?}");
    }
}

/// Done, or not done; and a second attempt at the same is right in both cases.
pub(crate) async fn ends(on: Stage) {
    for number in 0..60 {
        on.insert(&format!("event {number}")).await;
    }
    let claimed = on.claim(60).await;
    for (number, event) in (0..).zip(&claimed) {
        let (store, lease) = (&on.store, &event.lease);
        let after = number / 3 % 10;
        match number % 3 {
            0 => {
                abandoned(after, store.complete(lease)).await;
                on.complete(lease).await;
                assert_eq!(on.state(&lease.event_id).await, Some(EventState::Completed));
            }
            1 => {
                abandoned(after, store.bury(lease, "bad")).await;
                let again = store.bury(lease, "bad").await;
                assert!(matches!(again, Ok(()) | Err(StoreError::LeaseLost(_))), "{again:?}");
                assert_eq!(on.state(&lease.event_id).await, Some(EventState::Dead));
            }
            _ => {
                abandoned(after, store.retry(lease, LEASE, "failed")).await;
                let again = store.retry(lease, LEASE, "failed").await;
                assert!(matches!(again, Ok(()) | Err(StoreError::LeaseLost(_))), "{again:?}");
                assert_eq!(on.state(&lease.event_id).await, Some(EventState::Waiting));
            }
        }
    }
    on.advance(LEASE);
    let again = on.claim(1000).await;
    assert_eq!(again.len(), 20);
    assert!(again.iter().all(|event| event.run == 2));
}

/// Calls of all kinds are dropped all the time, and the store still works.
pub(crate) async fn anything_and_it_still_works(on: Stage) {
    let tasks = (0..8_u64).map(|task| {
        let store = Arc::clone(&on.store);
        async move {
            let mut chance = Chance::new(task);
            for number in 0..60 {
                let id = format!("{task}/{number}");
                abandoned(chance.below(6), store.insert(event(&id))).await;
                let claim = Claim { limit: 3, lease: LEASE, order: SessionOrder::default() };
                let claimed = abandoned(chance.below(10), store.claim(claim)).await;
                for event in claimed.into_iter().flat_map(Result::unwrap) {
                    abandoned(chance.below(6), store.complete(&event.lease)).await;
                }
                abandoned(chance.below(6), store.get(&id)).await;
                abandoned(chance.below(6), store.backlog()).await;
                let changed = tokio::time::timeout(Duration::from_micros(chance.below(500)), store.changed());
                drop(changed.await);
                abandoned(chance.below(6), store.begin(event(&format!("{id} inline")), LEASE)).await;
            }
        }
    });
    at_once(tasks).await;
    assert_eq!(on.insert("last").await, Insertion::New);
    on.advance(LEASE);
    let claimed = on.claim(1000).await;
    assert!(ids(&claimed).contains(&"last"));
    for event in claimed {
        on.complete(&event.lease).await;
    }
    let backlog = on.store.backlog().await.unwrap();
    assert_eq!((backlog.waiting, backlog.dead), (0, 0));
}
