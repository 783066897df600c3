//! What is given up in the middle.

use std::pin::pin;
use std::task::Poll;

use super::*;

/// All of it in one transaction, in which it learns only of what it does itself.
#[tokio::test]
async fn a_beginning_after_a_purge_in_one_batch() {
    let place = Place::new();
    let store = place.store(MANY).await;
    insert(&store, 0..3).await;
    complete_all(&store).await;
    let mut other = connect(&place.file()).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let held_up = tokio::spawn(insert_one(store.clone(), 10));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begin = |number| {
        let store = store.clone();
        tokio::spawn(async move { store.begin(event(&id(number)), LEASE).await.unwrap() })
    };
    let first = begin(20);
    tokio::task::yield_now().await;
    let purge = tokio::spawn({
        let store = store.clone();
        async move { forget(&store, 100).await }
    });
    tokio::task::yield_now().await;
    let (known, new) = (begin(1), begin(21));
    tokio::time::sleep(Duration::from_millis(50)).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(held_up.await.unwrap(), Insertion::New);
    assert_eq!(purge.await.unwrap(), 3);
    for begun in [first, known, new] {
        assert!(matches!(begun.await.unwrap(), Beginning::Run(_)));
    }
    assert_sound(&place).await;
}

async fn insert_one(store: SqliteStore, number: usize) -> Insertion {
    store.insert(event(&id(number))).await.unwrap()
}

/// What a handler's transaction has learnt, and merged, is gone with it.
#[tokio::test]
async fn a_merge_that_a_handler_rolls_back() {
    for commits in [false, true] {
        let place = Place::new();
        let (here, there) = (place.store(FEW).await, place.store(MANY).await);
        insert(&here, 0..1).await;
        here.stop_upkeep();
        insert(&there, 1..100).await;
        let lease = claim(&here, MANY).await.pop().unwrap();
        let transaction = here.transaction_under(&lease).await.unwrap();
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        assert_eq!(insert(&here, 0..100).await, [Insertion::Duplicate; 100]);
        assert_sound(&place).await;
    }
}

/// Whoever goes away in the middle of learning must leave nothing half learnt.
#[tokio::test]
async fn a_caller_that_goes_away_while_it_catches_up() {
    for polls in 1..40 {
        let place = Place::new();
        let (here, there) = (place.store(MANY).await, place.store(MANY).await);
        insert(&here, 0..2).await;
        let lease = Lease::new(id(99), 1);
        here.transaction_under(&lease).await.unwrap_err();
        insert(&there, 2..3).await;
        complete_all(&there).await;
        insert(&there, 3..4).await;
        // Its position is the one at which `here` would go on.
        assert_eq!(forget(&there, MANY).await, 3);
        if polls % 2 == 0 {
            polled(here.transaction_under(&lease), polls / 2).await;
        } else {
            polled(here.insert(event(&id(0))), polls / 2 + 1).await;
        }
        assert_eq!(insert(&here, [3]).await, [Insertion::Duplicate], "{polls}");
        assert_sound(&place).await;
    }
}

/// Polls a future so often, and drops it.
async fn polled(future: impl Future, mut times: usize) {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        times -= 1;
        if future.as_mut().poll(context).is_ready() || times == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
