//! Inline mode: events are begun where they are received.

use super::prelude::*;

pub(crate) async fn an_event_runs_once_at_a_time(on: Stage) {
    let lease = on.begin_lease("a").await;
    assert_eq!(&*lease.event_id, "a");
    assert_eq!(on.begin("a").await, Beginning::Running);
    assert_eq!(on.state("a").await, Some(EventState::Running));
    on.complete(&lease).await;
    assert_eq!(on.begin("a").await, Beginning::Completed);
    on.advance(seconds(29 * 24 * 3600));
    assert_eq!(on.begin("a").await, Beginning::Completed);
    assert_eq!(on.state("a").await, Some(EventState::Completed));
}

pub(crate) async fn a_buried_event_stays_buried(on: Stage) {
    let lease = on.begin_lease("a").await;
    on.store.bury(&lease, "bad").await.unwrap();
    on.advance(seconds(29 * 24 * 3600));
    assert_eq!(on.begin("a").await, Beginning::Buried);
    assert_eq!(on.state("a").await, Some(EventState::Dead));
    on.assert_lost(&lease).await;
}

pub(crate) async fn a_lease_that_ran_out_is_taken_over(on: Stage) {
    let first = on.begin_lease("a").await;
    on.at(29);
    assert_eq!(on.begin("a").await, Beginning::Running);
    on.at(30);
    let second = on.begin_lease("a").await;
    assert_ne!(first.token, second.token);
    on.assert_lost(&first).await;
    on.at(59);
    assert_eq!(on.begin("a").await, Beginning::Running, "the second lease lasts as long");
    on.complete(&second).await;
    on.assert_lost(&first).await;
}

pub(crate) async fn an_extended_lease_lasts(on: Stage) {
    let lease = on.begin_lease("a").await;
    on.at(20);
    on.store.extend(&lease, seconds(60)).await.unwrap();
    on.at(79);
    assert_eq!(on.begin("a").await, Beginning::Running);
    on.at(80);
    on.complete(&lease).await;
    assert_eq!(on.begin("a").await, Beginning::Completed);
}

/// The provider says when to try again.
pub(crate) async fn an_event_given_back_is_begun_again_at_once(on: Stage) {
    let first = on.begin_lease("a").await;
    on.store.retry(&first, seconds(3600), "failed").await.unwrap();
    let second = on.begin_lease("a").await;
    assert_ne!(first.token, second.token);
    on.assert_lost(&first).await;
    on.complete(&second).await;
    assert_eq!(on.begin("a").await, Beginning::Completed);
    on.assert_lost(&first).await;
}

pub(crate) async fn a_released_event_is_begun_again_at_once(on: Stage) {
    let first = on.begin_lease("a").await;
    on.store.release(&first).await.unwrap();
    on.claim_nothing().await;
    let second = on.begin_lease("a").await;
    on.assert_lost(&first).await;
    on.complete(&second).await;
}

pub(crate) async fn workers_never_claim_it(on: Stage) {
    on.begin_lease("running").await;
    on.store.retry(&on.begin_lease("failed").await, Duration::ZERO, "failed").await.unwrap();
    on.store.release(&on.begin_lease("released").await).await.unwrap();
    on.bury(&on.begin_lease("buried").await).await;
    on.complete(&on.begin_lease("completed").await).await;
    on.claim_nothing().await;
    on.advance(LEASE);
    on.claim_nothing().await;
    on.advance(seconds(24 * 3600));
    on.claim_nothing().await;
    assert_eq!(ids(&on.claim_by(9, SessionOrder::Any).await), [""; 0]);
}

/// Nobody here can do anything about it: the provider tries again, or it does not.
pub(crate) async fn what_failed_is_no_backlog(on: Stage) {
    let failed = on.begin_lease("a").await;
    assert_eq!(on.store.backlog().await.unwrap(), Backlog { running: 1, ..Backlog::default() });
    on.store.retry(&failed, Duration::ZERO, "failed").await.unwrap();
    on.store.release(&on.begin_lease("b").await).await.unwrap();
    on.advance(seconds(3600));
    assert_eq!(on.store.backlog().await.unwrap(), Backlog::default());
}

/// Whether it can be read is for the handlers to say.
pub(crate) async fn an_unreadable_event_is_begun(on: Stage) {
    let unreadable = NewEvent::from_json(r#"{"eventId":"a"}"#);
    let Beginning::Run(lease) = on.store.begin(unreadable.clone(), LEASE).await.unwrap() else { panic!() };
    on.bury(&lease).await;
    assert_eq!(on.store.begin(unreadable, LEASE).await.unwrap(), Beginning::Buried);
}

pub(crate) async fn fifty_at_once_and_one_runs(on: Stage) {
    let stores = [Arc::clone(&on.store), on.another().await];
    let beginnings = |id: &'static str| {
        let stores = stores.clone();
        at_once((0..50).map(move |index| {
            let store = Arc::clone(&stores[index % 2]);
            async move { store.begin(event(id), LEASE).await.unwrap() }
        }))
    };
    for id in ["a", "b", "c"] {
        let mut leases = Vec::new();
        for _ in ["new", "expired"] {
            for beginning in beginnings(id).await {
                match beginning {
                    Beginning::Run(lease) => leases.push(lease),
                    other => assert_eq!(other, Beginning::Running),
                }
            }
            on.advance(LEASE);
        }
        assert_eq!(leases.len(), 2, "one when it was new, and one when the first lease had run out");
        on.assert_lost(&leases[0]).await;
        on.complete(&leases[1]).await;
        assert_eq!(beginnings(id).await, vec![Beginning::Completed; 50]);
    }
}

/// The handlers of different events of one session may run at once, as the provider delivers them.
pub(crate) async fn sessions_hold_nothing_back(on: Stage) {
    for (id, sequence) in [("b", 2), ("a", 1), ("c", 3)] {
        let beginning = on.store.begin(in_session(id, "s", sequence), LEASE).await.unwrap();
        assert!(matches!(beginning, Beginning::Run(_)));
    }
}
