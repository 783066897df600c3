use std::path::Path;

use idnow_webhooks_sandbox::{Error, Sandbox};
use sqlx::{ConnectOptions as _, Connection as _};

use super::{field, flow, start};

async fn refusal(path: &Path) -> Error {
    Sandbox::builder().database(path).start().await.unwrap_err()
}

async fn sql(path: &Path, sql: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn two_sandboxes_do_not_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sandbox.db");
    let first = Sandbox::builder().database(&path).start().await.unwrap();
    let link = folder.path().join("link.db");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for path in [&path, &link] {
        let error = refusal(path).await;
        assert!(matches!(error, Error::Unavailable(_)));
        assert!(error.to_string().contains("is used by another sandbox"), "{error}");
    }
    let flow = flow(&first).await;
    let clone = first.clone();
    first.stop().await;
    let error = clone
        .create_flow(idnow_webhooks_sandbox::model::NewFlow { name: "x".into(), session_ttl_seconds: 1 });
    assert_eq!(error.await.unwrap_err().to_string(), "the sandbox has stopped");
    let second = Sandbox::builder().database(&path).start().await.unwrap();
    assert_eq!(second.flow(flow.id).await.unwrap(), flow);
    // The last handle ends it as well.
    drop(second);
    for _ in 0..500 {
        if Sandbox::builder().database(&path).start().await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it goes on without a handle");
}

#[tokio::test]
async fn a_newer_file_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sandbox.db");
    Sandbox::builder().database(&path).start().await.unwrap().stop().await;
    sql(&path, "UPDATE sandbox_schema SET version = 99").await;
    for _ in 0..2 {
        let error = refusal(&path).await.to_string();
        assert!(error.contains("version 99") && error.contains("run a newer version"), "{error}");
    }
    sql(&path, "UPDATE sandbox_schema SET version = 1").await;
    Sandbox::builder().database(&path).start().await.unwrap().stop().await;
}

#[tokio::test]
async fn the_database_of_something_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    sql(&path, "CREATE TABLE theirs (a)").await;
    let before = std::fs::read(&path).unwrap();
    let error = refusal(&path).await;
    assert_eq!(field(&error), "database");
    assert!(error.to_string().contains("not a sandbox's"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_path_that_cannot_be_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = refusal(&folder.path().join("nowhere/sandbox.db")).await;
    assert!(field(&nowhere) == "database" && nowhere.to_string().contains("create it"), "{nowhere}");
    let a_folder = refusal(folder.path()).await;
    assert!(a_folder.to_string().contains("is a folder"), "{a_folder}");
    let text = folder.path().join("text");
    std::fs::write(
        &text,
        "no database, but long enough to look like something else than an empty file".repeat(100),
    )
    .unwrap();
    let error = refusal(&text).await;
    assert!(
        matches!(error, Error::Unavailable(_)) && error.to_string().contains("no SQLite database"),
        "{error}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sandbox.db");
    let sandbox = Sandbox::builder().database(&path).start().await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} {mode:o}", entry.file_name());
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_told() {
    let sandbox = start().await;
    let address = sandbox.base_url().strip_prefix("http://").unwrap().parse().unwrap();
    let error = Sandbox::builder().listen(address).start().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)));
    assert!(error.to_string().contains(&format!("cannot listen on {address}")), "{error}");
}

#[tokio::test]
async fn a_wrong_setting_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sandbox.db");
    let error = Sandbox::builder().database(&path).time_scale(0.5).start().await.unwrap_err();
    assert_eq!(field(&error), "time_scale");
    assert!(!path.exists());
    let error =
        Sandbox::builder().database(&path).root_certificates_pem("nonsense").start().await.unwrap_err();
    assert_eq!(field(&error), "root_certificates_pem");
    // The file is free again at once.
    Sandbox::builder().database(&path).start().await.unwrap().stop().await;
}
