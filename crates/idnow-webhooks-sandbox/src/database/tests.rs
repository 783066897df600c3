use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::unit::{Fault, Unit};
use super::*;
use crate::model::{DeliveryFilter, DeliveryState, SessionFilter};

/// Any SQL, in the writer's transaction.
pub(crate) struct Raw(pub(crate) &'static str);

#[async_trait]
impl Work for Raw {
    type Output = ();

    async fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        sqlx::raw_sql(self.0).execute(&mut *unit.connection).await?;
        Ok(())
    }
}

async fn plan(connection: &mut SqliteConnection, query: &str) -> String {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}")));
    let rows = rows.fetch_all(connection).await.unwrap();
    rows.iter().map(|row| sqlx::Row::get::<String, _>(row, "detail") + "\n").collect()
}

/// What is read from its beginning to its end: what is under way, and what nobody has many of.
const SMALL: [&str; 4] =
    ["SCAN deliveries USING INDEX deliveries_sending", "SCAN p", "SCAN endpoints", "SCAN flows"];

/// Lines of a plan that tell of a table that is read from its beginning to its end, or of an endpoint's deliveries that are.
fn scans(plan: &str) -> Vec<&str> {
    let is_made_up = |line: &str| {
        let name = line.strip_prefix("SCAN ").unwrap_or_default();
        line.contains("VIRTUAL TABLE")
            || plan.lines().any(|made| made.strip_prefix("CO-ROUTINE ") == Some(name))
    };
    let is_slow = |line: &str| {
        (line.starts_with("SCAN") && !SMALL.contains(&line) && !is_made_up(line))
            || line.contains("AUTOMATIC")
            || line.ends_with("USING INDEX deliveries_to (endpoint=?)")
    };
    plan.lines().filter(|line| is_slow(line)).collect()
}

/// Without statistics SQLite guesses, and a wrong guess is a scan of all deliveries for each attempt.
#[tokio::test]
async fn what_is_done_all_the_time_scans_no_table() {
    let (database, _writer) = Database::open(None, "issuer", PATIENCE).await.unwrap();
    let mut reader = database.reader().await.unwrap();
    let one = Some(Uuid::nil());
    let list = |filter: DeliveryFilter| deliveries::list_query(&filter, 9, 5).sql().as_str().to_owned();
    let all = DeliveryFilter::default();
    let dead = Some(DeliveryState::Dead);
    let of_flow =
        SessionFilter { flow_id: one, environment: Some("staging".into()), ..SessionFilter::default() };
    let queries = [
        attempts::WAITING.into(),
        attempts::BEYOND.into(),
        attempts::BEGIN.into(),
        attempts::PUT_OFF.into(),
        attempts::ATTEMPTED.into(),
        attempts::FOLLOWED.into(),
        attempts::CUT_OFF.into(),
        attempts::DUE_AGAIN.into(),
        sessions::one_query(),
        sessions::expired_query(),
        sessions::NEXT_EXPIRY.into(),
        sessions::CHANGE.into(),
        sessions::PUT_OFF.into(),
        sessions::list_query(&of_flow, 9, 0, 5).sql().as_str().to_owned(),
        deliveries::one_query(),
        list(DeliveryFilter { state: dead, ..all.clone() }),
        list(DeliveryFilter { endpoint_id: one, ..all.clone() }),
        list(DeliveryFilter { endpoint_id: one, state: dead, ..all.clone() }),
        list(DeliveryFilter { event_id: one, ..all.clone() }),
        again::some_query(),
        again::named_query(),
        again::SWEEP.into(),
        endpoints::END_UNDER_WAY.into(),
        purge::LOOK.into(),
        purge::CHAINS.into(),
        purge::REMOVE_EVENTS.into(),
        purge::REMOVE_SESSIONS.into(),
    ];
    // These read all of a few sessions or deliveries anyhow, and may sort it.
    let sorting = [
        attempts::list_query(),
        list(DeliveryFilter { session_id: one, ..all }),
        purge::UNFINISHED.into(),
        purge::STATES.into(),
    ];
    let removing = purge::REMOVE_RANGES.into_iter().chain(purge::TIDY).map(str::to_owned);
    let queries = queries.into_iter().chain(removing).map(|query| (query, false));
    for (query, may_sort) in queries.chain(sorting.map(|query| (query, true))) {
        let plan = plan(&mut reader, &query).await;
        assert!(scans(&plan).is_empty(), "{query}\n{plan}");
        assert!(may_sort || !plan.contains("TEMP B-TREE"), "{query}\n{plan}");
    }
}
