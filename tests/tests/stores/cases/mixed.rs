//! Inline mode and queued mode on one store, as while a deployment changes from the one to the other.

use super::prelude::*;

pub(crate) async fn a_queued_event_is_begun(on: Stage) {
    on.insert("a").await;
    let lease = on.begin_lease("a").await;
    on.claim_nothing().await;
    assert_eq!(on.begin("a").await, Beginning::Running);
    on.complete(&lease).await;
    assert_eq!(on.begin("a").await, Beginning::Completed);
    assert_eq!(on.insert("a").await, Insertion::Duplicate);
    on.advance(LEASE);
    on.claim_nothing().await;
}

/// It was in the queue, and so the answer to the provider was that it is safe.
pub(crate) async fn a_queued_event_that_was_begun_in_vain_is_still_queued(on: Stage) {
    on.insert("a").await;
    let begun = on.begin_lease("a").await;
    on.retry(&begun, 10).await;
    on.claim_nothing().await;
    on.advance(seconds(10));
    let claimed = on.claim_only("a").await;
    assert_eq!(claimed.run, 2);
    on.retry(&claimed.lease, 10).await;
    on.begin_lease("a").await;
    on.advance(LEASE);
    on.claim_only("a").await;
}

pub(crate) async fn a_claimed_event_is_not_begun(on: Stage) {
    on.insert("a").await;
    let claimed = on.claim_only("a").await;
    assert_eq!(on.begin("a").await, Beginning::Running);
    on.advance(LEASE);
    let begun = on.begin_lease("a").await;
    on.assert_lost(&claimed.lease).await;
    on.claim_nothing().await;
    on.bury(&begun).await;
    assert_eq!(on.begin("a").await, Beginning::Buried);
    assert_eq!(on.insert("a").await, Insertion::Duplicate);
}

pub(crate) async fn an_event_that_ended_inline_is_a_duplicate(on: Stage) {
    on.complete(&on.begin_lease("a").await).await;
    on.bury(&on.begin_lease("b").await).await;
    assert_eq!(on.insert("a").await, Insertion::Duplicate);
    assert_eq!(on.insert("b").await, Insertion::Duplicate);
    on.claim_nothing().await;
}

/// Its insertion is answered 2xx, so nobody will bring it again.
pub(crate) async fn an_event_that_failed_inline_and_is_inserted_is_queued(on: Stage) {
    on.store.retry(&on.begin_lease("a").await, Duration::ZERO, "failed").await.unwrap();
    on.insert("a").await;
    assert_eq!(on.claim_only("a").await.data.len(), event("a").data().len());
}

/// The process that began it may die, or fail, after a second attempt was answered 2xx.
pub(crate) async fn an_event_that_runs_inline_and_is_inserted_is_queued(on: Stage) {
    let completes = on.begin_lease("completes").await;
    let fails = on.begin_lease("fails").await;
    let dies = on.begin_lease("dies").await;
    for id in ["completes", "fails", "dies"] {
        on.insert(id).await;
        assert_eq!(on.begin(id).await, Beginning::Running);
    }
    on.claim_nothing().await;
    on.complete(&completes).await;
    on.retry(&fails, 5).await;
    on.advance(seconds(5));
    on.complete(&on.claim_only("fails").await.lease).await;
    on.advance(LEASE);
    on.complete(&on.claim_only("dies").await.lease).await;
    on.assert_lost(&dies).await;
}

/// Who would bring it again is the provider, and it may never do so.
pub(crate) async fn what_failed_inline_holds_no_session_back(on: Stage) {
    let Beginning::Run(lease) = on.store.begin(in_session("a", "s", 1), LEASE).await.unwrap() else {
        panic!()
    };
    on.store.retry(&lease, Duration::ZERO, "failed").await.unwrap();
    on.insert_session("s", [2]).await;
    assert_eq!(ids(&on.claim(9).await), ["s2"]);
}

/// An operator puts it into the queue: also an inline deployment can have a worker for these.
pub(crate) async fn a_dead_letter_of_inline_mode_is_replayed_by_a_worker(on: Stage) {
    let event = event("a");
    let data = event.data().to_owned();
    let Beginning::Run(lease) = on.store.begin(event, LEASE).await.unwrap() else { panic!() };
    on.store.bury(&lease, "bad").await.unwrap();
    let dead = on.get("a").await;
    assert_eq!((dead.state, dead.error.as_deref()), (EventState::Dead, Some("bad")));
    assert_eq!(dead.name.as_deref(), Some("session.created"));
    assert_eq!(on.replay("a").await, Replay::Queued);
    let claimed = on.claim_only("a").await;
    assert_eq!((claimed.run, claimed.data), (1, data));
    on.complete(&claimed.lease).await;
    assert_eq!(on.begin("a").await, Beginning::Completed);
}
