//! Many events that wait for one: they must not stand in the way of the others.

use super::prelude::*;

const CROWD: u64 = 10_000;
/// Far fewer than there are in the crowd: a claim looks at many of them at once, but at a bounded number.
const CLAIMS: usize = 200;

async fn crowd(on: &Stage) {
    let crowd = (1..=CROWD).map(|number| {
        let store = Arc::clone(&on.store);
        async move { store.insert(in_session(&format!("s{number}"), "s", number)).await.unwrap() }
    });
    on.insert_session("s", [0]).await;
    assert_eq!(at_once(crowd).await.len() as u64, CROWD);
}

/// How many claims it takes to find this event, claiming nothing else.
async fn claims_until(on: &Stage, id: &str) -> usize {
    for claims in 1..=CLAIMS {
        let claimed = on.claim_by(4, grace(3600)).await;
        if !claimed.is_empty() {
            assert_eq!(ids(&claimed), [id]);
            return claims;
        }
    }
    panic!("{id} was not found in {CLAIMS} claims");
}

pub(crate) async fn followers_of_one_that_runs(on: Stage) {
    crowd(&on).await;
    let head = on.claim_by(1, grace(3600)).await.remove(0).lease;
    assert_eq!(&*head.event_id, "s0");
    on.insert("a").await;
    claims_until(&on, "a").await;
    on.insert("b").await;
    assert_eq!(claims_until(&on, "b").await, 1, "the followers have been put off");
    on.complete(&head).await;
    // All of them are due again, and only the first is not held back.
    claims_until(&on, "s1").await;
}

pub(crate) async fn followers_of_one_that_waits(on: Stage) {
    crowd(&on).await;
    let head = on.claim_by(1, grace(3600)).await.remove(0).lease;
    on.retry(&head, 600).await;
    on.insert("a").await;
    claims_until(&on, "a").await;
    on.insert("b").await;
    assert_eq!(claims_until(&on, "b").await, 1, "the followers have been put off");
}

/// Each of many sessions has one event too many.
pub(crate) async fn many_that_wait_for_missing_ones(on: Stage) {
    let waiting = (0..2000).map(|number| {
        let store = Arc::clone(&on.store);
        async move { store.insert(in_session(&format!("w{number}"), &format!("s{number}"), 2)).await.unwrap() }
    });
    assert_eq!(at_once(waiting).await, [Insertion::New; 2000]);
    on.insert("a").await;
    claims_until(&on, "a").await;
    on.insert("b").await;
    assert_eq!(claims_until(&on, "b").await, 1, "the others have been put off");
    on.advance(seconds(3600));
    let mut claimed = 0;
    for _ in 0..CLAIMS {
        claimed += on.claim_by(100, grace(3600)).await.len();
    }
    // The two that were claimed first have run out of their leases as well.
    assert_eq!(claimed, 2002);
}
