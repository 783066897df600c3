use std::time::Duration;

use chrono::DateTime;
use idnow_webhooks_core::store::{
    Claim, ClaimedEvent, EventStore, Evidence, NewEvent, ParkedToken, SessionOrder,
};
use idnow_webhooks_postgres::PostgresStore;
use idnow_webhooks_private_postgres::PrivatePostgres;
use idnow_webhooks_testkit::SampleEvent;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};

pub(crate) const MINUTE: Duration = Duration::from_mins(1);
/// By which the server tells the test's own connections from those of stores.
const MYSELF: &str = "test";

/// A fresh database on the server that all these tests share.
pub(crate) async fn database() -> String {
    idnow_webhooks_watch::watch();
    let url = PrivatePostgres::shared().await.unwrap().create_database().await.unwrap();
    // User, password, host.
    url.split([':', '@']).nth(2).map(idnow_webhooks_watch::plant);
    url
}

pub(crate) async fn store() -> PostgresStore {
    PostgresStore::connect(&database().await).await.unwrap()
}

/// Connections of the test's own.
pub(crate) async fn pool(url: &str) -> PgPool {
    let options = url.parse::<PgConnectOptions>().unwrap().application_name(MYSELF);
    PgPoolOptions::new().max_connections(4).connect_with(options).await.unwrap()
}

pub(crate) async fn run(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

pub(crate) async fn number(pool: &PgPool, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await.unwrap()
}

/// What the server has counted of all that stores did, once these are dropped: a connection tells the latest when it ends.
pub(crate) async fn counted(pool: &PgPool, sql: &str) -> i64 {
    let others = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' \
         AND application_name <> '{MYSELF}'"
    );
    soon("the connections of stores end", async || number(pool, &others).await == 0).await;
    number(pool, sql).await
}

/// An event of a session of its own.
pub(crate) fn event() -> NewEvent {
    new(&SampleEvent::completed())
}

pub(crate) fn event_with_id(id: &str) -> NewEvent {
    new(&SampleEvent::completed().with_event_id(id))
}

pub(crate) fn event_of(session: &str, sequence: u64) -> NewEvent {
    new(&SampleEvent::completed().with_session_id(session).with_sequence(sequence))
}

/// A token to park.
pub(crate) fn token(id: &str) -> ParkedToken {
    ParkedToken::new(id, Evidence::new("aaa.bbb.ccc", None), DateTime::UNIX_EPOCH)
}

pub(crate) fn new(event: &SampleEvent) -> NewEvent {
    NewEvent::from_json(&event.data().to_string())
}

pub(crate) async fn claim(store: &PostgresStore, limit: usize) -> Vec<ClaimedEvent> {
    claim_for(store, limit, MINUTE).await
}

pub(crate) async fn claim_for(store: &PostgresStore, limit: usize, lease: Duration) -> Vec<ClaimedEvent> {
    store.claim(Claim { limit, lease, order: SessionOrder::default() }).await.unwrap()
}

/// The one event that is due.
pub(crate) async fn claim_one(store: &PostgresStore) -> ClaimedEvent {
    let mut claimed = claim(store, 10).await;
    assert_eq!(claimed.len(), 1);
    claimed.remove(0)
}

/// Waits for something that is to happen soon.
pub(crate) async fn soon<F: Future<Output = bool>>(what: &str, mut happened: impl FnMut() -> F) {
    for _ in 0..1000 {
        if happened().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it did not happen that {what}");
}

/// Whether it tells a worker in this time that something has changed.
pub(crate) async fn rings(store: &PostgresStore, within: Duration) -> bool {
    tokio::time::timeout(within, store.changed()).await.is_ok()
}

/// Until it has said all it had to say.
pub(crate) async fn quiet(store: &PostgresStore) {
    while rings(store, Duration::from_millis(300)).await {}
}
