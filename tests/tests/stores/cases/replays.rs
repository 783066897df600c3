//! Operators let events run again.

use super::prelude::*;

pub(crate) async fn a_dead_letter_runs_again(on: Stage) {
    let sample = SampleEvent::completed().with_event_id("a");
    on.insert_event(of(&sample)).await;
    let lease = on.claim_only("a").await.lease;
    on.retry(&lease, 0).await;
    on.bury(&on.claim_only("a").await.lease).await;
    on.at(3600);
    on.claim_nothing().await;
    assert_eq!(on.replay("a").await, Replay::Queued);
    let stored = on.get("a").await;
    assert_eq!((stored.state, stored.runs), (EventState::Waiting, 0));
    assert_eq!((stored.due_at, stored.finished_at), (Some(on.now()), None));
    let claimed = on.claim_only("a").await;
    assert_eq!((claimed.run, claimed.data), (1, sample.data().to_string()));
    on.complete(&claimed.lease).await;
    assert_eq!(on.state("a").await, Some(EventState::Completed));
}

pub(crate) async fn one_that_waits_for_long_runs_now(on: Stage) {
    on.insert("a").await;
    on.retry(&on.claim_only("a").await.lease, 86_400).await;
    on.at(10);
    on.claim_nothing().await;
    assert_eq!(on.replay("a").await, Replay::Queued);
    assert_eq!(on.claim_only("a").await.run, 1, "its runs are counted anew");
}

pub(crate) async fn one_that_runs_or_is_completed_does_not(on: Stage) {
    on.insert("a").await;
    let lease = on.claim_only("a").await.lease;
    assert_eq!(on.replay("a").await, Replay::Refused(EventState::Running));
    on.store.extend(&lease, LEASE).await.unwrap();
    on.complete(&lease).await;
    assert_eq!(on.replay("a").await, Replay::Refused(EventState::Completed));
    on.begin_lease("b").await;
    assert_eq!(on.replay("b").await, Replay::Refused(EventState::Running));
    on.claim_nothing().await;
}

pub(crate) async fn one_that_is_unknown(on: Stage) {
    assert_eq!(on.replay("a").await, Replay::Unknown);
    assert_eq!(on.store.replay_dead(9).await.unwrap(), 0);
}

pub(crate) async fn twice_is_once(on: Stage) {
    on.dead("a").await;
    assert_eq!(on.replay("a").await, Replay::Queued);
    assert_eq!(on.replay("a").await, Replay::Queued);
    on.complete(&on.claim_only("a").await.lease).await;
    on.claim_nothing().await;
}

pub(crate) async fn dead_letters_the_oldest_first(on: Stage) {
    for (second, id) in (0..).zip(["c", "a", "d", "b"]) {
        on.at(second);
        on.dead(id).await;
    }
    on.completed("completed").await;
    on.insert("waiting").await;
    on.retry(&on.claim_only("waiting").await.lease, 3600).await;
    assert_eq!(on.store.replay_dead(2).await.unwrap(), 2);
    let claimed = on.claim(9).await;
    assert_eq!(ids(&claimed).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(["a", "c"]));
    assert!(claimed.iter().all(|event| event.run == 1));
    assert_eq!(on.store.replay_dead(9).await.unwrap(), 2);
    assert_eq!(on.store.replay_dead(9).await.unwrap(), 0);
    assert_eq!(ids(&on.claim(9).await).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(["b", "d"]));
}

pub(crate) async fn after_later_ones_it_is_late(on: Stage) {
    on.insert_session("s", [1, 2]).await;
    on.bury(&on.claim_only("s1").await.lease).await;
    on.complete(&on.claim_only("s2").await.lease).await;
    assert_eq!(on.replay("s1").await, Replay::Queued);
    assert_eq!(on.claim_only("s1").await.order, Order::Late);
}

/// In its session it waits its turn like any other, and holds those up that come after it.
pub(crate) async fn within_a_session_it_keeps_its_place(on: Stage) {
    on.insert_session("s", [1, 2, 3]).await;
    on.bury(&on.claim_only("s1").await.lease).await;
    let second = on.claim_only("s2").await.lease;
    assert_eq!(on.store.replay_dead(9).await.unwrap(), 1);
    on.claim_nothing().await;
    on.retry(&second, 0).await;
    let first = on.claim_only("s1").await;
    assert_eq!((first.run, first.order), (1, Order::InSequence));
    on.complete(&first.lease).await;
    on.complete(&on.claim_only("s2").await.lease).await;
    assert_eq!(on.claim_only("s3").await.order, Order::InSequence);
}

/// The one that holds the others up is let go.
pub(crate) async fn of_one_that_waits_its_followers_come_sooner(on: Stage) {
    on.insert_session("s", [1, 2]).await;
    on.retry(&on.claim_only("s1").await.lease, 86_400).await;
    on.claim_nothing().await;
    assert_eq!(on.replay("s1").await, Replay::Queued);
    on.complete(&on.claim_only("s1").await.lease).await;
    assert_eq!(on.claim_only("s2").await.order, Order::InSequence);
}

/// An operator who says `replay` for a follower cannot make it overtake.
pub(crate) async fn a_follower_does_not_overtake(on: Stage) {
    on.insert_session("s", [1, 2]).await;
    on.retry(&on.claim_only("s1").await.lease, 600).await;
    on.claim_nothing().await;
    assert_eq!(on.replay("s2").await, Replay::Queued);
    on.claim_nothing().await;
    on.at(600);
    on.claim_only("s1").await;
}

pub(crate) async fn by_many_at_once(on: Stage) {
    for number in 0..20 {
        on.dead(&format!("event {number}")).await;
    }
    let stores = [Arc::clone(&on.store), on.another().await];
    let replays = (0..10).map(|index| {
        let store = Arc::clone(&stores[index % 2]);
        async move { store.replay_dead(3).await.unwrap() }
    });
    assert_eq!(at_once(replays).await.iter().sum::<usize>(), 20);
    assert_eq!(on.claim(100).await.len(), 20);
}
