//! Which events a worker gets, and when.

use super::prelude::*;

pub(crate) async fn as_they_came_and_up_to_the_limit(on: Stage) {
    for (second, id) in (0..).zip(["c", "a", "b"]) {
        on.at(second);
        on.insert(id).await;
    }
    assert_eq!(ids(&on.claim(2).await), ["c", "a"]);
    assert_eq!(ids(&on.claim(2).await), ["b"]);
    assert_eq!(ids(&on.claim(2).await), [""; 0]);
}

/// Many arrive within one tick of the clock.
pub(crate) async fn as_they_came_also_at_the_same_time(on: Stage) {
    let names: Vec<_> = (0..50).map(|number| format!("event {}", number * 7919 % 1000)).collect();
    for id in &names {
        on.insert(id).await;
    }
    let claimed = [on.claim(20).await, on.claim(20).await, on.claim(20).await].concat();
    assert_eq!(ids(&claimed), names);
}

pub(crate) async fn what_is_due_for_longest_comes_first(on: Stage) {
    on.insert("a").await;
    on.retry(&on.claim_only("a").await.lease, 20).await;
    on.insert("b").await;
    on.retry(&on.claim_only("b").await.lease, 10).await;
    on.at(15);
    on.insert("c").await;
    on.at(30);
    on.insert("d").await;
    assert_eq!(ids(&on.claim(9).await), ["b", "c", "a", "d"]);
}

pub(crate) async fn nothing_before_it_is_due(on: Stage) {
    on.insert("a").await;
    on.retry(&on.claim_only("a").await.lease, 10).await;
    assert_eq!(on.get("a").await.due_at, Some(on.time(10)));
    on.at(9);
    on.claim_nothing().await;
    on.at(10);
    on.claim_only("a").await;
}

pub(crate) async fn a_wait_of_nothing_is_due_at_once(on: Stage) {
    on.insert("a").await;
    on.retry(&on.claim_only("a").await.lease, 0).await;
    assert_eq!(on.claim_only("a").await.run, 2);
}

pub(crate) async fn runs_are_counted(on: Stage) {
    on.insert("a").await;
    for run in 1..=12 {
        let claimed = on.claim_only("a").await;
        assert_eq!(claimed.run, run);
        assert_eq!(on.get("a").await.runs, run);
        match run % 3 {
            0 => on.retry(&claimed.lease, 0).await,
            1 => {
                on.store.release(&claimed.lease).await.unwrap();
                assert_eq!(on.get("a").await.runs, run - 1, "a run that was given back does not count");
                assert_eq!(on.claim_only("a").await.run, run);
                on.advance(LEASE);
            }
            _ => on.advance(LEASE),
        }
    }
}

pub(crate) async fn a_claimed_event_is_told_as_running(on: Stage) {
    on.insert("a").await;
    on.at(5);
    let claimed = on.claim_only("a").await;
    assert_eq!(claimed.data, on.get("a").await.data.unwrap());
    let stored = on.get("a").await;
    assert_eq!((stored.state, stored.due_at), (EventState::Running, Some(on.time(35))));
    assert_eq!((stored.received_at, stored.finished_at, stored.error), (on.time(0), None, None));
}

pub(crate) async fn how_a_run_ended_is_told(on: Stage) {
    on.insert("a").await;
    on.store.retry(&on.claim_only("a").await.lease, seconds(7), "first").await.unwrap();
    let stored = on.get("a").await;
    assert_eq!((stored.state, stored.due_at, stored.runs), (EventState::Waiting, Some(on.time(7)), 1));
    assert_eq!((stored.finished_at, stored.error.as_deref()), (None, Some("first")));
    on.at(7);
    let lease = on.claim_only("a").await.lease;
    on.at(8);
    on.store.bury(&lease, "second").await.unwrap();
    let stored = on.get("a").await;
    assert_eq!((stored.state, stored.due_at, stored.runs), (EventState::Dead, None, 2));
    assert_eq!((stored.finished_at, stored.error.as_deref()), (Some(on.time(8)), Some("second")));
    on.replay("a").await;
    let stored = on.get("a").await;
    assert_eq!((stored.state, stored.due_at, stored.runs), (EventState::Waiting, Some(on.time(8)), 0));
    assert_eq!((stored.finished_at, stored.error.as_deref()), (None, Some("second")));
    let lease = on.claim_only("a").await.lease;
    on.at(9);
    on.complete(&lease).await;
    let stored = on.get("a").await;
    assert_eq!((stored.state, stored.due_at, stored.runs), (EventState::Completed, None, 1));
    assert_eq!((stored.finished_at, stored.error), (Some(on.time(9)), None), "the last run did not fail");
}

/// With [`SessionOrder::Any`], two of one session at a time, and in no order but that of arrival.
pub(crate) async fn any_order_heeds_no_session(on: Stage) {
    on.insert_session("s", [3, 1, 2]).await;
    on.insert_event(without_session("a")).await;
    let claimed = on.claim_by(9, SessionOrder::Any).await;
    let all = [("s3", Order::Unchecked), ("s1", Order::Unchecked), ("s2", Order::Unchecked)];
    assert_eq!(places(&claimed), [&all[..], &[("a", Order::Unchecked)]].concat());
}

pub(crate) async fn eight_at_once_never_share_an_event(on: Stage) {
    for order in [SessionOrder::Any, SessionOrder::default(), grace(60)] {
        let prefix = format!("{order:?}");
        let new = (0..500).map(|number| {
            let (store, id) = (Arc::clone(&on.store), format!("{prefix} {number}"));
            async move { store.insert(event(&id)).await.unwrap() }
        });
        assert_eq!(at_once(new).await, [Insertion::New; 500]);
        let stores = [Arc::clone(&on.store), on.another().await];
        let claims = (0..8).map(|worker| {
            let store = Arc::clone(&stores[worker % 2]);
            async move {
                let mut mine = Vec::new();
                loop {
                    let limit = 1 + mine.len() % 17;
                    let claimed = store.claim(Claim { limit, lease: LEASE, order }).await.unwrap();
                    assert!(claimed.len() <= limit);
                    mine.extend(claimed.iter().map(|event| event.lease.event_id.to_string()));
                    if claimed.is_empty() {
                        return mine;
                    }
                }
            }
        });
        let mut claimed = at_once(claims).await.concat();
        // One that looked while another one was at work may have found nothing.
        claimed.extend(ids(&on.claim_by(1000, order).await).into_iter().map(str::to_owned));
        assert_eq!(claimed.len(), 500);
        assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), 500);
        assert!(claimed.iter().all(|id| id.starts_with(&prefix)));
    }
}
