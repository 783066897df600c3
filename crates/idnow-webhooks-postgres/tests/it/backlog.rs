//! Claims while there is more to do than they take.

use idnow_webhooks_postgres::PostgresStore;
use sqlx::PgPool;

use crate::support::{claim, counted, database, number, pool, run};

/// Events that wait since the statement began.
fn waiting(events: u32) -> String {
    format!(
        "WITH new AS (
            INSERT INTO idnow_webhooks_events (key, data) SELECT gen_random_uuid(), '{{}}'
            FROM generate_series(1, {events}) RETURNING position)
        INSERT INTO idnow_webhooks_states (position, sequence, state, queued, runs, token, received_at, due, wake)
        SELECT position, 1, 0, true, 0, 1, now(), now(), now() FROM new"
    )
}

/// Until the server's next vacuum, what was handled stays in the index by which claims go.
#[tokio::test]
async fn a_claim_does_not_read_again_what_was_handled() {
    const CLAIMS: i64 = 40;
    const PAGES: &str = "SELECT sum(idx_blks_hit + idx_blks_read)::int8 FROM pg_statio_user_indexes \
        WHERE indexrelname = 'idnow_webhooks_states_wake'";
    let url = database().await;
    let store = PostgresStore::connect(&url).await.unwrap();
    // Not the test's own connections, which may tell what they have read only after the claims.
    let setup = PgPool::connect(&url).await.unwrap();
    run(&setup, "ALTER TABLE idnow_webhooks_states SET (autovacuum_enabled = false)").await;
    run(&setup, &waiting(60_000)).await;
    let handled = "UPDATE idnow_webhooks_states SET state = 2, due = NULL, wake = NULL, finished_at = now()";
    run(&setup, handled).await;
    run(&setup, &waiting(5_000)).await;
    setup.close().await;
    drop(store);
    let pool = pool(&url).await;
    let before = counted(&pool, PAGES).await;
    let store = PostgresStore::connect(&url).await.unwrap();
    for _ in 0..CLAIMS {
        assert_eq!(claim(&store, 16).await.len(), 16);
    }
    drop(store);
    let each = (counted(&pool, PAGES).await - before) / CLAIMS;
    assert!(each < 100, "{each} pages of the index for each claim");
}

/// What took long to commit is due before all others, which are enough for every claim.
#[tokio::test]
async fn what_appears_below_the_others_is_found_before_they_have_all_been_handled() {
    let url = database().await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let pool = pool(&url).await;
    let mut slow = pool.begin().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(waiting(1))).execute(&mut *slow).await.unwrap();
    run(&pool, &waiting(20_000)).await;
    for _ in 0..2 {
        assert_eq!(claim(&store, 16).await.len(), 16);
    }
    slow.commit().await.unwrap();
    let first = "SELECT count(*) FROM idnow_webhooks_states WHERE state = 0 AND position = 1";
    while number(&pool, first).await == 1 {
        assert_eq!(claim(&store, 16).await.len(), 16, "all others were handled before it");
    }
}
