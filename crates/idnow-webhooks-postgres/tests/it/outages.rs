//! What callers are told while the server is away, full or a standby, and how soon.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use idnow_webhooks_core::Receiver;
use idnow_webhooks_core::store::{EventStore, Insertion, StoreError};
use idnow_webhooks_postgres::PostgresStore;
use idnow_webhooks_private_postgres::PrivatePostgres;
use idnow_webhooks_testkit::{Provider, SampleEvent};
use tokio::time::Instant;

use crate::proxy::Proxy;
use crate::support::{MINUTE, event, pool, run, soon};

async fn insert_fails(store: &PostgresStore) -> String {
    match store.insert(event()).await.unwrap_err() {
        StoreError::Unavailable(error) => error.to_string(),
        error => panic!("{error:?}"),
    }
}

fn receiver(provider: &Provider, store: &PostgresStore) -> Receiver {
    provider.receiver().queued(store.clone()).build().unwrap()
}

/// The answer to a genuine delivery.
async fn answer(provider: &Provider, receiver: &Receiver) -> (u16, &'static str) {
    let outcome = provider.deliver(receiver, &SampleEvent::completed()).await;
    (outcome.status().as_u16(), outcome.code())
}

#[tokio::test]
async fn once_the_server_is_known_to_be_down_calls_fail_at_once() {
    let server = PrivatePostgres::start().await.unwrap();
    let store = PostgresStore::connect(&server.create_database().await.unwrap()).await.unwrap();
    let (provider, refused) = (Provider::new(), "cannot be made, or was lost");
    let receiver = receiver(&provider, &store);
    store.insert(event()).await.unwrap();
    server.stop().await.unwrap();
    let first = Instant::now();
    assert_eq!(answer(&provider, &receiver).await, (503, "store_unavailable"));
    // Each connection that was there says at first how it ended.
    while !insert_fails(&store).await.contains("efused") {}
    assert!(first.elapsed() < Duration::from_secs(1), "{:?}", first.elapsed());
    let (started, mut answers) = (Instant::now(), 0);
    while started.elapsed() < Duration::from_millis(1500) {
        let error = insert_fails(&store).await;
        assert!(error.contains(refused) && error.contains("efused"), "{error}");
        assert!(store.begin(event(), MINUTE).await.is_err());
        answers += 2;
    }
    assert!(answers > 100, "{answers} answers");
    server.restart().await.unwrap();
    let back = Instant::now();
    soon("it recovers by itself", || async { store.insert(event()).await.is_ok() }).await;
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
    assert_eq!(answer(&provider, &receiver).await, (200, "stored"));
}

/// A machine that takes connections, or has them, and says nothing.
#[tokio::test]
async fn a_server_that_hangs_is_waited_for_once() {
    let proxy = Proxy::start().await;
    let store = PostgresStore::connect(&proxy.url).await.unwrap();
    store.insert(event()).await.unwrap();
    // A statement that is under way is waited for until its own limit.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    proxy.hangs.send_replace(true);
    let first = Instant::now();
    insert_fails(&store).await;
    assert!(first.elapsed() < Duration::from_secs(4), "{:?}", first.elapsed());
    let mut at_once = 0;
    for _ in 0..10 {
        let started = Instant::now();
        let error = insert_fails(&store).await;
        assert!(error.contains("timed out"), "{error}");
        at_once += usize::from(started.elapsed() < Duration::from_secs(1));
        // One of them tries to connect meanwhile, which the others do not wait for.
        let _ = tokio::time::timeout(Duration::from_millis(100), store.backlog()).await;
    }
    assert!(at_once >= 5, "{at_once} of 10");
    proxy.hangs.send_replace(false);
    soon("it recovers by itself", || async { store.insert(event()).await.is_ok() }).await;
}

