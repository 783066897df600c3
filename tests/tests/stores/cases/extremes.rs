//! Numbers and times at the ends of what can be said: no error, no panic, and nothing done that was not asked for.

use super::prelude::*;

/// Durable stores may keep no number above this.
const HIGHEST: u64 = i64::MAX as u64;

pub(crate) async fn sequence_numbers_without_an_end(on: Stage) {
    for (id, sequence) in [("a", u64::MAX), ("b", HIGHEST), ("c", HIGHEST - 1), ("d", 0), ("e", 1)] {
        assert_eq!(on.insert_event(in_session(id, "s", sequence)).await, Insertion::New);
        assert_eq!(on.get(id).await.sequence.min(HIGHEST), sequence.min(HIGHEST));
    }
    let mut handled = Vec::new();
    while let [event] = on.claim(9).await.as_slice() {
        on.complete(&event.lease).await;
        handled.push((event.lease.event_id.to_string(), event.order));
    }
    let handled: Vec<_> = handled.iter().map(|(id, order)| (id.as_str(), *order)).collect();
    assert_eq!(handled[..3], [("d", Order::Late), ("e", Order::InSequence), ("c", Order::AfterGap)]);
    // The last two may have the same number by now.
    assert_eq!(handled.len(), 5);
    assert_eq!(on.insert_event(in_session("f", "s", u64::MAX)).await, Insertion::New);
    assert_eq!(places(&on.claim(9).await), [("f", Order::Late)]);
}

pub(crate) async fn leases_for_ever(on: Stage) {
    on.insert("a").await;
    let claim = Claim { limit: 1, lease: Duration::MAX, order: SessionOrder::default() };
    let lease = on.store.claim(claim).await.unwrap().remove(0).lease;
    on.advance(seconds(20 * 24 * 3600));
    on.claim_nothing().await;
    on.store.extend(&lease, Duration::MAX).await.unwrap();
    on.claim_nothing().await;
    on.complete(&lease).await;
    assert!(matches!(on.store.begin(event("b"), Duration::MAX).await.unwrap(), Beginning::Run(_)));
    assert_eq!(on.begin("b").await, Beginning::Running);
}

pub(crate) async fn waits_for_ever(on: Stage) {
    on.insert("a").await;
    let lease = on.claim_only("a").await.lease;
    on.store.retry(&lease, Duration::MAX, "failed").await.unwrap();
    on.advance(seconds(20 * 24 * 3600));
    on.claim_nothing().await;
    assert_eq!(on.replay("a").await, Replay::Queued);
    on.claim_only("a").await;
}

pub(crate) async fn a_grace_for_ever(on: Stage) {
    on.insert_session("s", [2]).await;
    let for_ever = SessionOrder::Sequence { grace: Duration::MAX };
    assert_eq!(places(&on.claim_by(9, for_ever).await), []);
    on.insert_session("s", [1]).await;
    for expected in ["s1", "s2"] {
        let claimed = on.claim_by(9, for_ever).await;
        assert_eq!(places(&claimed), [(expected, Order::InSequence)]);
        on.complete(&claimed[0].lease).await;
    }
}

pub(crate) async fn ages_for_ever(on: Stage) {
    on.completed("a").await;
    let purge = Purge { state: EventState::Completed, older_than: Duration::MAX, limit: usize::MAX };
    assert_eq!(on.store.purge(purge).await.unwrap(), 0);
    assert_eq!(on.state("a").await, Some(EventState::Completed));
}

pub(crate) async fn limits_without_an_end(on: Stage) {
    for id in ["a", "b"] {
        on.insert(id).await;
    }
    let claimed = on.claim(usize::MAX).await;
    assert_eq!(ids(&claimed), ["a", "b"]);
    assert_eq!(on.all().await, ["b", "a"]);
    for event in &claimed {
        on.bury(&event.lease).await;
    }
    assert_eq!(on.store.replay_dead(usize::MAX).await.unwrap(), 2);
    for event in on.claim(usize::MAX).await {
        on.complete(&event.lease).await;
    }
    assert_eq!(on.purge(EventState::Completed, 0, usize::MAX).await, 2);
}

pub(crate) async fn limits_of_nothing(on: Stage) {
    on.completed("a").await;
    on.dead("b").await;
    on.insert("c").await;
    assert_eq!(ids(&on.claim(0).await), [""; 0]);
    assert_eq!(on.list(&EventFilter::default()).await, [""; 0]);
    assert_eq!(on.store.replay_dead(0).await.unwrap(), 0);
    assert_eq!(on.purge(EventState::Completed, 0, 0).await, 0);
    assert_eq!(on.purge(EventState::Dead, 0, 0).await, 0);
    assert_eq!(on.claim_only("c").await.run, 1);
}

pub(crate) async fn positions_at_the_ends(on: Stage) {
    on.insert("a").await;
    let before = |position| EventFilter { before: Some(position), limit: 9, ..EventFilter::default() };
    assert_eq!(on.list(&before(i64::MAX)).await, ["a"]);
    assert_eq!(on.list(&before(i64::MIN)).await, [""; 0]);
}

pub(crate) async fn tokens_that_were_never_given(on: Stage) {
    on.insert("a").await;
    on.assert_lost(&Lease::new("a", 0)).await;
    let lease = on.claim_only("a").await.lease;
    for token in [0, lease.token.wrapping_sub(1), lease.token + 1, HIGHEST, HIGHEST + 1, u64::MAX] {
        on.assert_lost(&Lease::new("a", token)).await;
        on.assert_lost(&Lease::new("unknown", token)).await;
    }
    on.complete(&lease).await;
    for token in [0, lease.token + 1, u64::MAX] {
        on.assert_lost(&Lease::new("a", token)).await;
    }
}

/// The machine's clock is set back by an hour: nothing fails, and nothing runs twice at once.
pub(crate) async fn a_clock_that_goes_back(on: Stage) {
    on.insert_session("s", [1, 2]).await;
    on.insert("waits").await;
    let held = on.claim(1).await.remove(0).lease;
    assert_eq!(&*held.event_id, "s1");
    on.at(-3600);
    assert_eq!(on.insert("new").await, Insertion::New);
    let claimed = on.claim(9).await;
    assert!(ids(&claimed).contains(&"new"));
    assert!(!ids(&claimed).iter().any(|id| id.starts_with('s')), "its session runs");
    let backlog = on.store.backlog().await.unwrap();
    assert!(backlog.oldest_waiting.is_some(), "{backlog:?}");
    assert_eq!(on.purge(EventState::Completed, 0, 9).await, 0);
    on.complete(&held).await;
    on.at(0);
    on.claim(9).await;
    assert_eq!(on.state("s2").await, Some(EventState::Running));
}
