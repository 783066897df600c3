//! Finished events are forgotten, and no others.

use super::prelude::*;

const HOUR: u64 = 3600;

pub(crate) async fn only_what_was_finished_long_enough_ago(on: Stage) {
    on.completed("a").await;
    on.at(10);
    on.completed("b").await;
    on.at(3599);
    assert_eq!(on.purge(EventState::Completed, HOUR, 9).await, 0);
    on.at(3600);
    assert_eq!(on.purge(EventState::Completed, HOUR, 9).await, 1);
    assert_eq!(on.all().await, ["b"]);
    on.at(3610);
    assert_eq!(on.purge(EventState::Completed, HOUR, 9).await, 1);
    assert_eq!(on.all().await, [""; 0]);
    assert_eq!(on.store.completed().await.unwrap(), 0);
}

/// By the time of their end, and not of their arrival.
pub(crate) async fn the_oldest_first_and_up_to_the_limit(on: Stage) {
    for id in ["a", "b", "c", "d"] {
        on.insert(id).await;
    }
    let claimed = on.claim(9).await;
    for (second, index) in (1..).zip([2, 0, 3, 1]) {
        on.at(second);
        on.complete(&claimed[index].lease).await;
    }
    on.at(7200);
    assert_eq!(on.purge(EventState::Completed, HOUR, 1).await, 1);
    assert_eq!(on.all().await, ["d", "b", "a"]);
    assert_eq!(on.purge(EventState::Completed, HOUR, 2).await, 2);
    assert_eq!(on.all().await, ["b"]);
    assert_eq!(on.purge(EventState::Completed, HOUR, 9).await, 1);
    assert_eq!(on.purge(EventState::Completed, HOUR, 9).await, 0);
}

pub(crate) async fn dead_letters_by_themselves(on: Stage) {
    on.completed("completed").await;
    on.dead("dead").await;
    on.at(7200);
    assert_eq!(on.purge(EventState::Completed, HOUR, 9).await, 1);
    assert_eq!(on.all().await, ["dead"]);
    assert_eq!(on.purge(EventState::Dead, HOUR, 9).await, 1);
    assert_eq!(on.all().await, [""; 0]);
    on.dead("dead").await;
    assert_eq!(on.purge(EventState::Completed, 0, 9).await, 0);
    assert_eq!(on.purge(EventState::Dead, 0, 9).await, 1);
}

pub(crate) async fn never_what_is_not_finished(on: Stage) {
    on.insert("running").await;
    on.claim_only("running").await;
    on.insert("waiting").await;
    on.retry(&on.claim_only("waiting").await.lease, 60).await;
    on.dead("replayed").await;
    on.replay("replayed").await;
    on.insert("new").await;
    on.at(20 * 24 * 3600);
    for state in EventState::ALL {
        assert_eq!(on.purge(state, 0, 9).await, 0, "{state:?}");
    }
    assert_eq!(on.all().await.len(), 4);
    assert_eq!(on.claim(9).await.len(), 4);
}

pub(crate) async fn a_forgotten_event_is_new_again(on: Stage) {
    on.completed("a").await;
    on.dead("b").await;
    on.at(1);
    on.purge(EventState::Completed, 0, 9).await;
    on.purge(EventState::Dead, 0, 9).await;
    for id in ["a", "b"] {
        assert_eq!(on.state(id).await, None);
        assert_eq!(on.replay(id).await, Replay::Unknown);
        assert_eq!(on.insert(id).await, Insertion::New);
        assert_eq!(on.claim_only(id).await.run, 1);
    }
}

/// A session that has been forgotten begins anew.
pub(crate) async fn a_forgotten_session_holds_nothing_back(on: Stage) {
    on.insert_session("s", [1, 2]).await;
    for id in ["s1", "s2"] {
        on.complete(&on.claim_only(id).await.lease).await;
    }
    on.at(1);
    assert_eq!(on.purge(EventState::Completed, 0, 9).await, 2);
    on.insert_session("s", [1]).await;
    assert_eq!(on.claim_only("s1").await.order, Order::InSequence);
}

pub(crate) async fn what_ended_inline(on: Stage) {
    on.complete(&on.begin_lease("a").await).await;
    on.bury(&on.begin_lease("b").await).await;
    on.at(3600);
    assert_eq!(on.purge(EventState::Completed, HOUR, 9).await, 1);
    assert_eq!(on.purge(EventState::Dead, HOUR, 9).await, 1);
    assert!(matches!(on.begin("a").await, Beginning::Run(_)));
    assert!(matches!(on.begin("b").await, Beginning::Run(_)));
}

/// The process may have died, and the provider given up.
pub(crate) async fn what_was_begun_inline_and_never_ended(on: Stage) {
    let lease = on.begin_lease("a").await;
    on.at(30 + 3599);
    assert_eq!(on.purge(EventState::Completed, HOUR, 9).await, 0, "its lease has not ended for so long");
    on.at(30 + 3600);
    assert_eq!(on.purge(EventState::Dead, HOUR, 9).await, 0);
    assert_eq!(on.purge(EventState::Completed, HOUR, 9).await, 1);
    assert_eq!(on.state("a").await, None);
    on.assert_lost(&lease).await;
    let again = on.begin_lease("a").await;
    on.assert_lost(&lease).await;
    on.complete(&again).await;
}

pub(crate) async fn what_failed_inline_and_never_came_again(on: Stage) {
    on.store.retry(&on.begin_lease("a").await, Duration::ZERO, "failed").await.unwrap();
    on.at(3600);
    on.purge(EventState::Completed, HOUR, 9).await;
    assert_eq!(on.state("a").await, None);
}

pub(crate) async fn beside_insertions(on: Stage) {
    for number in 0..100 {
        on.insert(&format!("old {number}")).await;
    }
    for event in on.claim(100).await {
        on.complete(&event.lease).await;
    }
    on.at(1);
    let purges = {
        let store = Arc::clone(&on.store);
        tokio::spawn(async move {
            let purge = Purge { state: EventState::Completed, older_than: Duration::ZERO, limit: 3 };
            let mut purged = 0;
            while purged < 100 {
                let step = store.purge(purge).await.unwrap();
                assert!((1..=3).contains(&step));
                purged += step;
            }
        })
    };
    let new = (0..100).map(|number| {
        let store = Arc::clone(&on.store);
        async move { store.insert(event(&format!("new {number}"))).await.unwrap() }
    });
    assert_eq!(at_once(new).await, [Insertion::New; 100]);
    purges.await.unwrap();
    let left = on.all().await;
    assert_eq!(left.len(), 100);
    assert!(left.iter().all(|id| id.starts_with("new")));
}
