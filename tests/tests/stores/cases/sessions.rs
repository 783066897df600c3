//! The events of one session, by default: one at a time, in sequence among what is here.

use super::prelude::*;

/// Completes everything that is to be had until nothing is, and tells in which order.
async fn handle_all(on: &Stage) -> Vec<(String, Order)> {
    let mut handled = Vec::new();
    loop {
        let claimed = on.claim(100).await;
        if claimed.is_empty() {
            return handled;
        }
        for event in claimed {
            on.complete(&event.lease).await;
            handled.push((event.lease.event_id.to_string(), event.order));
        }
    }
}

fn told(handled: &[(String, Order)]) -> Vec<(&str, Order)> {
    handled.iter().map(|(id, order)| (id.as_str(), *order)).collect()
}

pub(crate) async fn one_at_a_time_and_in_sequence(on: Stage) {
    on.insert_session("s", [3, 1, 4, 2]).await;
    for expected in ["s1", "s2", "s3", "s4"] {
        let claimed = on.claim(9).await;
        assert_eq!(places(&claimed), [(expected, Order::InSequence)]);
        on.claim_nothing().await;
        on.advance(seconds(5));
        on.claim_nothing().await;
        on.complete(&claimed[0].lease).await;
    }
    on.claim_nothing().await;
}

/// Numbers that are longer come after those that are shorter.
pub(crate) async fn in_sequence_by_number(on: Stage) {
    on.insert_session("s", (1..=12).rev()).await;
    let expected: Vec<_> = (1..=12).map(|number| (format!("s{number}"), Order::InSequence)).collect();
    assert_eq!(handle_all(&on).await, expected);
}

pub(crate) async fn followers_wait_for_one_that_is_retried(on: Stage) {
    on.insert_session("s", [1, 2]).await;
    for run in 1..=3 {
        let head = on.claim_only("s1").await;
        assert_eq!((head.run, head.order), (run, Order::InSequence));
        on.retry(&head.lease, 600).await;
        on.advance(seconds(599));
        on.claim_nothing().await;
        on.advance(seconds(1));
    }
    on.complete(&on.claim_only("s1").await.lease).await;
    assert_eq!(on.claim_only("s2").await.order, Order::InSequence);
}

pub(crate) async fn followers_pass_one_that_is_buried(on: Stage) {
    on.insert_session("s", [1, 2, 3]).await;
    on.bury(&on.claim_only("s1").await.lease).await;
    let second = on.claim_only("s2").await;
    assert_eq!(second.order, Order::AfterGap);
    on.complete(&second.lease).await;
    assert_eq!(on.claim_only("s3").await.order, Order::InSequence);
}

pub(crate) async fn followers_wait_for_one_that_is_released(on: Stage) {
    on.insert_session("s", [1, 2]).await;
    on.store.release(&on.claim_only("s1").await.lease).await.unwrap();
    assert_eq!(on.claim_only("s1").await.order, Order::InSequence);
}

/// Whoever held it may still be at work, but not under its lease: the event itself runs again, and not the next one.
pub(crate) async fn followers_wait_for_one_whose_lease_ran_out(on: Stage) {
    on.insert_session("s", [1, 2]).await;
    let first = on.claim_only("s1").await;
    on.claim_nothing().await;
    on.advance(LEASE);
    let again = on.claim_only("s1").await;
    assert_eq!(again.run, 2);
    on.assert_lost(&first.lease).await;
    on.advance(LEASE);
    on.complete(&again.lease).await;
    on.claim_only("s2").await;
}

pub(crate) async fn followers_wait_while_a_lease_is_extended(on: Stage) {
    on.insert_session("s", [1, 2]).await;
    let first = on.claim_only("s1").await.lease;
    for beat in 1..=10 {
        on.at(beat * 20);
        on.store.extend(&first, LEASE).await.unwrap();
        on.claim_nothing().await;
    }
    on.complete(&first).await;
    on.claim_only("s2").await;
}

