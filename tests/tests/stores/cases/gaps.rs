//! Waiting for events that have not arrived.

use super::prelude::*;

const GRACE: u64 = 60;

async fn claim(on: &Stage) -> Vec<ClaimedEvent> {
    on.claim_by(100, grace(GRACE)).await
}

async fn claim_only(on: &Stage, id: &str, order: Order) -> Lease {
    let mut claimed = claim(on).await;
    assert_eq!(places(&claimed), [(id, order)]);
    claimed.remove(0).lease
}

pub(crate) async fn the_first_one_is_not_waited_for(on: Stage) {
    on.insert_session("s", [1]).await;
    on.complete(&claim_only(&on, "s1", Order::InSequence).await).await;
    on.insert_session("s", [2]).await;
    claim_only(&on, "s2", Order::InSequence).await;
}

pub(crate) async fn a_missing_one_is_waited_for_and_passed(on: Stage) {
    on.at(10);
    on.insert_session("s", [2]).await;
    assert_eq!(ids(&claim(&on).await), [""; 0]);
    on.at(69);
    assert_eq!(ids(&claim(&on).await), [""; 0]);
    on.at(70);
    claim_only(&on, "s2", Order::AfterGap).await;
}

/// Each counts its wait from its own arrival.
pub(crate) async fn a_second_gap_is_waited_for_anew(on: Stage) {
    on.insert_session("s", [2]).await;
    on.at(50);
    on.insert_session("s", [4]).await;
    on.at(60);
    on.complete(&claim_only(&on, "s2", Order::AfterGap).await).await;
    assert_eq!(ids(&claim(&on).await), [""; 0]);
    on.at(109);
    assert_eq!(ids(&claim(&on).await), [""; 0]);
    on.at(110);
    claim_only(&on, "s4", Order::AfterGap).await;
}

pub(crate) async fn a_missing_one_that_arrives_in_time(on: Stage) {
    on.insert_session("s", [3]).await;
    assert_eq!(ids(&claim(&on).await), [""; 0]);
    on.at(30);
    on.insert_session("s", [2]).await;
    assert_eq!(ids(&claim(&on).await), [""; 0]);
    on.insert_session("s", [1]).await;
    for expected in ["s1", "s2", "s3"] {
        // The last ones have been looked at before, and are handled at once all the same.
        on.complete(&claim_only(&on, expected, Order::InSequence).await).await;
    }
}

pub(crate) async fn a_missing_one_that_arrives_too_late(on: Stage) {
    on.insert_session("s", [2]).await;
    on.at(60);
    let second = claim_only(&on, "s2", Order::AfterGap).await;
    on.insert_session("s", [1]).await;
    assert_eq!(ids(&claim(&on).await), [""; 0]);
    on.complete(&second).await;
    claim_only(&on, "s1", Order::Late).await;
}

/// A late one has nothing to wait for.
pub(crate) async fn a_late_one_is_not_kept_waiting(on: Stage) {
    on.insert_session("s", [1]).await;
    on.complete(&claim_only(&on, "s1", Order::InSequence).await).await;
    on.insert_session("s", [5]).await;
    on.at(60);
    on.complete(&claim_only(&on, "s5", Order::AfterGap).await).await;
    on.insert_session("s", [3]).await;
    claim_only(&on, "s3", Order::Late).await;
}

/// The dead letter may be replayed within the time.
pub(crate) async fn a_buried_one_is_waited_for_as_if_missing(on: Stage) {
    on.insert_session("s", [1, 2]).await;
    let first = claim_only(&on, "s1", Order::InSequence).await;
    on.at(20);
    on.bury(&first).await;
    assert_eq!(ids(&claim(&on).await), [""; 0]);
    on.at(60);
    claim_only(&on, "s2", Order::AfterGap).await;
}

pub(crate) async fn a_buried_one_that_is_replayed_in_time(on: Stage) {
    on.insert_session("s", [1, 2]).await;
    on.bury(&claim_only(&on, "s1", Order::InSequence).await).await;
    assert_eq!(ids(&claim(&on).await), [""; 0]);
    on.at(10);
    assert_eq!(on.replay("s1").await, Replay::Queued);
    on.complete(&claim_only(&on, "s1", Order::InSequence).await).await;
    claim_only(&on, "s2", Order::InSequence).await;
}

/// Time spent behind others counts as well.
pub(crate) async fn time_behind_one_that_runs_counts(on: Stage) {
    on.insert_session("s", [1]).await;
    let first = claim_only(&on, "s1", Order::InSequence).await;
    on.insert_session("s", [3]).await;
    on.at(29);
    on.store.extend(&first, seconds(100)).await.unwrap();
    on.at(61);
    on.complete(&first).await;
    claim_only(&on, "s3", Order::AfterGap).await;
}

pub(crate) async fn other_sessions_go_on_meanwhile(on: Stage) {
    on.insert_session("s", [2]).await;
    on.insert_session("t", [1]).await;
    on.insert_event(without_session("a")).await;
    assert_eq!(ids(&claim(&on).await).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(["a", "t1"]));
    on.insert_session("u", [1]).await;
    claim_only(&on, "u1", Order::InSequence).await;
}

/// It failed, and the missing one came before it ran again.
pub(crate) async fn a_gap_that_is_closed_before_the_next_run(on: Stage) {
    on.insert_session("s", [2]).await;
    on.at(60);
    let first = claim_only(&on, "s2", Order::AfterGap).await;
    on.retry(&first, 10).await;
    on.insert_session("s", [1]).await;
    let lower = claim_only(&on, "s1", Order::InSequence).await;
    on.complete(&lower).await;
    on.at(70);
    claim_only(&on, "s2", Order::InSequence).await;
}
