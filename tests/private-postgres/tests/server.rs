#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use idnow_webhooks_private_postgres::PrivatePostgres;
use sqlx::{Connection, PgConnection, Row};

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

async fn data_folder(url: &str) -> PathBuf {
    let row = sqlx::query("SHOW data_directory").fetch_one(&mut connect(url).await).await.unwrap();
    row.get::<String, _>(0).into()
}

async fn gone(folder: &Path) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while folder.exists() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    !folder.exists()
}

#[tokio::test]
async fn what_was_committed_survives_a_kill_and_a_stop() {
    let server = PrivatePostgres::start().await.unwrap();
    let url = server.create_database().await.unwrap();
    let mut open = connect(&url).await;
    sqlx::query("CREATE TABLE t (n int)").execute(&mut open).await.unwrap();
    sqlx::query("INSERT INTO t VALUES (1)").execute(&mut open).await.unwrap();

    server.kill().await.unwrap();
    assert!(PgConnection::connect(&url).await.is_err());
    assert!(sqlx::query("SELECT 1").execute(&mut open).await.is_err());
    server.restart().await.unwrap();
    let count = "SELECT count(*) FROM t";
    assert_eq!(sqlx::query(count).fetch_one(&mut connect(&url).await).await.unwrap().get::<i64, _>(0), 1);

    server.stop().await.unwrap();
    assert!(PgConnection::connect(&url).await.is_err());
    server.restart().await.unwrap();
    assert_eq!(sqlx::query(count).fetch_one(&mut connect(&url).await).await.unwrap().get::<i64, _>(0), 1);
}

#[tokio::test]
async fn the_folder_goes_with_the_server_and_databases_are_apart() {
    let server = PrivatePostgres::start().await.unwrap();
    let (one, other) = (server.create_database().await.unwrap(), server.create_database().await.unwrap());
    sqlx::query("CREATE TABLE t (n int)").execute(&mut connect(&one).await).await.unwrap();
    assert!(sqlx::query("SELECT * FROM t").execute(&mut connect(&other).await).await.is_err());
    let fsync = sqlx::query("SHOW fsync").fetch_one(&mut connect(&one).await).await.unwrap();
    assert_eq!(fsync.get::<String, _>(0), "on");

    let folder = data_folder(&one).await;
    assert!(folder.parent().unwrap().exists());
    drop(server);
    assert!(!folder.parent().unwrap().exists());
}

#[tokio::test]
async fn a_killed_process_leaves_nothing_behind() {
    leaves_nothing_behind(false).await;
}

#[tokio::test]
async fn nor_does_one_whose_server_was_killed_before() {
    leaves_nothing_behind(true).await;
}

async fn leaves_nothing_behind(server_is_killed: bool) {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lives_until_killed", "--ignored", "--nocapture"])
        .envs(server_is_killed.then_some(("KILLED", "1")))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
    let url = lines.find_map(|line| Some(line.split_once("url=")?.1.to_owned())).unwrap();
    if server_is_killed {
        assert!(lines.any(|line| line == "killed"));
    }
    let folder = std::env::temp_dir().join(format!("idnow-pg-{}-0", process.id()));
    assert!(folder.exists());
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(gone(&folder).await);
    assert!(PgConnection::connect(&url).await.is_err());
}

#[tokio::test]
#[ignore = "started by `a_killed_process_leaves_nothing_behind`"]
async fn lives_until_killed() {
    let server = PrivatePostgres::start().await.unwrap();
    println!("url={}", server.url("postgres"));
    // Not even this may leave the folder behind.
    if std::env::var_os("KILLED").is_some() {
        server.kill().await.unwrap();
        println!("killed");
    }
    std::future::pending::<()>().await;
}
