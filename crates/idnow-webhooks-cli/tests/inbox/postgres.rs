use std::time::Duration;

use chrono::DateTime;
use idnow_webhooks::postgres::PostgresStore;
use idnow_webhooks::store::{
    Claim, EventState, EventStore, Evidence, NewEvent, ParkLimits, ParkedToken, SessionOrder,
};
use idnow_webhooks_private_postgres::PrivatePostgres;
use idnow_webhooks_testkit::SampleEvent;
use serde_json::json;

use super::{LEASE, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_looked_after_like_a_file() {
    let url = PrivatePostgres::shared().await.unwrap().create_database().await.unwrap();
    let store = PostgresStore::builder().connect(&url).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let event = SampleEvent::completed();
        store.insert(NewEvent::from_json(&event.data().to_string())).await.unwrap();
        ids.push(event.event_id().to_owned());
    }
    for claimed in store.claim(Claim { limit: 3, lease: LEASE, order: SessionOrder::Any }).await.unwrap() {
        store.bury(&claimed.lease, "no").await.unwrap();
    }

    let listed = run(&url, &["list", "--json", "--state", "dead", "--limit", "2"]).json();
    assert_eq!(
        (&listed[0]["id"], &listed[1]["id"], &listed[2]),
        (&json!(ids[2]), &json!(ids[1]), &json!(null))
    );
    let position = listed[1]["position"].to_string();
    assert_eq!(run(&url, &["list", "--json", "--before", &position]).json()[0]["id"], ids[0]);
    assert!(run(&url, &["show", &ids[0]]).done().contains("error      no\n"));
    assert!(run(&url, &["retry", &ids[1]]).done().ends_with("  queued\n"));
    assert_eq!(run(&url, &["retry-dead", "--json", "--limit", "1"]).json(), json!({ "queued": 1 }));
    assert_eq!(store.get(&ids[0]).await.unwrap().unwrap().state, EventState::Waiting);
    let purge = |time| run(&url, &["purge", "--yes", "--dead", "--json", "--older-than", time]).json();
    assert_eq!(purge("100000years"), json!({ "purged": 0 }), "no time is too long");
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(purge("0s"), json!({ "purged": 1 }));
    let token = ParkedToken::new("1", Evidence::new("aaa.bbb.ccc", None), DateTime::UNIX_EPOCH);
    store.park(token, ParkLimits::default()).await.unwrap();
    assert_eq!(run(&url, &["parked", "--json"]).json()[0]["id"], "1");
    let stats = run(&url, &["stats", "--json"]).json();
    assert_eq!((&stats["waiting"], &stats["dead"], &stats["completed"]), (&json!(2), &json!(0), &json!(0)));
    assert_eq!(stats["parked"], json!(1));
}
