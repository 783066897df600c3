use std::time::Duration;

use idnow_webhooks_core::SystemClock;
use sqlx::Row as _;

use super::*;

async fn pragma(connection: &mut SqliteConnection, sql: &'static str) -> String {
    let row = sqlx::query(sql).fetch_one(connection).await.unwrap();
    row.try_get::<String, _>(0).or_else(|_| row.try_get::<i64, _>(0).map(|value| value.to_string())).unwrap()
}

#[tokio::test]
async fn every_connection_that_commits_syncs_before_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        path: folder.path().join("events.db"),
        create_if_missing: true,
        busy_timeout: Duration::from_secs(1),
        max_readers: 1,
        merge_after: 1,
    };
    let database = Database::open(settings, Arc::new(SystemClock)).await.unwrap();
    let mut turn = database.turn().await.unwrap();
    for opened_anew in [false, true] {
        let writer = &mut database.connection(&mut turn).await.unwrap().connection;
        assert_eq!(pragma(writer, "PRAGMA journal_mode").await, "wal", "opened anew: {opened_anew}");
        // FULL: the log is synced at every commit.
        assert_eq!(pragma(writer, "PRAGMA synchronous").await, "2", "opened anew: {opened_anew}");
        let (mut transaction, _) = database.transaction(&mut turn).await.unwrap();
        assert_eq!(pragma(&mut transaction, "PRAGMA journal_mode").await, "wal");
        assert_eq!(pragma(&mut transaction, "PRAGMA synchronous").await, "2");
        drop(transaction);
        database.close(&mut turn).await;
    }
    let mut reader = database.reader().await.unwrap();
    assert!(sqlx::raw_sql("DELETE FROM idnow_webhooks_events").execute(&mut *reader).await.is_err());
}
