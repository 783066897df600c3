//! A password that stands in a file. The environment names it, which only a process of its own can have set for a test.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use idnow_webhooks_core::store::EventStore;
use idnow_webhooks_postgres::PostgresStore;

use crate::support::*;

const URL: &str = "IDNOW_TEST_URL";

/// Runs in the child process.
#[tokio::test]
#[ignore = "run by the test below, in a process of its own"]
async fn child() {
    let store = PostgresStore::connect(&env::var(URL).unwrap()).await.unwrap();
    // The store's own connections, and those of handlers.
    store.insert(event()).await.unwrap();
    sqlx::query("SELECT 1").execute(store.pool()).await.unwrap();
}

fn connects(url: &str, file: &Path) -> bool {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "passwords::child", "--ignored"]).env(URL, url).env("PGPASSFILE", file);
    command.env_remove("PGPASSWORD").env("HOME", file.parent().unwrap());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() || text.contains("password"), "{text}");
    output.status.success()
}

#[tokio::test]
async fn a_password_may_be_in_the_file_that_pgpassfile_names() {
    let url = database().await;
    let (start, place) = url.rsplit_once('@').unwrap();
    let (_, user_and_password) = start.split_once("//").unwrap();
    let (user, password) = user_and_password.split_once(':').unwrap();
    let bare = format!("postgres://{user}@{place}");
    let folder = env::temp_dir().join(format!("idnow-webhooks-passwords-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("passwords");
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();

    std::fs::write(&file, format!("elsewhere:*:*:{user}:other\n127.0.0.1:*:*:{user}:{password}\n")).unwrap();
    mode(0o600);
    let alone = connects(&bare, &file);
    mode(0o400);
    let read_only = connects(&bare, &file);
    // Others could read it, so it counts for nothing, as with libpq: this is how Kubernetes mounts a Secret.
    mode(0o644);
    let readable = connects(&bare, &file);
    mode(0o440);
    let by_group = connects(&bare, &file);
    std::fs::write(&file, format!("127.0.0.1:*:*:{user}:wrong\n")).unwrap();
    mode(0o600);
    let wrong = connects(&bare, &file);
    let missing = connects(&bare, &folder.join("missing"));
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(
        [alone, read_only, readable, by_group, wrong, missing],
        [true, true, false, false, false, false]
    );
}