/// A real one, without anything to follow.
#[tokio::test]
async fn a_standby_is_an_error_until_it_is_promoted() {
    let server = PrivatePostgres::start().await.unwrap();
    let url = server.create_database().await.unwrap();
    let store = PostgresStore::connect(&url).await.unwrap();
    let provider = Provider::new();
    let receiver = receiver(&provider, &store);
    store.insert(event()).await.unwrap();
    server.restart_as_standby().await.unwrap();
    soon("it notices", || async { insert_fails(&store).await.contains("it is a standby") }).await;
    assert_eq!(answer(&provider, &receiver).await, (503, "store_unavailable"));
    let error = store.check().await.unwrap_err().to_string();
    assert!(error.contains("it is a standby, so address the primary"), "{error}");
    assert_eq!(store.backlog().await.unwrap().waiting, 1, "it can still be looked at");
    // So says a new process, when the tables are there.
    let other = PostgresStore::connect(&url).await.unwrap();
    assert!(insert_fails(&other).await.contains("it is a standby"));
    run(&pool(&url).await, "SELECT pg_promote()").await;
    soon("it recovers by itself", || async { store.insert(event()).await.is_ok() }).await;
    assert_eq!(answer(&provider, &receiver).await, (200, "stored"));
}

/// A file system needs a namespace to be mounted in. As root, PostgreSQL's user is another; otherwise it must be one
/// that is not root inside of the namespace either.
const MOUNT: &str = r#"
mount -t tmpfs -o size=160m,mode=1777 tmpfs "$FOLDER"
if [ "$REAL" = root ]; then
    exec "$PROGRAM" --exact --ignored outages::full_disk
fi
exec unshare --user --map-user=1000 --map-group=1000 "$PROGRAM" --exact --ignored outages::full_disk
"#;

#[test]
fn a_full_disk_is_an_error_until_there_is_space() {
    let id = Command::new("id").arg("-u").output().unwrap();
    let root = id.stdout == b"0\n";
    let namespace: &[&str] = if root { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
    if !Command::new("unshare").args(namespace).arg("true").status().is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "namespaces are needed for this test");
        return;
    }
    // Where the system's temporary files are: the user that runs the server must be able to get there.
    let folder = std::env::temp_dir().join(format!("idnow-full-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let output = Command::new("unshare")
        .args(namespace)
        .args(["sh", "-ec", MOUNT])
        .env("REAL", if root { "root" } else { "user" })
        .env("PROGRAM", std::env::current_exe().unwrap())
        .env("FOLDER", &folder)
        .env("TMPDIR", &folder)
        .output()
        .unwrap();
    std::fs::remove_dir(&folder).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{error}");
}

#[tokio::test]
#[ignore = "run by a_full_disk_is_an_error_until_there_is_space, on a small file system"]
async fn full_disk() {
    let folder: PathBuf = std::env::var_os("FOLDER").expect("this runs inside of another test").into();
    let server = PrivatePostgres::start().await.unwrap();
    let url = server.create_database().await.unwrap();
    let store = PostgresStore::connect(&url).await.unwrap();
    let provider = Provider::new();
    let receiver = receiver(&provider, &store);
    let ballast = folder.join("ballast");
    let fill = || {
        let mut file = OpenOptions::new().create(true).append(true).open(&ballast).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
    };
    fill();
    let mut stored = Vec::new();
    let error = loop {
        let event = event();
        match store.insert(event.clone()).await {
            Ok(_) => stored.push(event),
            Err(error) => break error.to_string(),
        }
        assert!(stored.len() < 10_000, "the disk is full");
    };
    assert!(error.contains("the server's disk is full: free some space"), "{error}");
    assert!(error.contains("53100"), "{error}");
    assert_eq!(answer(&provider, &receiver).await, (503, "store_unavailable"));
    let error = store.check().await.unwrap_err().to_string();
    assert!(error.contains("disk is full"), "{error}");
    std::fs::remove_file(&ballast).unwrap();
    soon("it recovers by itself", || async { store.insert(event()).await.is_ok() }).await;
    store.check().await.unwrap();
    assert_eq!(answer(&provider, &receiver).await, (200, "stored"));
    for event in stored {
        assert_eq!(store.insert(event).await.unwrap(), Insertion::Duplicate);
    }
}
