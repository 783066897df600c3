//! Several processes on one file.

use std::process::{Command, Stdio};

use idnow_webhooks_core::store::*;
use idnow_webhooks_sqlite::SqliteStore;

use crate::common::*;

const PROCESSES: usize = 3;
const IDS: usize = 1500;

/// Each id is new to one of them.
#[tokio::test]
async fn the_same_ids_from_several_at_once() {
    let folder = Folder::new();
    let store = folder.store().await;
    let children: Vec<_> = (0..PROCESSES)
        .map(|number| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "--ignored", "--nocapture", "processes::insert_all"])
                .env("FILE", folder.file())
                .env("NUMBER", number.to_string())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut new = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}");
        let (_, rest) = said.split_once("new: ").unwrap();
        new += rest.split_whitespace().next().unwrap().parse::<usize>().unwrap();
    }
    assert_eq!(new, IDS);
    assert_eq!(store.backlog().await.unwrap().waiting, IDS as u64);
    for number in 0..IDS {
        assert_eq!(store.insert(event(&number.to_string())).await.unwrap(), Insertion::Duplicate);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the_same_ids_from_several_at_once, in processes of its own"]
async fn insert_all() {
    let number: usize = std::env::var("NUMBER").expect("this runs inside of another test").parse().unwrap();
    let file = std::env::var_os("FILE").unwrap();
    let store = SqliteStore::builder(file).busy_timeout(60 * SECOND).open().await.unwrap();
    let callers: Vec<_> = (0..4)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut new = 0;
                for id in 0..IDS {
                    // All go through them in the same order, and meet.
                    let id = (id + caller * number) % IDS;
                    new += usize::from(store.insert(event(&id.to_string())).await.unwrap() == Insertion::New);
                }
                new
            })
        })
        .collect();
    let mut new = 0;
    for caller in callers {
        new += caller.await.unwrap();
    }
    println!("new: {new}");
}
