use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::unit::{Fault, Unit};
use super::*;

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

/// Without statistics SQLite guesses, and a wrong guess is a scan of all deliveries for each attempt.
#[tokio::test]
async fn what_is_done_all_the_time_scans_no_table() {
    let (database, _writer) = Database::open(None, "issuer", PATIENCE).await.unwrap();
    let mut reader = database.reader().await.unwrap();
    for query in [
        "SELECT d.id FROM deliveries d CROSS JOIN events e ON e.id = d.event CROSS JOIN sessions s ON s.id = e.session
         WHERE d.state = 0 AND d.endpoint = 1 ORDER BY d.next_at LIMIT 5",
        "SELECT id FROM deliveries WHERE id IN (SELECT value FROM json_each('[1]'))",
        "SELECT id FROM deliveries WHERE state = 1
             AND ('[]' IS NULL OR (id, attempts) IN (SELECT value ->> 0, value ->> 1 FROM json_each('[]')))",
        "SELECT * FROM sessions WHERE status < 2 AND expires_at <= 1 ORDER BY expires_at LIMIT 5",
        "SELECT min(expires_at) FROM sessions WHERE status < 2",
        "SELECT id FROM deliveries WHERE state = 3 ORDER BY id DESC LIMIT 5",
        "SELECT id FROM deliveries WHERE state = 3 AND endpoint = 1 ORDER BY id DESC LIMIT 5",
        "SELECT id FROM deliveries WHERE endpoint = 1 ORDER BY id DESC LIMIT 5",
        "SELECT id FROM sessions WHERE flow = 1 AND environment = 'staging' ORDER BY id DESC LIMIT 5",
        "SELECT d.id FROM endpoints p CROSS JOIN deliveries d ON d.endpoint = p.id
         WHERE p.deleted_at IS NOT NULL AND d.state = 0 LIMIT 5",
    ] {
        let plan = plan(&mut reader, query).await;
        let scans = plan.lines().filter(|line| line.starts_with("SCAN") && !line.contains("USING"));
        let scans: Vec<_> = scans
            .filter(|line| !line.contains("json_each") && *line != "SCAN p")
            .filter(|line| !line.contains("VIRTUAL TABLE"))
            .collect();
        assert!(scans.is_empty(), "{query}\n{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{query}\n{plan}");
    }
}