pub(crate) async fn a_lower_one_waits_while_a_higher_one_runs(on: Stage) {
    on.insert_session("s", [5]).await;
    let higher = on.claim_only("s5").await;
    assert_eq!(higher.order, Order::AfterGap);
    on.insert_session("s", [4, 3]).await;
    on.claim_nothing().await;
    on.complete(&higher.lease).await;
    assert_eq!(told(&handle_all(&on).await), [("s3", Order::Late), ("s4", Order::Late)]);
}

/// The higher one failed, so nothing is late yet.
pub(crate) async fn a_lower_one_goes_before_a_higher_one_that_is_retried(on: Stage) {
    on.insert_session("s", [2]).await;
    let higher = on.claim_only("s2").await.lease;
    on.insert_session("s", [1]).await;
    on.claim_nothing().await;
    on.retry(&higher, 60).await;
    let lower = on.claim_only("s1").await;
    assert_eq!(lower.order, Order::InSequence);
    on.at(60);
    on.store.extend(&lower.lease, LEASE).await.unwrap();
    on.claim_nothing().await;
    on.complete(&lower.lease).await;
    assert_eq!(on.claim_only("s2").await.order, Order::InSequence);
}

pub(crate) async fn a_lower_one_goes_before_a_higher_one_whose_lease_ran_out(on: Stage) {
    on.insert_session("s", [2]).await;
    let higher = on.claim_only("s2").await.lease;
    on.insert_session("s", [1]).await;
    on.claim_nothing().await;
    on.advance(LEASE);
    let lower = on.claim_only("s1").await;
    assert_eq!(lower.order, Order::InSequence);
    on.complete(&lower.lease).await;
    assert_eq!(on.claim_only("s2").await.order, Order::InSequence);
    on.assert_lost(&higher).await;
}

/// What it holds back waits for the end of its lease, wherever that is now.
pub(crate) async fn a_lower_one_goes_when_a_shortened_lease_of_a_higher_one_ran_out(on: Stage) {
    on.insert_session("s", [2]).await;
    let higher = on.claim_only("s2").await.lease;
    on.insert_session("s", [1]).await;
    on.claim_nothing().await;
    on.store.extend(&higher, seconds(5)).await.unwrap();
    on.claim_nothing().await;
    on.at(5);
    assert_eq!(on.claim_only("s1").await.order, Order::InSequence);
}

/// More than are looked at one by one, the first one last.
pub(crate) async fn in_sequence_among_many_new_ones(on: Stage) {
    on.insert_session("t", (2..=1500).rev()).await;
    on.insert_session("s", (2..=200).rev()).await;
    on.insert_session("t", [1]).await;
    on.insert_session("s", [1]).await;
    for number in 1..=3 {
        // A claim looks at so many and no more.
        let mut claimed = Vec::new();
        for _ in 0..100 {
            claimed.extend(on.claim(9).await);
        }
        let expected = [format!("s{number}"), format!("t{number}")];
        assert_eq!(
            ids(&claimed).into_iter().collect::<BTreeSet<_>>(),
            expected.iter().map(|id| &**id).collect()
        );
        for event in claimed {
            assert_eq!(event.order, Order::InSequence);
            on.complete(&event.lease).await;
        }
    }
}

/// Those that were new when one at a time was asked for, and those that came when it was not.
pub(crate) async fn in_sequence_after_a_time_without_order(on: Stage) {
    on.insert_session("s", [3, 2]).await;
    let first = on.claim(1).await.remove(0).lease;
    assert_eq!(&*first.event_id, "s2");
    on.insert_session("s", [1, 5, 4]).await;
    let claimed = on.claim_by(2, SessionOrder::Any).await;
    assert_eq!(claimed.len(), 2);
    on.claim_nothing().await;
    on.complete(&first).await;
    for event in &claimed {
        on.complete(&event.lease).await;
    }
    let done: BTreeSet<_> = ids(&claimed).into_iter().chain(["s2"]).collect();
    let left = ["s1", "s2", "s3", "s4", "s5"].into_iter().filter(|id| !done.contains(id));
    for expected in left {
        on.complete(&on.claim_only(expected).await.lease).await;
    }
}

