use super::*;
use crate::database::purge::{Purge, Tidy};
use crate::database::sessions::{self, Drive};
use crate::database::tests::Raw;
use crate::model::{SessionStatus, Step};

const ABORTED: &[Step] = &[Step::Abort];

impl Bench {
    async fn ended(&self, count: usize) -> Vec<Session> {
        let runs = vec![ABORTED; count];
        let create = Create { flow: self.flow, environment: "staging".into(), ttl: 3_600_000_000, runs };
        self.database().write(create).await.unwrap()
    }

    /// An hour passes.
    async fn later(&self) {
        let earlier = "UPDATE sessions SET created_at = created_at - 3600000000, completed_at = completed_at - 3600000000;
                       UPDATE deliveries SET finished_at = finished_at - 3600000000;
                       UPDATE endpoints SET deleted_at = deleted_at - 3600000000;
                       UPDATE flows SET deleted_at = deleted_at - 3600000000";
        self.database().write(Raw(earlier)).await.unwrap();
    }

    /// What is older than half an hour goes, in steps of so many sessions.
    async fn purge(&self, limit: u32) {
        let before = clock::now().timestamp_micros() - 1_800_000_000;
        let mut after = 0;
        while let Some(last) = self.database().write(Purge { before, after, limit }).await.unwrap() {
            assert!(last > after);
            after = last;
        }
        self.database().write(Tidy { before }).await.unwrap();
    }

    async fn left(&self) -> Vec<Uuid> {
        let mut reader = self.database().reader().await.unwrap();
        let filter = crate::model::SessionFilter::default();
        let mut found = sessions::list(&mut reader, &filter, i64::MAX, 0, 500).await.unwrap();
        found.reverse();
        found.into_iter().map(|(_, session)| session.id).collect()
    }

    async fn rows(&self, table: &str) -> i64 {
        let mut reader = self.database().reader().await.unwrap();
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(count).fetch_one(&mut *reader).await.unwrap()
    }
}

#[tokio::test]
async fn what_has_ended_goes_when_it_is_old_and_nothing_else_does() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    // Two events each, so two deliveries each.
    let made = bench.ended(5).await;
    let open_one = bench.sessions(1).await.remove(0);
    let taken = bench.take(endpoint, 11).await;
    assert_eq!(taken.due.len(), 11);
    for due in &taken.due {
        let session = due.event.session_id;
        let verdict = match made.iter().position(|made| made.id == session) {
            Some(1) => Verdict::Dead(DeadReason::ClientError),
            Some(2) if due.event.sequence == 1 => Verdict::Retry,
            Some(3 | 4) if due.event.sequence == 2 => continue,
            _ => Verdict::Delivered,
        };
        bench.record(due, verdict).await;
    }
    bench.purge(2).await;
    assert_eq!(bench.left().await.len(), 6, "nothing is old");
    bench.later().await;
    // This one was given up just now.
    let late = taken.due.iter().find(|due| due.event.session_id == made[4].id && due.event.sequence == 2);
    bench.record(late.unwrap(), Verdict::Dead(DeadReason::ClientError)).await;
    bench.purge(2).await;
    assert_eq!(bench.left().await, [made[2].id, made[3].id, made[4].id, open_one.id]);
    assert_eq!(bench.counts(), [1, 1, 4, 1, 0]);
    assert_eq!(bench.database().tally().session_count(SessionStatus::Aborted), 3);
    assert_eq!((bench.rows("events").await, bench.rows("deliveries").await), (7, 7));
    // One of these is under way for the first time.
    assert_eq!(bench.rows("attempts").await, 6);
    let mut reader = bench.database().reader().await.unwrap();
    assert!(rows::by_id(&mut reader, 1).await.unwrap().is_none());
    drop(reader);

    // What was kept goes on, and goes when it has come to its end.
    let step = Step::Abort;
    bench.database().write(Drive { session: open_one.id, step }).await.unwrap().unwrap();
    drop(taken);
    for _ in 0..3 {
        let due = loop {
            let mut taken = bench.take(endpoint, 1).await;
            if let Some(due) = taken.due.pop() {
                break due;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        bench.record(&due, Verdict::Delivered).await;
    }
    assert_eq!(bench.counts(), [0, 0, 7, 1, 0]);
    bench.later().await;
    bench.purge(100).await;
    assert_eq!(bench.counts(), [0; 5]);
    for table in ["sessions", "events", "deliveries", "attempts"] {
        assert_eq!(bench.rows(table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn ids_of_what_is_gone_are_never_used_again() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.ended(2).await;
    for due in &bench.take(endpoint, 10).await.due {
        bench.record(due, Verdict::Delivered).await;
    }
    bench.later().await;
    bench.purge(10).await;
    let flow = bench.close().await;
    let bench = open(&path, Some(flow)).await;
    bench.sessions(1).await;
    assert_eq!(bench.take_one(endpoint).await.delivery, 5);
    assert_eq!(bench.rows("sessions WHERE id = 3").await, 1);
    assert_eq!(bench.rows("events WHERE id = 5").await, 1);
}

#[tokio::test]
async fn a_session_goes_with_all_its_deliveries_however_many() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    for number in 0..150 {
        bench.endpoint(&format!("https://{number}.example/")).await;
    }
    bench.ended(16).await;
    let done = "UPDATE deliveries SET state = 2, next_at = NULL, finished_at = created_at";
    bench.database().write(Raw(done)).await.unwrap();
    bench.later().await;
    // Six sessions have 1,800 deliveries.
    let before = clock::now().timestamp_micros() - 1_800_000_000;
    let last = bench.database().write(Purge { before, after: 0, limit: 100 }).await.unwrap();
    assert_eq!((last, bench.left().await.len()), (Some(6), 10));
    bench.purge(100).await;
    assert!(bench.left().await.is_empty());
    assert_eq!(bench.rows("deliveries").await, 0);
}

#[tokio::test]
async fn endpoints_and_flows_go_after_all_that_names_them() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.endpoint("https://b.example/").await;
    bench.sessions(1).await;
    bench.delete(endpoint).await;
    let new = NewFlow { name: "unused".into(), session_ttl_seconds: 1 };
    let unused = bench.database().write(CreateFlow(new)).await.unwrap().id;
    bench.database().write(crate::database::endpoints::DeleteFlow(unused)).await.unwrap();
    bench.purge(10).await;
    assert_eq!((bench.rows("endpoints").await, bench.rows("flows").await), (2, 2));
    bench.later().await;
    bench.purge(10).await;
    assert_eq!(
        (bench.rows("endpoints").await, bench.rows("flows").await),
        (2, 1),
        "its delivery is still there"
    );
    bench.database().write(Raw("DELETE FROM deliveries WHERE state = 4")).await.unwrap();
    bench.purge(10).await;
    assert_eq!((bench.rows("endpoints").await, bench.rows("flows").await), (1, 1));
}

/// A clock that was ahead for a while must not end the purge for as long.
#[tokio::test]
async fn sessions_from_the_future_hold_up_nothing() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let made = bench.ended(3).await;
    bench.later().await;
    let ahead =
        "UPDATE sessions SET created_at = created_at + 36000000000, completed_at = completed_at + 36000000000
                 WHERE id = 1";
    bench.database().write(Raw(ahead)).await.unwrap();
    bench.purge(1).await;
    assert_eq!(bench.left().await, [made[0].id]);
}
