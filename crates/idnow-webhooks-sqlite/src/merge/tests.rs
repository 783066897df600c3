//! Whether an event is known again, wherever its id is kept.

mod halfway;
mod model;
mod undone;

use std::path::{Path, PathBuf};

use idnow_webhooks_core::store::{
    Beginning, Claim, EventFilter, EventState, EventStore as _, Insertion, Lease, NewEvent, Purge, Replay,
    SessionOrder,
};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _, SqliteConnection};
use tempfile::TempDir;

use super::*;
use crate::SqliteStore;

const LEASE: Duration = Duration::from_mins(1);
/// Few enough to be reached at once.
const FEW: usize = 8;
/// More than any of these tests has.
const MANY: usize = 1_000_000;

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("events.db")
    }

    async fn store(&self, merge_after: usize) -> SqliteStore {
        SqliteStore::builder(self.file()).merge_after(merge_after).open().await.unwrap()
    }

    async fn number(&self, sql: &str) -> i64 {
        let mut connection = connect(&self.file()).await;
        sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap().get(0)
    }

    async fn merged(&self) -> i64 {
        self.number("SELECT merged FROM idnow_webhooks_recent").await
    }

    /// Waits until all but a few are merged.
    async fn until_merged_to(&self, position: i64) {
        for _ in 0..200 {
            if self.merged().await >= position {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("only {} of {position} are merged", self.merged().await);
    }
}

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).busy_timeout(LEASE).connect().await.unwrap()
}

fn event(id: &str) -> NewEvent {
    let data = format!(
        r#"{{"eventId": "{id}", "eventName": "session.created", "eventSequence": 1, "environment": "e",
        "payload": {{"sessionId": "session of {id}"}}}}"#
    );
    NewEvent::from_json(&data)
}

