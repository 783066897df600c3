//! The machine's clock is set back by an hour.

use super::prelude::*;

/// Whatever is new is to be had all the same, in its order.
pub(crate) async fn what_came_before_it_went_back(on: Stage) {
    on.at(3600);
    on.insert("a").await;
    on.insert_session("s", [2, 1]).await;
    on.insert_session("t", [2]).await;
    on.at(0);
    on.insert("b").await;
    assert_eq!(on.store.backlog().await.unwrap().waiting, 5);
    let claimed = on.claim_by(9, grace(10)).await;
    assert_eq!(ids(&claimed).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(["a", "b", "s1"]));
    for event in &claimed {
        on.complete(&event.lease).await;
    }
    on.at(10);
    let claimed = on.claim_by(9, grace(10)).await;
    let places: BTreeMap<_, _> = places(&claimed).into_iter().collect();
    assert_eq!(places.get("t2"), Some(&Order::AfterGap), "the grace counts from when it was first looked at");
}

/// As above, in no order.
pub(crate) async fn what_came_before_it_went_back_in_any_order(on: Stage) {
    on.at(3600);
    on.insert_session("s", [2, 1]).await;
    on.at(0);
    assert_eq!(ids(&on.claim_by(9, SessionOrder::Any).await), ["s2", "s1"]);
}

/// One that was held back has never run, so nothing but its turn is waited for.
pub(crate) async fn what_was_held_back_before_it_went_back(on: Stage) {
    on.at(3600);
    on.insert_session("s", [1, 2]).await;
    let first = on.claim_only("s1").await.lease;
    on.at(0);
    on.claim_nothing().await;
    on.complete(&first).await;
    on.complete(&on.claim_only("s2").await.lease).await;
}
