//! Who holds a lease may end it; nobody else.

use super::prelude::*;

async fn claimed(on: &Stage, id: &str) -> Lease {
    assert_eq!(on.insert(id).await, Insertion::New);
    on.claim_only(id).await.lease
}

pub(crate) async fn one_that_ran_out_is_taken_over(on: Stage) {
    let first = claimed(&on, "a").await;
    on.at(29);
    on.claim_nothing().await;
    on.at(30);
    let second = on.claim_only("a").await;
    assert_eq!(second.run, 2);
    assert_ne!(second.lease.token, first.token);
    on.assert_lost(&first).await;
    on.store.extend(&second.lease, LEASE).await.unwrap();
    on.complete(&second.lease).await;
    on.assert_lost(&first).await;
    on.assert_lost_but_for_completion(&second.lease).await;
}

pub(crate) async fn one_that_ran_out_is_still_held_until_then(on: Stage) {
    let extended = claimed(&on, "extended").await;
    let completed = claimed(&on, "completed").await;
    let retried = claimed(&on, "retried").await;
    let released = claimed(&on, "released").await;
    let buried = claimed(&on, "buried").await;
    on.at(3600);
    on.store.extend(&extended, LEASE).await.unwrap();
    on.complete(&completed).await;
    on.retry(&retried, 60).await;
    on.store.release(&released).await.unwrap();
    on.bury(&buried).await;
    on.claim_only("released").await;
    assert_eq!(on.state("extended").await, Some(EventState::Running));
}

pub(crate) async fn an_extension_counts_from_now(on: Stage) {
    let lease = claimed(&on, "a").await;
    on.at(20);
    on.store.extend(&lease, seconds(60)).await.unwrap();
    assert_eq!(on.get("a").await.due_at, Some(on.time(80)));
    on.at(79);
    on.claim_nothing().await;
    on.store.extend(&lease, seconds(5)).await.unwrap();
    on.at(83);
    on.claim_nothing().await;
    on.at(84);
    assert_eq!(on.claim_only("a").await.run, 2);
    on.assert_lost(&lease).await;
}

/// The heartbeat of a worker goes on for as long as its handler does.
pub(crate) async fn an_extension_again_and_again(on: Stage) {
    let lease = claimed(&on, "a").await;
    for beat in 1..=20 {
        on.at(beat * 10);
        on.store.extend(&lease, LEASE).await.unwrap();
        on.claim_nothing().await;
    }
    assert_eq!(on.get("a").await.runs, 1);
    on.complete(&lease).await;
}

pub(crate) async fn completion_twice_is_no_error(on: Stage) {
    let lease = claimed(&on, "a").await;
    on.complete(&lease).await;
    let before = on.get("a").await;
    on.at(5);
    on.complete(&lease).await;
    assert_eq!(on.get("a").await.finished_at, before.finished_at);
    on.assert_lost_but_for_completion(&lease).await;
    assert_eq!(on.state("a").await, Some(EventState::Completed));
}

/// A handler's transaction may complete the event long before the handler ends, and the heartbeat goes on until then.
pub(crate) async fn an_extension_after_completion_is_no_error_and_changes_nothing(on: Stage) {
    let first = claimed(&on, "a").await;
    on.at(30);
    let lease = on.claim_only("a").await.lease;
    on.complete(&lease).await;
    let before = format!("{:?}", on.get("a").await);
    on.at(40);
    on.store.extend(&lease, LEASE).await.unwrap();
    assert_eq!(format!("{:?}", on.get("a").await), before);
    on.assert_lost(&first).await;
    on.at(1000);
    on.claim_nothing().await;
}

pub(crate) async fn completion_under_another_lease_is_an_error(on: Stage) {
    let first = claimed(&on, "a").await;
    on.at(30);
    let second = on.claim_only("a").await.lease;
    on.complete(&second).await;
    on.assert_lost(&first).await;
    on.complete(&second).await;
}

pub(crate) async fn burial_ends_it(on: Stage) {
    let lease = claimed(&on, "a").await;
    on.bury(&lease).await;
    on.assert_lost(&lease).await;
    assert_eq!(on.state("a").await, Some(EventState::Dead));
}

pub(crate) async fn a_retry_ends_it(on: Stage) {
    let lease = claimed(&on, "a").await;
    on.retry(&lease, 60).await;
    on.assert_lost(&lease).await;
    assert_eq!(on.state("a").await, Some(EventState::Waiting));
}