/// Every third is text.
fn id(number: usize) -> String {
    let hex = format!("{:032x}", (number as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    match number % 3 {
        0 => format!("text {hex}"),
        _ => [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"),
    }
}

async fn insert(store: &SqliteStore, numbers: impl IntoIterator<Item = usize>) -> Vec<Insertion> {
    let mut insertions = Vec::new();
    for number in numbers {
        insertions.push(store.insert(event(&id(number))).await.unwrap());
    }
    insertions
}

/// In one batch, or a few.
async fn insert_at_once(store: &SqliteStore, numbers: impl IntoIterator<Item = usize>) -> Vec<Insertion> {
    let insert = |number| {
        let store = store.clone();
        tokio::spawn(async move { store.insert(event(&id(number))).await.unwrap() })
    };
    let tasks: Vec<_> = numbers.into_iter().map(insert).collect();
    let mut insertions = Vec::new();
    for task in tasks {
        insertions.push(task.await.unwrap());
    }
    insertions
}

async fn claim(store: &SqliteStore, limit: usize) -> Vec<Lease> {
    let claimed = store.claim(Claim { limit, lease: LEASE, order: SessionOrder::default() }).await.unwrap();
    claimed.into_iter().map(|event| event.lease).collect()
}

async fn complete_all(store: &SqliteStore) {
    for lease in claim(store, MANY).await {
        store.complete(&lease).await.unwrap();
    }
}

async fn forget(store: &SqliteStore, limit: usize) -> usize {
    let purge = Purge { state: EventState::Completed, older_than: Duration::ZERO, limit };
    store.purge(purge).await.unwrap()
}

/// Nothing is stored twice, and each id is in its table if its row is among those merged.
async fn assert_sound(place: &Place) {
    let twice = "SELECT count(*) - count(DISTINCT event_id) FROM idnow_webhooks_events";
    assert_eq!(place.number(twice).await, 0, "stored twice");
    let missing = "SELECT count(*) FROM idnow_webhooks_events AS e \
        WHERE position <= (SELECT merged FROM idnow_webhooks_recent) AND NOT EXISTS ( \
        SELECT 1 FROM idnow_webhooks_ids AS i WHERE i.event_id = e.event_id AND i.position = e.position)";
    assert_eq!(place.number(missing).await, 0, "merged without being so");
    let stray = "SELECT count(*) FROM idnow_webhooks_ids AS i WHERE NOT EXISTS ( \
        SELECT 1 FROM idnow_webhooks_events AS e WHERE i.event_id = e.event_id AND i.position = e.position)";
    assert_eq!(place.number(stray).await, 0, "ids without events");
}

#[tokio::test]
async fn a_duplicate_is_known_in_memory_and_in_the_table_and_after_a_restart() {
    for merge_after in [MANY, FEW] {
        let place = Place::new();
        let store = place.store(merge_after).await;
        assert_eq!(insert(&store, 0..40).await, [Insertion::New; 40]);
        if merge_after == FEW {
            place.until_merged_to(30).await;
        }
        assert_eq!(insert(&store, 0..40).await, [Insertion::Duplicate; 40]);
        assert_eq!(insert_at_once(&store, 0..40).await, [Insertion::Duplicate; 40]);
        drop(store);
        for merge_after in [MANY, FEW] {
            let store = place.store(merge_after).await;
            assert_eq!(insert(&store, (0..40).rev()).await, [Insertion::Duplicate; 40]);
            for number in 0..40 {
                assert_eq!(store.get(&id(number)).await.unwrap().unwrap().id, id(number));
            }
        }
        assert_sound(&place).await;
    }
}

/// New ones, known ones from memory and from the table, and some twice, all in one batch.
#[tokio::test]
async fn a_mixed_batch() {
    let place = Place::new();
    let store = place.store(FEW).await;
    insert(&store, 0..20).await;
    place.until_merged_to(10).await;
    let mut other = connect(&place.file()).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let batch = tokio::spawn({
        let store = store.clone();
        async move { insert_at_once(&store, (0..60).chain(10..50)).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    let insertions = batch.await.unwrap();
    let new = insertions.iter().filter(|insertion| **insertion == Insertion::New).count();
    assert_eq!(new, 40);
    assert_eq!(insertions[..20], [Insertion::Duplicate; 20]);
    assert_eq!(store.backlog().await.unwrap().waiting, 60);
    assert_sound(&place).await;
}

/// Steps were done, and the process died before the end.
#[tokio::test]
async fn a_merge_that_was_cut_off() {
    let place = Place::new();
    let store = place.store(MANY).await;
    insert(&store, 0..40).await;
    let (sender, receiver) = oneshot::channel();
    let step = Task::of(Step((1..=15).collect()), sender);
    store.queue().send(step).await.ok().unwrap();
    receiver.await.unwrap().unwrap();
    assert_eq!(place.number("SELECT count(*) FROM idnow_webhooks_ids").await, 15);
    complete_all(&store).await;
    assert_eq!(forget(&store, 5).await, 5);
    drop(store);
    assert_eq!(place.merged().await, 0);
    let store = place.store(FEW).await;
    assert_eq!(insert(&store, 5..40).await, [Insertion::Duplicate; 35]);
    place.until_merged_to(40).await;
    assert_sound(&place).await;
    assert_eq!(
        insert(&store, 0..40).await,
        [[Insertion::New; 5].as_slice(), &[Insertion::Duplicate; 35]].concat()
    );
    assert_sound(&place).await;
}

#[tokio::test]
async fn a_forgotten_event_is_new_again_before_and_after_a_merge() {
    for merge_after in [MANY, FEW] {
        let place = Place::new();
        let store = place.store(merge_after).await;
        for _ in 0..3 {
            let before = store.list(&EventFilter { limit: 1, ..EventFilter::default() }).await.unwrap();
            assert_eq!(before.len(), 0);
            assert_eq!(insert(&store, 0..30).await, [Insertion::New; 30]);
            if merge_after == FEW {
                let last = place.number("SELECT max(position) FROM idnow_webhooks_events").await;
                place.until_merged_to(last - 8).await;
            }
            complete_all(&store).await;
            assert_eq!(forget(&store, MANY).await, 30);
            assert_eq!(store.replay(&id(7)).await.unwrap(), Replay::Unknown);
            assert_eq!(place.number("SELECT count(*) FROM idnow_webhooks_ids").await, 0);
        }
        assert!(matches!(store.begin(event(&id(7)), LEASE).await.unwrap(), Beginning::Run(_)));
        assert_eq!(store.begin(event(&id(7)), LEASE).await.unwrap(), Beginning::Running);
        assert_sound(&place).await;
    }
}

/// Positions only rise, so that nobody takes one event for another.
#[tokio::test]
async fn a_position_is_given_once() {
    let place = Place::new();
    let store = place.store(MANY).await;
    insert(&store, 0..3).await;
    complete_all(&store).await;
    assert_eq!(forget(&store, MANY).await, 3);
    drop(store);
    let store = place.store(MANY).await;
    insert(&store, 3..4).await;
    assert_eq!(store.get(&id(3)).await.unwrap().unwrap().position, 4);
}

#[tokio::test]
async fn what_another_process_has_inserted_is_a_duplicate() {
    for merge_after in [MANY, FEW] {
        let place = Place::new();
        let (here, there) = (place.store(merge_after).await, place.store(MANY).await);
        insert(&here, 0..10).await;
        assert_eq!(insert(&there, 0..20).await[10..], [Insertion::New; 10]);
        assert_eq!(insert_at_once(&here, 0..30).await[..20], [Insertion::Duplicate; 20]);
        assert_eq!(there.begin(event(&id(30)), LEASE).await.unwrap(), here_run(&there, 30).await);
        assert_eq!(here.begin(event(&id(30)), LEASE).await.unwrap(), Beginning::Running);
        assert_eq!(here.begin(event(&id(31)), LEASE).await.unwrap(), here_run(&here, 31).await);
        assert_eq!(there.insert(event(&id(31))).await.unwrap(), Insertion::Duplicate);
        assert_eq!(there.replay(&id(29)).await.unwrap(), Replay::Queued);
        assert_sound(&place).await;
    }
}

/// So many that they go into the table at once, and not only into memory.
#[tokio::test]
async fn a_lease_on_one_of_very_many_of_another_process_is_held() {
    let place = Place::new();
    let (here, there) = (place.store(FEW).await, place.store(MANY).await);
    insert(&here, 0..1).await;
    here.stop_upkeep();
    insert(&there, 1..100).await;
    let leases = claim(&here, MANY).await;
    assert_eq!(leases.len(), 100);
    for lease in leases.iter().rev() {
        here.complete(lease).await.unwrap();
    }
    assert_eq!(here.replay(&id(50)).await.unwrap(), Replay::Refused(EventState::Completed));
    assert_sound(&place).await;
}

/// The first lease on an event has the time of its arrival as its number.
async fn here_run(store: &SqliteStore, number: usize) -> Beginning {
    let stored = store.get(&id(number)).await.unwrap().unwrap();
    Beginning::Run(Lease::new(stored.id, u64::try_from(stored.received_at.timestamp_micros()).unwrap()))
}

/// It inserts some, forgets the first of them, and leaves a gap where this one would go on.
#[tokio::test]
async fn what_another_process_has_forgotten_hides_nothing() {
    for merge_after in [MANY, FEW] {
        let place = Place::new();
        let (here, there) = (place.store(MANY).await, place.store(merge_after).await);
        insert(&here, 0..10).await;
        insert(&there, 10..11).await;
        complete_all(&there).await;
        insert(&there, 11..12).await;
        assert_eq!(forget(&there, MANY).await, 11);
        assert_eq!(insert(&here, 11..12).await, [Insertion::Duplicate]);
        assert_eq!(insert(&here, 0..2).await, [Insertion::New; 2]);
        assert_sound(&place).await;
        // The newest rows are gone, and others are in their place.
        complete_all(&there).await;
        assert_eq!(forget(&there, MANY).await, 3);
        insert(&there, 20..24).await;
        assert_eq!(
            insert(&here, 20..25).await[..],
            [[Insertion::Duplicate; 4].as_slice(), &[Insertion::New]].concat()
        );
        assert_sound(&place).await;
    }
}

/// It was forgotten and came again, all by another process: this one still remembers where it was.
#[tokio::test]
async fn a_lease_on_what_came_again_elsewhere_is_held() {
    let place = Place::new();
    let (here, there) = (place.store(MANY).await, place.store(MANY).await);
    insert(&here, 0..3).await;
    complete_all(&there).await;
    assert_eq!(forget(&there, MANY).await, 3);
    insert(&there, [2, 1, 0]).await;
    let leases = claim(&here, MANY).await;
    assert_eq!(leases.len(), 3);
    here.complete(&leases[0]).await.unwrap();
    here.complete(&leases[0]).await.unwrap();
    here.retry(&leases[1], Duration::ZERO, "failed").await.unwrap();
    let transaction = here.transaction_under(&leases[2]).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(here.completed().await.unwrap(), 2);
}

#[tokio::test]
async fn memory_is_bounded_even_if_nothing_is_merged_in_the_background() {
    let place = Place::new();
    let store = place.store(FEW).await;
    store.insert(event("first")).await.unwrap();
    store.stop_upkeep();
    for hundred in 0..5 {
        insert_at_once(&store, hundred * 100..hundred * 100 + 100).await;
        insert(&store, hundred * 100 + 1000..hundred * 100 + 1100).await;
        let ids = store.ids_in_memory().await;
        assert!(ids <= 4 * FEW + 256, "{ids}");
    }
    assert_eq!(insert(&store, 0..500).await, [Insertion::Duplicate; 500]);
    assert_sound(&place).await;
}

/// As somebody's copy of the table might, or a version that did not keep up.
#[tokio::test]
async fn a_file_with_far_too_many_ids_is_read_in_pieces() {
    let place = Place::new();
    drop(place.store(MANY).await);
    let mut connection = connect(&place.file()).await;
    let sql = "INSERT INTO idnow_webhooks_events (event_id, sequence, state, queued, runs, token, received_at, data) \
               WITH RECURSIVE number(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM number WHERE i < 9999) \
               SELECT 'bulk ' || i, 1, 2, 1, 1, 1, 1, '{}' FROM number";
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    let store = place.store(FEW).await;
    store.stop_upkeep();
    assert_eq!(store.insert(event("bulk 5000")).await.unwrap(), Insertion::Duplicate);
    assert!(store.ids_in_memory().await <= 4 * FEW);
    assert_eq!(store.insert(event("new")).await.unwrap(), Insertion::New);
    assert_sound(&place).await;
}