pub(crate) async fn a_late_one_is_told_so(on: Stage) {
    on.insert_session("s", [3]).await;
    assert_eq!(told(&handle_all(&on).await), [("s3", Order::AfterGap)]);
    on.insert_session("s", [2, 4]).await;
    assert_eq!(told(&handle_all(&on).await), [("s2", Order::Late), ("s4", Order::InSequence)]);
    on.insert_session("s", [1, 6]).await;
    assert_eq!(told(&handle_all(&on).await), [("s1", Order::Late), ("s6", Order::AfterGap)]);
}

pub(crate) async fn two_with_the_same_number(on: Stage) {
    for id in ["b", "a", "c"] {
        on.insert_event(in_session(id, "s", 1)).await;
    }
    for (expected, order) in [("b", Order::InSequence), ("a", Order::Late), ("c", Order::Late)] {
        let claimed = on.claim_only(expected).await;
        assert_eq!(claimed.order, order);
        on.claim_nothing().await;
        on.complete(&claimed.lease).await;
    }
}

/// As one arrives that goes before the one that waits.
pub(crate) async fn in_sequence_whatever_was_looked_at_before(on: Stage) {
    on.insert_session("s", [1, 4]).await;
    let first = on.claim_only("s1").await.lease;
    on.claim_nothing().await;
    on.insert_session("s", [2]).await;
    on.claim_nothing().await;
    on.insert_session("s", [3]).await;
    on.complete(&first).await;
    let expected: Vec<_> = (2..=4).map(|number| (format!("s{number}"), Order::InSequence)).collect();
    assert_eq!(handle_all(&on).await, expected);
}

pub(crate) async fn events_without_a_session_hold_nobody_back(on: Stage) {
    for id in ["a", "b", "c"] {
        on.insert_event(without_session(id)).await;
    }
    let all = [("a", Order::Unchecked), ("b", Order::Unchecked), ("c", Order::Unchecked)];
    let claimed = on.claim(9).await;
    assert_eq!(places(&claimed), all);
    on.insert_event(without_session("d")).await;
    assert_eq!(on.claim_only("d").await.order, Order::Unchecked);
    on.insert_event(without_session("e")).await;
    assert_eq!(places(&on.claim_by(9, grace(3600)).await), [("e", Order::Unchecked)]);
}

pub(crate) async fn sessions_hold_each_other_not_back(on: Stage) {
    let sessions = ["p", "q", "r", "s", "t"];
    for number in [2, 1, 3] {
        for session in sessions {
            on.insert_session(session, [number]).await;
        }
    }
    for number in 1..=3 {
        let claimed = on.claim(100).await;
        let expected = sessions.map(|session| format!("{session}{number}"));
        assert_eq!(
            ids(&claimed).into_iter().collect::<BTreeSet<_>>(),
            expected.iter().map(|id| &**id).collect()
        );
        for event in claimed {
            assert_eq!(event.order, Order::InSequence);
            on.complete(&event.lease).await;
        }
    }
}

/// Within one claim, too, and whatever the limit.
pub(crate) async fn never_two_of_one_session_in_one_claim(on: Stage) {
    for number in 1..=10 {
        on.insert_session("a", [number]).await;
        on.insert_session("b", [11 - number]).await;
    }
    assert_eq!(ids(&on.claim(20).await).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(["a1", "b1"]));
    on.claim_nothing().await;
}

/// A replica that heeds no order took two at once; one that does waits for both.
pub(crate) async fn while_two_run_at_once(on: Stage) {
    on.insert_session("s", [1, 2]).await;
    let claimed = on.claim_by(9, SessionOrder::Any).await;
    on.insert_session("s", [3]).await;
    on.complete(&claimed[0].lease).await;
    on.claim_nothing().await;
    on.complete(&claimed[1].lease).await;
    assert_eq!(on.claim_only("s3").await.order, Order::InSequence);
}
