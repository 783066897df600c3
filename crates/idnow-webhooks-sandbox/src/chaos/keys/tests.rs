use std::collections::HashSet;

use chrono::TimeDelta;

use super::*;
use crate::Sandbox;

/// Everything is long ago.
fn later() -> DateTime<Utc> {
    clock::now() + TimeDelta::hours(1)
}

async fn ids(sandbox: &Sandbox, state: KeyState) -> Vec<String> {
    let keys = sandbox.keys().await.unwrap().into_iter();
    keys.filter(|key| key.state == state).map(|key| key.id).collect()
}

#[tokio::test]
async fn of_the_keys_that_it_has_rotated_away_only_the_last_few_stay_published() {
    let (sandbox, keys) = (Sandbox::start().await.unwrap(), Keys::default());
    let mut before = Vec::new();
    for _ in 0..KEPT + 3 {
        before.push(ids(&sandbox, KeyState::Active).await.remove(0));
        keys.rotate_now(sandbox.database(), later()).await.unwrap();
    }
    let (retired, kept) = before.split_at(3);
    assert_eq!(ids(&sandbox, KeyState::Retired).await, retired);
    assert_eq!(ids(&sandbox, KeyState::Published).await, kept);
    // The last one that was retired is what forgeries are signed with.
    let forging = keys.retired(sandbox.database(), sandbox.state().settings()).await.unwrap();
    assert_eq!(forging.id, retired[2]);
    assert_eq!(keys.lock().own.len(), KEPT + 1, "nothing is noted for ever");

    // What may still be under way keeps its key.
    for _ in 0..3 {
        keys.rotate_now(sandbox.database(), clock::now() - TimeDelta::hours(1)).await.unwrap();
    }
    assert_eq!(ids(&sandbox, KeyState::Published).await.len(), KEPT + 3);
}

#[tokio::test]
async fn what_others_have_rotated_away_is_left_alone() {
    let (sandbox, keys) = (Sandbox::start().await.unwrap(), Keys::default());
    let first = ids(&sandbox, KeyState::Active).await.remove(0);
    sandbox.rotate_keys().await.unwrap();
    for _ in 0..KEPT + 2 {
        assert!(keys.has_none_to_retire(&sandbox.database().now_known()) == keys.lock().own.is_empty());
        keys.rotate_now(sandbox.database(), later()).await.unwrap();
    }
    assert_eq!(ids(&sandbox, KeyState::Published).await[0], first);
    let known = sandbox.database().now_known();
    assert!(known.keys[0].private.is_some());
    let own = HashSet::from([known.keys[1].public.id.clone()]);
    assert_eq!(unused(&known, &own, later()).count(), 0, "retired already");
    let own = HashSet::from([first]);
    assert_eq!(unused(&known, &own, known.keys[1].created_at).count(), 0);
    assert_eq!(unused(&known, &own, later()).count(), 1);
}

#[tokio::test]
async fn who_has_too_little_time_keeps_to_the_key_before_for_a_while() {
    let (sandbox, keys) = (Sandbox::start().await.unwrap(), Keys::default());
    let database = sandbox.database();
    let first = ids(&sandbox, KeyState::Active).await.remove(0);
    let signing = |left| keys.signing(&database.now_known(), left).unwrap().id.clone();
    assert_eq!(signing(Duration::ZERO), first);
    keys.rotate_now(database, long_ago(sandbox.state().settings())).await.unwrap();
    let new = ids(&sandbox, KeyState::Active).await.remove(0);
    assert_eq!(signing(Duration::ZERO), first);
    assert_eq!(signing(Duration::from_secs(5)), first);
    assert_eq!(signing(RECEIVERS_PAUSE), new);
    // Whoever retires it wants it to sign nothing any more.
    sandbox.retire_key(&first).await.unwrap();
    let newest = || ids(&sandbox, KeyState::Active);
    assert_eq!(keys.signing(&database.now_known(), Duration::ZERO).unwrap().id, new);
    sandbox.rotate_keys().await.unwrap();
    assert_eq!(keys.signing(&database.now_known(), Duration::ZERO).unwrap().id, newest().await[0]);
}

#[tokio::test]
async fn without_time_for_receivers_to_learn_the_new_key_nothing_is_rotated() {
    let (sandbox, keys) = (Sandbox::start().await.unwrap(), Keys::default());
    let settings = sandbox.state().settings();
    assert!(!keys.rotate(sandbox.database(), settings, RECEIVERS_PAUSE).await);
    assert!(keys.rotate(sandbox.database(), settings, RECEIVERS_PAUSE + Duration::from_millis(1)).await);
    assert!(!keys.rotate(sandbox.database(), settings, Duration::MAX).await, "a moment ago");
    assert_eq!(sandbox.keys().await.unwrap().len(), 2);
}
