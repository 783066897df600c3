//! Workers are told of new events.

use super::prelude::*;

/// Longer than a notice that is to come takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// For a notice that is not to come.
const IN_VAIN: Duration = Duration::from_millis(400);

async fn notified(store: &Arc<dyn EventStore>) -> bool {
    tokio::time::timeout(PATIENCE, store.changed()).await.is_ok()
}

async fn is_quiet(store: &Arc<dyn EventStore>) -> bool {
    tokio::time::timeout(IN_VAIN, store.changed()).await.is_err()
}

/// Takes the notices that are still on their way: there may be one too many, but not without an end.
async fn quiet(store: &Arc<dyn EventStore>) {
    for _ in 0..5 {
        if is_quiet(store).await {
            return;
        }
    }
    panic!("a notice, again and again, although nothing happens");
}

pub(crate) async fn an_insertion_ends_the_wait(on: Stage) {
    quiet(&on.store).await;
    for id in ["a", "b", "c"] {
        let waiting = tokio::spawn({
            let store = Arc::clone(&on.store);
            async move { notified(&store).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        on.insert(id).await;
        assert!(waiting.await.unwrap());
    }
}

pub(crate) async fn an_insertion_between_two_waits_ends_the_next(on: Stage) {
    quiet(&on.store).await;
    for id in ["a", "b", "c"] {
        on.insert(id).await;
        assert!(notified(&on.store).await);
    }
}

/// The worker drops the wait whenever something else happens first.
pub(crate) async fn no_insertion_is_missed_by_waits_that_are_dropped(on: Stage) {
    quiet(&on.store).await;
    for number in 0..20 {
        drop(tokio::time::timeout(Duration::from_micros(number * 50), on.store.changed()).await);
        let insertion = tokio::spawn({
            let store = Arc::clone(&on.store);
            async move { store.insert(event(&format!("event {number}"))).await.unwrap() }
        });
        let during = tokio::time::timeout(Duration::from_micros(number * 100), on.store.changed()).await;
        assert_eq!(insertion.await.unwrap(), Insertion::New);
        assert!(during.is_ok() || notified(&on.store).await);
    }
}

pub(crate) async fn there_is_no_wake_without_a_cause(on: Stage) {
    quiet(&on.store).await;
    on.insert("a").await;
    assert!(notified(&on.store).await);
    quiet(&on.store).await;
    assert!(is_quiet(&on.store).await);
    on.store.get("a").await.unwrap();
    on.store.backlog().await.unwrap();
    on.all().await;
    assert!(is_quiet(&on.store).await);
}

/// What an operator lets run again need not wait until the workers look by themselves.
pub(crate) async fn a_replay_ends_the_wait(on: Stage) {
    on.dead("a").await;
    quiet(&on.store).await;
    on.replay("a").await;
    assert!(notified(&on.store).await);
    on.bury(&on.claim_only("a").await.lease).await;
    quiet(&on.store).await;
    on.store.replay_dead(1).await.unwrap();
    assert!(notified(&on.store).await);
}

/// Another worker on the same store, with room to spare, takes over at once.
pub(crate) async fn what_is_given_back_ends_the_wait(on: Stage) {
    on.insert("a").await;
    let lease = on.claim_only("a").await.lease;
    quiet(&on.store).await;
    on.store.release(&lease).await.unwrap();
    assert!(notified(&on.store).await);
}

/// Those that it held back are free.
pub(crate) async fn the_end_of_one_that_held_others_back_ends_the_wait(on: Stage) {
    on.insert_session("s", [1, 2, 3]).await;
    let first = on.claim_only("s1").await.lease;
    on.claim_nothing().await;
    quiet(&on.store).await;
    on.complete(&first).await;
    assert!(notified(&on.store).await);
    let second = on.claim_only("s2").await.lease;
    on.claim_nothing().await;
    quiet(&on.store).await;
    on.bury(&second).await;
    assert!(notified(&on.store).await);
}
