//! Group commit, and who writes when.

use crate::common::*;
use idnow_webhooks_core::store::*;
use idnow_webhooks_sqlite::sqlx;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn insertions_at_the_same_time_share_commits() {
    let folder = Folder::new();
    let store = folder.store().await;
    let before = commits(&folder.file());
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.insert(event(&number.to_string())).await.unwrap() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Insertion::New);
    }
    let shared = commits(&folder.file()) - before;
    assert!((1..=16).contains(&shared), "64 insertions in {shared} commits");
    assert_eq!(store.backlog().await.unwrap().waiting, 64);

    let before = commits(&folder.file());
    for number in 0..8 {
        store.insert(event(&format!("alone {number}"))).await.unwrap();
    }
    assert_eq!(commits(&folder.file()) - before, 8, "the counter counts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_a_statement_and_mixed_work_in_one_batch() {
    let folder = Folder::new();
    let store = folder.store().await;
    for number in 0..20 {
        store.insert(event(&format!("old {number}"))).await.unwrap();
    }
    let leases = store.claim(all(20)).await.unwrap();
    // Everything piles up behind this.
    let mut other = connect(&folder.file()).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let inserts: Vec<_> = (0..300)
        .map(|number| {
            let store = store.clone();
            // Each id three times.
            tokio::spawn(async move { store.insert(event(&format!("new {}", number % 100))).await.unwrap() })
        })
        .collect();
    let settles: Vec<_> = leases
        .into_iter()
        .map(|claimed| {
            let store = store.clone();
            tokio::spawn(async move { store.complete(&claimed.lease).await.unwrap() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = commits(&folder.file());
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    let mut new = 0;
    for insert in inserts {
        new += usize::from(insert.await.unwrap() == Insertion::New);
    }
    for settle in settles {
        settle.await.unwrap();
    }
    assert_eq!(new, 100, "each id is new once");
    let shared = commits(&folder.file()) - before;
    assert!(shared <= 8, "{shared} commits");
    assert_eq!(store.completed().await.unwrap(), 20);
    assert_eq!(store.backlog().await.unwrap().waiting, 100);
}

#[tokio::test]
async fn the_same_event_twice_in_a_batch_is_new_once() {
    let folder = Folder::new();
    let store = folder.store().await;
    let uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
    let (a, b, c) =
        tokio::join!(store.insert(event(uuid)), store.insert(event(uuid)), store.insert(event("other")));
    assert_eq!((a.unwrap(), b.unwrap(), c.unwrap()), (Insertion::New, Insertion::Duplicate, Insertion::New));
    assert_eq!(store.get(uuid).await.unwrap().unwrap().id, uuid);
    assert_eq!(store.insert(event(&uuid.to_uppercase())).await.unwrap(), Insertion::New);
}

#[tokio::test]
async fn a_caller_that_goes_away_breaks_nothing() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut other = connect(&folder.file()).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let first = tokio::spawn({
        let store = store.clone();
        async move { store.insert(event("first")).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    // These two wait behind the first, in one batch.
    let gone = tokio::spawn({
        let store = store.clone();
        async move { store.insert(event("gone")).await }
    });
    let stays = tokio::spawn({
        let store = store.clone();
        async move { store.insert(event("stays")).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    gone.abort();
    tokio::time::sleep(Duration::from_millis(50)).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(first.await.unwrap().unwrap(), Insertion::New);
    assert_eq!(stays.await.unwrap().unwrap(), Insertion::New);
    assert!(store.get("gone").await.unwrap().is_none(), "nobody waited for it any more");
}

#[tokio::test]
async fn reading_does_not_wait_for_writing() {
    let folder = Folder::new();
    let store = folder.store().await;
    store.insert(event("a")).await.unwrap();
    let mut other = connect(&folder.file()).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let started = Instant::now();
    assert_eq!(store.backlog().await.unwrap().waiting, 1);
    assert_eq!(store.list(&EventFilter { limit: 9, ..EventFilter::default() }).await.unwrap().len(), 1);
    assert!(started.elapsed() < SECOND);
}

#[tokio::test]
async fn an_insertion_ends_the_wait_of_every_worker() {
    let folder = Folder::new();
    let store = folder.store().await;
    let waits: Vec<_> = (0..3)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.changed().await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    store.insert(event("a")).await.unwrap();
    for wait in waits {
        tokio::time::timeout(SECOND, wait).await.unwrap().unwrap();
    }
    // One that happens between two calls.
    tokio::time::timeout(SECOND, store.changed()).await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(100), store.changed()).await;
    assert!(nothing.is_err());
}

#[tokio::test]
async fn a_store_that_is_dropped_lets_go_of_the_file() {
    let folder = Folder::new();
    let store = folder.store().await;
    store.insert(event("a")).await.unwrap();
    drop(store);
    let log = folder.path().join("events.db-wal");
    for _ in 0..100 {
        if !log.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the log is still there: the file is still open");
}

#[tokio::test]
async fn events_of_a_session_come_one_by_one_even_behind_many_others() {
    let folder = Folder::new();
    let store = folder.store().await;
    // More than a claim looks at in one round, all but one of them held back.
    for number in (1..=400).rev() {
        store.insert(event_of("s", number)).await.unwrap();
    }
    store.insert(event("other")).await.unwrap();
    let mut claimed = Vec::new();
    for _ in 0..4 {
        claimed.extend(store.claim(all(4)).await.unwrap());
    }
    let ids: Vec<_> = claimed.iter().map(|claimed| claimed.lease.event_id.to_string()).collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert!(ids.contains(&"s-1".to_owned()) && ids.contains(&"other".to_owned()), "{ids:?}");
    let mut first = claimed.into_iter().find(|claimed| &*claimed.lease.event_id == "s-1").unwrap();
    for number in 2..10 {
        store.complete(&first.lease).await.unwrap();
        first = claim_one(&store).await;
        assert_eq!(*first.lease.event_id, *format!("s-{number}"));
    }
}

#[tokio::test]
async fn events_of_inline_mode_make_no_difference_to_others_of_their_session() {
    let folder = Folder::new();
    let store = folder.store().await;
    let Beginning::Run(lease) = store.begin(event_of("s", 5), 60 * SECOND).await.unwrap() else { panic!() };
    store.insert(event_of("s", 3)).await.unwrap();
    let filter = EventFilter { session_id: Some("s".to_owned()), limit: 9, ..EventFilter::default() };
    assert_eq!(store.list(&filter).await.unwrap().len(), 2);
    let claim = Claim { order: SessionOrder::Sequence { grace: Duration::ZERO }, ..all(9) };
    let claimed = store.claim(claim).await.unwrap();
    assert_eq!(claimed.len(), 1, "it does not wait for one that runs inline");
    store.release(&claimed[0].lease).await.unwrap();
    store.complete(&lease).await.unwrap();
    let again = store.claim(claim).await.unwrap();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].order, claimed[0].order, "nor is it late because of one");
}

#[tokio::test]
async fn a_check_writes() {
    let folder = Folder::new();
    let store = folder.store().await;
    store.insert(event("a")).await.unwrap();
    let before = commits(&folder.file());
    for _ in 0..4 {
        store.check().await.unwrap();
    }
    assert_eq!(commits(&folder.file()) - before, 4);
    drop(store);
    folder.store().await.check().await.unwrap();
}

/// Ids and sessions are random: with an index of either, each insertion would write a page of it.
#[tokio::test]
async fn an_insertion_writes_only_where_the_last_one_did() {
    let folder = Folder::new();
    let store = folder.store().await;
    let random = |number: u128| {
        let hex = format!("{:032x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    };
    let event = |number| {
        let data = format!(
            r#"{{"eventId": "{}", "eventName": "session.created", "eventSequence": 1, "environment": "staging",
            "payload": {{"sessionId": "{}", "more": "{}"}}}}"#,
            random(number),
            random(number + 1_000_000),
            "x".repeat(200),
        );
        NewEvent::from_json(&data)
    };
    let mut last = 0;
    for round in 0..4 {
        for _ in 0..1000 {
            last += 1;
            store.insert(event(last)).await.unwrap();
        }
        if round % 2 == 0 {
            while let claimed @ [_, ..] = &store.claim(all(1000)).await.unwrap()[..] {
                for claimed in claimed {
                    store.complete(&claimed.lease).await.unwrap();
                }
            }
        }
    }
    let before = pages(&folder.file());
    for _ in 0..100 {
        last += 1;
        store.insert(event(last)).await.unwrap();
    }
    let written = pages(&folder.file()) - before;
    // The row, its place in the queue, and now and then what is above them.
    assert!((200..280).contains(&written), "{written} pages for 100 insertions");
}

#[test]
fn nobody_hears_of_an_error_while_the_runtime_stops() {
    for _ in 0..200 {
        let folder = Folder::new();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let store = runtime.block_on(folder.store());
        let errors = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..8 {
            let (store, errors) = (store.clone(), Arc::clone(&errors));
            runtime.spawn(async move {
                while store.claim(all(1)).await.map_err(|error| errors.lock().unwrap().push(error)).is_ok() {}
            });
        }
        std::thread::sleep(Duration::from_millis(5));
        drop(runtime);
        assert_eq!(errors.lock().unwrap().first().map(ToString::to_string), None);
    }
}

#[test]
fn a_store_whose_runtime_has_stopped_says_so() {
    let folder = Folder::new();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime().block_on(folder.store());
    let refused = runtime().block_on(store.claim(all(1))).unwrap_err();
    assert!(
        refused.to_string().contains("the Tokio runtime in which the store was opened has stopped"),
        "{refused}"
    );
}
