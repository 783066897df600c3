//! What goes wrong with files, and how the store comes back.

use std::fs::{self, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::process::Command;
use std::time::{Duration, Instant};

use idnow_webhooks_core::store::*;
use idnow_webhooks_sqlite::SqliteStore;
use idnow_webhooks_sqlite::sqlx;

use crate::common::*;

/// The store looks for old events when it is opened, and is the first to notice then.
async fn past_the_first_purge(store: &SqliteStore) {
    for _ in 0..2 {
        store.insert(event("a")).await.unwrap();
    }
}

#[test]
fn a_full_disk() {
    in_namespace("faults::full_disk", "mount -t tmpfs -o size=2m tmpfs \"$FOLDER\"");
}

#[tokio::test]
#[ignore = "run by a_full_disk, on a small file system"]
async fn full_disk() {
    let folder = folder_of_parent();
    let store = SqliteStore::open(folder.join("events.db")).await.unwrap();
    store.insert(event("before")).await.unwrap();
    let ballast = folder.join("ballast");
    let fill = || {
        let mut file = OpenOptions::new().create(true).append(true).open(&ballast).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
    };
    fill();
    let mut acknowledged = vec!["before".to_owned()];
    let mut refused = None;
    for number in 0..1000 {
        let id = format!("{number} {}", "x".repeat(200));
        match store.insert(event(&id)).await {
            Ok(_) => acknowledged.push(id),
            Err(error) => {
                refused = Some((id, message(error)));
                break;
            }
        }
    }
    let (id, error) = refused.expect("the disk is full");
    assert!(error.contains("no space is left"), "{error}");
    // What is left may be enough for a few small writes.
    let mut ready = true;
    for _ in 0..1000 {
        ready = ready && store.check().await.is_ok();
    }
    assert!(!ready, "the disk is full");
    // And it stays so, quickly and without harm.
    for _ in 0..10 {
        message(store.insert(event(&id)).await.unwrap_err());
    }
    fs::remove_file(&ballast).unwrap();
    assert_eq!(store.insert(event(&id)).await.unwrap(), Insertion::New, "it recovers by itself");
    for id in &acknowledged {
        assert_eq!(store.insert(event(id)).await.unwrap(), Insertion::Duplicate, "{id}");
    }
    drop(store);
    let store = SqliteStore::open(folder.join("events.db")).await.unwrap();
    assert_eq!(store.backlog().await.unwrap().waiting, acknowledged.len() as u64 + 1);
}

#[test]
fn a_read_only_file_system() {
    in_namespace("faults::read_only", "mount -t tmpfs -o size=8m tmpfs \"$FOLDER\"");
}

#[tokio::test]
#[ignore = "run by a_read_only_file_system, on a file system of its own"]
async fn read_only() {
    let folder = folder_of_parent();
    let path = folder.join("events.db");
    let remount = |how: &str| {
        let status = Command::new("mount").args(["-o", how]).arg(&folder).status().unwrap();
        status.success()
    };
    drop(SqliteStore::open(&path).await.unwrap());
    while folder.join("events.db-wal").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(remount("remount,ro"));
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(error.to_string().contains("read-only"), "{error}");
    let error = SqliteStore::open(folder.join("new.db")).await.unwrap_err();
    assert!(error.to_string().contains("read-only"), "{error}");
    assert!(remount("remount,rw"));
    SqliteStore::open(&path).await.unwrap().insert(event("a")).await.unwrap();
}

#[tokio::test]
async fn a_lock_of_somebody_else() {
    let folder = Folder::new();
    let store = SqliteStore::builder(folder.file()).busy_timeout(SECOND / 2).open().await.unwrap();
    store.insert(event("a")).await.unwrap();
    let mut other = connect(&folder.file()).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let started = Instant::now();
    let error = message(store.insert(event("b")).await.unwrap_err());
    assert!(error.contains("locked by another connection"), "{error}");
    assert!((SECOND / 4..3 * SECOND).contains(&started.elapsed()));
    message(store.claim(all(1)).await.unwrap_err());
    assert!(message(store.check().await.unwrap_err()).contains("locked by another connection"));
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(store.insert(event("b")).await.unwrap(), Insertion::New);
    claim_one(&store).await;
}

#[tokio::test]
async fn a_file_that_is_gone_is_never_created_anew() {
    let folder = Folder::new();
    let store = folder.store().await;
    past_the_first_purge(&store).await;
    store.check().await.unwrap();
    let away = folder.path().join("away");
    fs::create_dir(&away).unwrap();
    let names = ["events.db", "events.db-wal", "events.db-shm"];
    for name in names {
        fs::rename(folder.path().join(name), away.join(name)).unwrap();
    }
    for _ in 0..3 {
        for error in [
            store.insert(event("b")).await.unwrap_err(),
            store.check().await.unwrap_err(),
            store.claim(all(1)).await.unwrap_err(),
            store.backlog().await.unwrap_err(),
        ] {
            let error = message(error);
            assert!(
                error.contains(
                    "events.db is gone: mount or restore it; to begin with an empty store, restart"
                ),
                "{error}"
            );
        }
    }
    assert!(!folder.file().exists());
    for name in names {
        let _ = fs::rename(away.join(name), folder.path().join(name));
    }
    assert_eq!(store.insert(event("a")).await.unwrap(), Insertion::Duplicate, "it is the same store");
    assert_eq!(store.insert(event("b")).await.unwrap(), Insertion::New);
    assert_eq!(store.backlog().await.unwrap().waiting, 2);
}

#[tokio::test]
async fn neither_an_empty_file_nor_somebody_elses_is_taken_for_the_store() {
    let folder = Folder::new();
    let store = folder.store().await;
    past_the_first_purge(&store).await;
    for name in ["events.db", "events.db-wal", "events.db-shm"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    fs::write(folder.file(), "").unwrap();
    message(store.insert(event("a")).await.unwrap_err());
    let error = message(store.insert(event("a")).await.unwrap_err());
    assert!(error.contains("no store of idnow-webhooks"), "{error}");
    assert_eq!(fs::metadata(folder.file()).unwrap().len(), 0);
}

#[tokio::test]
async fn a_log_that_is_deleted() {
    let folder = Folder::new();
    let store = folder.store().await;
    past_the_first_purge(&store).await;
    fs::remove_file(folder.path().join("events.db-wal")).unwrap();
    let error = message(store.insert(event("b")).await.unwrap_err());
    assert!(error.contains("events.db-wal"), "{error}");
    assert_eq!(store.insert(event("b")).await.unwrap(), Insertion::New);
    drop(store);
    let store = folder.store().await;
    assert_eq!(store.insert(event("b")).await.unwrap(), Insertion::Duplicate);
}

#[tokio::test]
async fn a_file_that_is_replaced_is_noticed_by_readers_too() {
    let folder = Folder::new();
    let other = Folder::new();
    let store = folder.store().await;
    store.insert(event("old")).await.unwrap();
    assert_eq!(store.backlog().await.unwrap().waiting, 1);
    {
        let store = other.store().await;
        for id in ["new 1", "new 2"] {
            store.insert(event(id)).await.unwrap();
        }
    }
    while other.path().join("events.db-wal").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for name in ["events.db-wal", "events.db-shm"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    fs::rename(other.file(), folder.file()).unwrap();
    let (log, logging) = Log::begin();
    assert_eq!(store.backlog().await.unwrap().waiting, 2);
    drop(logging);
    let said = log.text();
    assert!(
        said.contains(" WARN ")
            && said.contains(
                "events.db is another file than before: duplicates of earlier events are not recognised, and \
                 events that waited in the old one are not handled"
            ),
        "{said}"
    );
    assert_eq!(store.insert(event("new 1")).await.unwrap(), Insertion::Duplicate);
    assert_eq!(store.insert(event("old")).await.unwrap(), Insertion::New);
}

#[tokio::test]
async fn a_file_that_is_damaged_and_restored() {
    let folder = Folder::new();
    let copy = folder.path().join("backup.db");
    {
        let store = folder.store().await;
        for number in 0..500 {
            store.insert(event(&format!("event {number} {}", "x".repeat(100)))).await.unwrap();
        }
    }
    let log = folder.path().join("events.db-wal");
    while log.exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fs::copy(folder.file(), &copy).unwrap();
    let mut file = OpenOptions::new().write(true).open(folder.file()).unwrap();
    // All but the first pages, which describe the tables.
    let (size, first) = (file.metadata().unwrap().len(), 20 * 4096);
    file.seek(SeekFrom::Start(first)).unwrap();
    file.write_all(&vec![0x5a; usize::try_from(size - first).unwrap()]).unwrap();
    drop(file);

    let store = folder.store().await;
    let error = message(store.insert(event("a")).await.unwrap_err());
    assert!(error.contains("is damaged"), "{error}");
    let error = message(store.backlog().await.unwrap_err());
    assert!(error.contains("is damaged"), "{error}");
    // What happens to work, such as this, must not be written to it any more.
    for _ in 0..3 {
        let error = message(store.check().await.unwrap_err());
        assert!(error.contains("is damaged"), "{error}");
        message(store.claim(all(1)).await.unwrap_err());
    }
    fs::rename(&copy, folder.file()).unwrap();
    let _ = fs::remove_file(&log);
    let mut last = None;
    for _ in 0..2 {
        // The first call may find out that the file was replaced.
        last = Some(store.insert(event("a")).await);
    }
    assert!(last.unwrap().is_ok());
    assert_eq!(store.backlog().await.unwrap().waiting, 501);
}
