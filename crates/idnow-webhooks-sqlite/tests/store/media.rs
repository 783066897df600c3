//! File systems that forget what was committed.

use std::path::Path;

use idnow_webhooks_sqlite::SqliteStore;

use crate::common::*;

/// The one warning that opening a file logs.
async fn warning(path: &Path) -> String {
    let (log, logging) = Log::begin();
    drop(SqliteStore::open(path).await.unwrap());
    drop(logging);
    let said = log.text();
    let warnings: Vec<_> = said.lines().filter(|line| line.contains(" WARN ")).collect();
    let [warning] = warnings[..] else { panic!("{said}") };
    assert!(warning.contains(path.to_str().unwrap()), "{warning}");
    warning.to_owned()
}

#[tokio::test]
async fn a_file_in_memory_is_warned_of() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let said = warning(&folder.path().join("events.db")).await;
    assert!(said.contains("is on tmpfs: what is written there is lost when the machine"), "{said}");
}

#[test]
fn a_file_on_the_layer_of_a_container_is_warned_of() {
    let prepare = "cd \"$FOLDER\"; mount -t tmpfs tmpfs .; cd .; cd \"$FOLDER\"; mkdir lower upper work merged; \
                   mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged";
    in_namespace("media::on_overlay", prepare);
}

#[tokio::test]
#[ignore = "run by the test above, on an overlay"]
async fn on_overlay() {
    let said = warning(&folder_of_parent().join("merged/events.db")).await;
    assert!(
        said.contains("is on overlay: what is written there is usually lost with its container"),
        "{said}"
    );
    assert!(said.contains("Put the file on a volume"), "{said}");
}

/// The newest events are in the log beside it.
#[test]
fn a_file_whose_folder_is_somewhere_else_is_warned_of() {
    let prepare = "cd \"$FOLDER\"; touch events.db; mkdir folder; mount -t tmpfs tmpfs folder; touch folder/events.db; \
                   mount --bind events.db folder/events.db";
    in_namespace("media::in_a_folder_in_memory", prepare);
}

#[tokio::test]
#[ignore = "run by the test above, with the file alone on a disk"]
async fn in_a_folder_in_memory() {
    let said = warning(&folder_of_parent().join("folder/events.db")).await;
    assert!(said.contains("folder is on tmpfs"), "{said}");
}