pub(crate) async fn a_release_ends_it_and_is_due_at_once(on: Stage) {
    let lease = claimed(&on, "a").await;
    on.at(3);
    on.store.release(&lease).await.unwrap();
    on.assert_lost(&lease).await;
    let stored = on.get("a").await;
    assert_eq!((stored.state, stored.runs), (EventState::Waiting, 0));
    assert_eq!(stored.due_at, Some(on.time(3)));
    assert_eq!(on.claim_only("a").await.run, 1);
    on.assert_lost(&lease).await;
}

/// What a lease ended stays ended, also when the event runs again.
pub(crate) async fn one_that_ended_is_lost_for_good(on: Stage) {
    let first = claimed(&on, "a").await;
    on.bury(&first).await;
    on.replay("a").await;
    on.assert_lost(&first).await;
    let second = on.claim_only("a").await.lease;
    on.assert_lost(&first).await;
    on.retry(&second, 0).await;
    let third = on.claim_only("a").await.lease;
    on.assert_lost(&second).await;
    on.store.release(&third).await.unwrap();
    let fourth = on.begin_lease("a").await;
    on.assert_lost(&third).await;
    on.advance(LEASE);
    let fifth = on.claim_only("a").await.lease;
    on.assert_lost(&fourth).await;
    let tokens: HashSet<_> =
        [&first, &second, &third, &fourth, &fifth].into_iter().map(|lease| lease.token).collect();
    assert_eq!(tokens.len(), 5);
    on.complete(&fifth).await;
}

/// Who held a lease before the event was forgotten has nothing to do with the new one of the same id.
pub(crate) async fn one_from_before_a_purge_is_lost(on: Stage) {
    let expired = claimed(&on, "a").await;
    on.advance(LEASE);
    let last = on.claim_only("a").await.lease;
    on.complete(&last).await;
    on.advance(seconds(1));
    assert_eq!(on.purge(EventState::Completed, 0, 9).await, 1);
    on.assert_lost(&expired).await;
    on.assert_lost(&last).await;
    for old in [&expired, &last] {
        on.insert("a").await;
        on.assert_lost(old).await;
        let new = on.claim_only("a").await.lease;
        on.assert_lost(&expired).await;
        on.assert_lost(&last).await;
        on.retry(&new, 0).await;
    }
}

pub(crate) async fn one_of_another_event_is_no_use(on: Stage) {
    let (a, b) = (claimed(&on, "a").await, claimed(&on, "b").await);
    on.retry(&b, 0).await;
    let b = on.claim_only("b").await.lease;
    if a.token != b.token {
        on.assert_lost(&Lease::new("a", b.token)).await;
        on.assert_lost(&Lease::new("b", a.token)).await;
    }
    on.complete(&a).await;
    assert_eq!(on.state("b").await, Some(EventState::Running));
    on.complete(&b).await;
}

/// A worker and the clean-up of its process may both try to end one lease.
pub(crate) async fn ended_by_many_at_once_it_ends_once(on: Stage) {
    for id in ["a", "b", "c", "d", "e"] {
        let lease = claimed(&on, id).await;
        let stores = [Arc::clone(&on.store), on.another().await];
        let ends = (0..24).map(|index| {
            let (store, lease) = (Arc::clone(&stores[index % 2]), lease.clone());
            async move {
                let ended = match index % 3 {
                    0 => store.retry(&lease, seconds(600), "failed").await,
                    1 => store.bury(&lease, "bad").await,
                    _ => store.complete(&lease).await,
                };
                match ended {
                    Ok(()) => Some(index % 3),
                    Err(StoreError::LeaseLost(_)) => None,
                    Err(other) => panic!("{other}"),
                }
            }
        });
        let ended: Vec<_> = at_once(ends).await.into_iter().flatten().collect();
        let expected = match on.state(id).await.unwrap() {
            EventState::Waiting => vec![0],
            EventState::Dead => vec![1],
            EventState::Completed => vec![2; 8],
            EventState::Running => vec![],
        };
        assert_eq!(ended, expected);
    }
}

pub(crate) async fn completed_by_many_at_once(on: Stage) {
    let lease = claimed(&on, "a").await;
    let ends = (0..30).map(|_| {
        let (store, lease) = (Arc::clone(&on.store), lease.clone());
        async move { store.complete(&lease).await.is_ok() }
    });
    assert_eq!(at_once(ends).await, [true; 30]);
    assert_eq!(on.store.completed().await.unwrap(), 1);
}
