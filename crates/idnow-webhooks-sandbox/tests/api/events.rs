use serde_json::json;

use super::support::Site;

#[tokio::test]
async fn events_are_listed_by_session_and_read() {
    let site = Site::start().await;
    let flow = site.flow().await;
    let (session, other) = (site.session(&flow).await, site.session(&flow).await);
    let steps = format!("/manage/v1/sessions/{session}/steps");
    site.post(&steps, json!({ "step": "start" })).await.is(200);
    site.post(&steps, json!({ "step": "complete" })).await.is(200);
    let page = site.get(&format!("/manage/v1/events?sessionId={session}")).await.is(200).json();
    let told: Vec<_> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["name"].as_str().unwrap(), event["sequence"].as_u64().unwrap()))
        .collect();
    assert_eq!(told, [("session.completed", 2), ("session.created", 1)]);
    let all = site.get("/manage/v1/events").await.is(200).json();
    assert_eq!(all["items"].as_array().unwrap().len(), 3);
    assert!(all["items"].as_array().unwrap().iter().any(|event| event["sessionId"] == other.as_str()));
    let event = &page["items"][0];
    let path = format!("/manage/v1/events/{}", event["id"].as_str().unwrap());
    assert_eq!(&site.get(&path).await.is(200).json(), event);
    let missing = format!("/manage/v1/events/{}", uuid::Uuid::nil());
    assert_eq!(site.get(&missing).await.refusal(), (404, "not_found".to_owned(), None));
}
