//! What is opened, and what is refused.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use idnow_webhooks_core::Clock as _;
use idnow_webhooks_core::store::*;
use idnow_webhooks_sqlite::sqlx::{self, Connection as _, Row as _};
use idnow_webhooks_sqlite::{OpenError, SqliteStore};

use crate::common::*;

#[tokio::test]
async fn what_was_stored_is_there_after_opening_again() {
    let folder = Folder::new();
    let store = folder.store().await;
    store.insert(event("a")).await.unwrap();
    let first = claim_one(&store).await;
    store.retry(&first.lease, Duration::ZERO, "failed").await.unwrap();
    drop(store);
    let store = folder.store().await;
    assert_eq!(store.insert(event("a")).await.unwrap(), Insertion::Duplicate);
    let second = claim_one(&store).await;
    assert_eq!((second.run, second.data), (2, first.data));
    assert!(second.lease.token > first.lease.token);
    assert_eq!(store.get("a").await.unwrap().unwrap().error.as_deref(), Some("failed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_open_a_new_file_at_once() {
    let folder = Folder::new();
    let stores: Vec<_> = (0..8)
        .map(|number| {
            let path = folder.file();
            tokio::spawn(async move {
                let store = SqliteStore::open(path).await.unwrap();
                store.insert(event(&number.to_string())).await.unwrap();
                store
            })
        })
        .collect();
    let mut last = None;
    for store in stores {
        last = Some(store.await.unwrap());
    }
    assert_eq!(last.unwrap().backlog().await.unwrap().waiting, 8);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let folder = Folder::new();
    drop(folder.store().await);
    let mut connection = connect(&folder.file()).await;
    sqlx::raw_sql("UPDATE idnow_webhooks_schema SET version = 99").execute(&mut connection).await.unwrap();
    let error = SqliteStore::open(folder.file()).await.unwrap_err();
    assert!(matches!(error, OpenError::NewerSchema { found: 99, known: 2, .. }), "{error:?}");
    assert!(error.to_string().contains("run a newer version"), "{error}");
    let version = sqlx::query("SELECT version FROM idnow_webhooks_schema").fetch_one(&mut connection).await;
    assert_eq!(version.unwrap().get::<i64, _>(0), 99);
}

async fn version_1(folder: &Folder) {
    std::fs::write(folder.file(), "").unwrap();
    let mut connection = connect(&folder.file()).await;
    sqlx::raw_sql(include_str!("version_1.sql")).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_file_of_version_1_is_brought_up_to_date() {
    let folder = Folder::new();
    version_1(&folder).await;
    let clock = Hand::new();
    // Whatever opens it, also what would make no file.
    let builder = SqliteStore::builder(folder.file()).create_if_missing(false).clock(clock.clone());
    let store = builder.clone().open().await.unwrap();
    assert_eq!(store.completed().await.unwrap(), 1);
    let backlog = store.backlog().await.unwrap();
    assert_eq!((backlog.waiting, backlog.running, backlog.dead, backlog.parked), (2, 1, 1, 0));
    for id in ["completed", "dead", "61a51c5b-480d-4f47-8334-34b0ba7ae0be", "session-1", "begun"] {
        assert_eq!(store.insert(event(id)).await.unwrap(), Insertion::Duplicate, "{id}");
    }
    let dead = store.get("dead").await.unwrap().unwrap();
    let evidence = Evidence::new("aaa.bbb.ccc", Some(r#"{"kty":"RSA"}"#.to_owned()));
    assert_eq!((dead.error.as_deref(), dead.evidence.as_ref()), (Some("for good"), Some(&evidence)));
    clock.forward(60 * SECOND);
    let claimed = store.claim(all(9)).await.unwrap();
    assert_eq!(claimed.iter().map(|event| event.run).collect::<Vec<_>>(), [1, 2, 2]);
    let parked = store.park(ParkedToken::new("1", evidence, clock.now()), ParkLimits::default()).await;
    assert_eq!(parked.unwrap(), ParkOutcome::New { dropped: 0 });
    drop(store);
    assert_eq!(builder.open().await.unwrap().backlog().await.unwrap().parked, 1);
}

/// Of several processes that are started at once, one does it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_version_1_is_opened_by_many_at_once() {
    let folder = Folder::new();
    version_1(&folder).await;
    let opened: Vec<_> = (0..8).map(|_| tokio::spawn(SqliteStore::open(folder.file()))).collect();
    for store in opened {
        assert_eq!(store.await.unwrap().unwrap().backlog().await.unwrap().dead, 1);
    }
    let mut connection = connect(&folder.file()).await;
    let versions = sqlx::query("SELECT version FROM idnow_webhooks_schema").fetch_all(&mut connection).await;
    assert_eq!(versions.unwrap().iter().map(|row| row.get::<i64, _>(0)).collect::<Vec<_>>(), [2]);
}

/// One who has it open meanwhile, with the software of then, goes on.
#[tokio::test]
async fn a_process_of_version_1_goes_on_beside_it() {
    let folder = Folder::new();
    version_1(&folder).await;
    let mut old = connect(&folder.file()).await;
    let store = folder.store().await;
    let sql = "UPDATE idnow_webhooks_events SET state = 0, due = 1, wake = 1 WHERE state = 3";
    sqlx::raw_sql(sql).execute(&mut old).await.unwrap();
    assert_eq!(store.backlog().await.unwrap().dead, 0);
}

#[tokio::test]
async fn tables_of_others_stay_as_they_are() {
    let folder = Folder::new();
    let mut connection = {
        std::fs::write(folder.file(), "").unwrap();
        connect(&folder.file()).await
    };
    let sql = "PRAGMA user_version = 7; CREATE TABLE mine (a); INSERT INTO mine VALUES (1)";
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    folder.store().await.insert(event("a")).await.unwrap();
    let mut connection = connect(&folder.file()).await;
    let sql = "SELECT a, (SELECT user_version FROM pragma_user_version) FROM mine";
    let row = sqlx::query(sql).fetch_one(&mut connection).await.unwrap();
    assert_eq!((row.get::<i64, _>(0), row.get::<i64, _>(1)), (1, 7));
}

#[tokio::test]
async fn only_this_user_can_read_a_new_file() {
    let folder = Folder::new();
    let _store = folder.store().await;
    for name in ["events.db", "events.db-wal", "events.db-shm"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

async fn refused(path: &Path) -> OpenError {
    SqliteStore::open(path).await.unwrap_err()
}

#[tokio::test]
async fn what_cannot_be_opened_is_refused_with_the_reason() {
    let folder = Folder::new();
    let error = refused(&folder.path().join("no/such/events.db")).await;
    assert!(matches!(&error, OpenError::NoFolder { folder, .. } if folder.ends_with("no/such")), "{error:?}");
    assert!(error.to_string().contains("no/such"), "{error}");

    let error = SqliteStore::builder(folder.file()).create_if_missing(false).open().await.unwrap_err();
    assert!(matches!(error, OpenError::NotFound { .. }), "{error:?}");
    assert!(!folder.file().exists());
    assert!(error.to_string().ends_with("there is no file; correct the path"), "{error}");
    assert_eq!(format!("{error:?}"), error.to_string(), "it is what `main` prints");

    let error = refused(folder.path()).await;
    assert!(matches!(error, OpenError::CannotOpen { .. }), "{error:?}");
    let error = refused(Path::new("")).await;
    assert!(matches!(error, OpenError::CannotOpen { .. }), "{error:?}");

    std::fs::write(folder.file(), "This is a letter and no database. ".repeat(100)).unwrap();
    let error = refused(&folder.file()).await;
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn a_locked_file_is_refused_after_the_time_out() {
    let folder = Folder::new();
    std::fs::write(folder.file(), "").unwrap();
    let mut connection = connect(&folder.file()).await;
    // In write-ahead mode this keeps nobody from reading.
    sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut connection).await.unwrap();
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut connection).await.unwrap();
    let builder = SqliteStore::builder(folder.file()).busy_timeout(SECOND / 4);
    let error = builder.clone().open().await.unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.unwrap();
    builder.open().await.unwrap();
}

#[tokio::test]
async fn names_with_a_meaning_to_sqlite_are_files() {
    let folder = Folder::new();
    for name in ["file:memory?mode=memory", ":memory:", "a?b#c%20d 'e'"] {
        let path = folder.path().join(name);
        SqliteStore::open(&path).await.unwrap().insert(event("a")).await.unwrap();
        assert!(path.exists(), "{name}");
    }
}

#[test]
fn outside_of_a_runtime_there_is_no_store() {
    let folder = Folder::new();
    let mut open = std::pin::pin!(SqliteStore::open(folder.file()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let polled = open.as_mut().poll(&mut context);
    assert!(matches!(polled, std::task::Poll::Ready(Err(OpenError::NoRuntime))));
}

#[tokio::test]
async fn a_wrong_setting_is_named() {
    let folder = Folder::new();
    let builder = || SqliteStore::builder(folder.file());
    for (builder, expected) in [
        (builder().busy_timeout(601 * SECOND), "busy_timeout is longer than 10 min"),
        (builder().max_readers(0), "max_readers is 0"),
    ] {
        let error = builder.open().await.unwrap_err();
        assert!(matches!(error, OpenError::InvalidSetting { .. }), "{error}");
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    assert!(!folder.file().exists());
    builder().busy_timeout(600 * SECOND).max_readers(1).open().await.unwrap();
}

#[tokio::test]
async fn a_store_with_its_tables_opens_beside_a_writer() {
    let folder = Folder::new();
    let first = folder.store().await;
    first.insert(event("a")).await.unwrap();
    let lease = claim_one(&first).await.lease;
    let transaction = first.transaction_under(&lease).await.unwrap();
    let second = SqliteStore::builder(folder.file()).busy_timeout(SECOND / 4).open().await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(second.insert(event("a")).await.unwrap(), Insertion::Duplicate);
}

#[tokio::test]
async fn a_database_of_something_else_is_refused_and_left_alone() {
    let folder = Folder::new();
    std::fs::write(folder.file(), "").unwrap();
    let mut connection = connect(&folder.file()).await;
    sqlx::raw_sql("CREATE TABLE mine (a)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let before = std::fs::read(folder.file()).unwrap();
    let error = SqliteStore::builder(folder.file()).create_if_missing(false).open().await.unwrap_err();
    assert!(matches!(error, OpenError::NoStore { .. }), "{error:?}");
    assert!(error.to_string().contains("is a database, but no store of idnow-webhooks"), "{error}");
    assert_eq!(std::fs::read(folder.file()).unwrap(), before);
}
