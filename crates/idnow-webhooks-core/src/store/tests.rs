use super::*;
use chrono::TimeDelta;

const LEASE: Duration = Duration::from_secs(30);

fn event(id: &str) -> NewEvent {
    NewEvent {
        id: id.into(),
        received_at: at(0),
        dead: None,
        name: None,
        data: Json::new(format!("data of {id}")),
    }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

async fn begin(store: &MemoryStore, id: &str, now: i64) -> Beginning {
    store.begin(event(id), at(now), LEASE).await.unwrap()
}

fn lease(beginning: Beginning) -> Lease {
    match beginning {
        Beginning::Run(lease) => lease,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn inline_an_event_runs_once_at_a_time_and_not_after_it_ended() {
    let store = MemoryStore::new();
    let first = lease(begin(&store, "a", 0).await);
    assert_eq!(begin(&store, "a", 29).await, Beginning::Running);
    store.retry(&first, at(29), "failed").await.unwrap();
    let second = lease(begin(&store, "a", 29).await);
    assert!(matches!(store.complete(&first, at(30)).await, Err(StoreError::LeaseLost(_))));
    store.complete(&second, at(30)).await.unwrap();
    assert_eq!(begin(&store, "a", 1_000_000).await, Beginning::Completed);
    let buried = lease(begin(&store, "b", 0).await);
    store.bury(&buried, at(1), "bad").await.unwrap();
    assert_eq!(begin(&store, "b", 1).await, Beginning::Buried);
}

#[tokio::test]
async fn inline_a_lease_that_ran_out_is_taken_over_unless_extended() {
    let store = MemoryStore::new();
    let first = lease(begin(&store, "a", 0).await);
    store.extend(&first, at(60)).await.unwrap();
    assert_eq!(begin(&store, "a", 59).await, Beginning::Running);
    let second = lease(begin(&store, "a", 60).await);
    assert_ne!(first, second);
    assert!(matches!(store.extend(&first, at(90)).await, Err(StoreError::LeaseLost(_))));
    assert!(matches!(store.retry(&first, at(90), "").await, Err(StoreError::LeaseLost(_))));
    assert!(matches!(store.bury(&first, at(90), "").await, Err(StoreError::LeaseLost(_))));
    store.complete(&second, at(61)).await.unwrap();
}

#[tokio::test]
async fn inline_memory_is_bounded_whatever_becomes_of_the_events() {
    let store = MemoryStore::with_capacity(10);
    for number in 0..1000 {
        let id = format!("event {number}");
        let lease = lease(begin(&store, &id, number).await);
        match number % 3 {
            0 => store.complete(&lease, at(number)).await.unwrap(),
            1 => store.retry(&lease, at(number), "failed").await.unwrap(),
            _ => store.bury(&lease, at(number), "bad").await.unwrap(),
        }
    }
    assert_eq!(store.len(), 10);
    assert_eq!(begin(&store, "event 999", 1000).await, Beginning::Completed);
}

#[tokio::test]
async fn what_is_not_finished_is_never_forgotten() {
    let store = MemoryStore::with_capacity(2);
    let running = lease(begin(&store, "running", 0).await);
    assert_eq!(store.insert(event("queued")).await.unwrap(), Insertion::New);
    assert!(matches!(store.insert(event("c")).await, Err(StoreError::Full(2))));
    assert!(matches!(store.begin(event("c"), at(0), LEASE).await, Err(StoreError::Full(2))));
    assert_eq!(store.insert(event("queued")).await.unwrap(), Insertion::Duplicate);
    store.complete(&running, at(1)).await.unwrap();
    assert_eq!(store.insert(event("c")).await.unwrap(), Insertion::New);
}

#[tokio::test]
async fn queued_events_are_claimed_in_order_once_each_and_again_when_due() {
    let store = MemoryStore::new();
    for id in ["a", "b", "c"] {
        assert_eq!(store.insert(event(id)).await.unwrap(), Insertion::New);
    }
    assert_eq!(store.insert(event("b")).await.unwrap(), Insertion::Duplicate);

    let claimed = store.claim(2, at(0), LEASE).await.unwrap();
    assert_eq!(claimed.iter().map(|c| c.data.as_str()).collect::<Vec<_>>(), ["data of a", "data of b"]);
    let rest = store.claim(2, at(0), LEASE).await.unwrap();
    assert_eq!(rest.iter().map(|c| &*c.lease.event_id).collect::<Vec<_>>(), ["c"]);

    store.complete(&claimed[0].lease, at(1)).await.unwrap();
    store.retry(&claimed[1].lease, at(10), "failed").await.unwrap();
    store.bury(&rest[0].lease, at(1), "bad").await.unwrap();
    assert!(store.claim(9, at(9), LEASE).await.unwrap().is_empty());
    let again = store.claim(9, at(10), LEASE).await.unwrap();
    assert_eq!(again.iter().map(|c| (&*c.lease.event_id, c.run)).collect::<Vec<_>>(), [("b", 2)]);

    let taken_over = store.claim(9, at(40), LEASE).await.unwrap();
    assert_eq!(taken_over[0].run, 3);
    assert!(matches!(store.complete(&again[0].lease, at(41)).await, Err(StoreError::LeaseLost(_))));
}

#[tokio::test]
async fn an_unreadable_event_enters_as_a_dead_letter() {
    let store = MemoryStore::new();
    let dead = NewEvent { dead: Some("no payload".into()), ..event("a") };
    assert_eq!(store.insert(dead.clone()).await.unwrap(), Insertion::New);
    assert!(store.claim(9, at(99), LEASE).await.unwrap().is_empty());
    assert_eq!(store.insert(dead).await.unwrap(), Insertion::Duplicate);
}
