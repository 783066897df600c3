use serde_json::{Value, json};

use super::support::Site;

#[tokio::test]
async fn a_session_is_made_and_driven() {
    let site = Site::start().await;
    let flow = site.flow().await;
    let new = json!({ "flowId": flow, "environment": "staging", "ttlSeconds": 600 });
    let made = site.post("/manage/v1/sessions", new).await.is(201);
    let session = made.json();
    let path = format!("/manage/v1/sessions/{}", session["id"].as_str().unwrap());
    assert_eq!(made.header("location"), Some(path.as_str()));
    assert_eq!((&session["status"], &session["outcome"]), (&json!("CREATED"), &Value::Null));
    assert_eq!(site.get(&path).await.is(200).json(), session);

    let steps = format!("{path}/steps");
    assert_eq!(site.post(&steps, json!({ "step": "start" })).await.is(200).json()["status"], "RUNNING");
    let ended = site.post(&steps, json!({ "step": "complete", "outcome": "rejected" })).await.is(200).json();
    assert_eq!((&ended["status"], &ended["outcome"]), (&json!("COMPLETED"), &json!("rejected")));
    assert!(ended["lastStep"].is_object());
    assert_eq!(site.get(&path).await.is(200).json(), ended);
    let refused = site.post(&steps, json!({ "step": "abort" })).await;
    assert_eq!(refused.refusal(), (409, "conflict".to_owned(), None));
}

#[tokio::test]
async fn every_end_can_be_reached() {
    let site = Site::start().await;
    let flow = site.flow().await;
    for (step, status) in
        [("complete", "COMPLETED"), ("expire", "EXPIRED"), ("abort", "ABORTED"), ("error", "ERROR")]
    {
        let steps = format!("/manage/v1/sessions/{}/steps", site.session(&flow).await);
        site.post(&steps, json!({ "step": "start" })).await.is(200);
        assert_eq!(site.post(&steps, json!({ "step": step })).await.is(200).json()["status"], status);
    }
}

#[tokio::test]
async fn sessions_are_listed_by_flow_environment_and_status() {
    let site = Site::start().await;
    let flows = [site.flow().await, site.flow().await];
    for flow in &flows {
        for environment in ["staging", "live"] {
            let new = json!({ "flowId": flow, "environment": environment });
            site.post("/manage/v1/sessions", new).await.is(201);
        }
    }
    let started = site.session(&flows[0]).await;
    site.post(&format!("/manage/v1/sessions/{started}/steps"), json!({ "step": "start" })).await.is(200);
    for (query, expected) in [
        (String::new(), 5),
        (format!("?flowId={}", flows[0]), 3),
        ("?environment=live".to_owned(), 2),
        ("?status=RUNNING".to_owned(), 1),
        (format!("?flowId={}&status=CREATED&environment=staging", flows[0]), 1),
        ("?status=ERROR".to_owned(), 0),
    ] {
        let page = site.get(&format!("/manage/v1/sessions{query}")).await.is(200).json();
        assert_eq!(page["items"].as_array().unwrap().len(), expected, "{query}");
    }
    let page = site.get("/manage/v1/sessions?status=RUNNING").await.json();
    assert_eq!(page["items"][0]["id"], started.as_str());
}

#[tokio::test]
async fn what_is_wrong_with_a_session_or_a_step_is_named() {
    let site = Site::start().await;
    let flow = site.flow().await;
    for (new, status, field) in [
        (json!({ "environment": "live" }), 400, Some("flowId")),
        (json!({ "flowId": flow }), 400, Some("environment")),
        (json!({ "flowId": flow, "environment": "a b" }), 400, Some("environment")),
        (json!({ "flowId": flow, "environment": "live", "ttlSeconds": 0 }), 400, Some("ttlSeconds")),
        (json!({ "flowId": flow, "environment": "live", "ttlSeconds": -1 }), 400, Some("ttlSeconds")),
        (json!({ "flowId": flow, "environment": "live", "status": "RUNNING" }), 400, Some("status")),
        (json!({ "flowId": uuid::Uuid::nil(), "environment": "live" }), 404, None),
    ] {
        let (found, _, named) = site.post("/manage/v1/sessions", new.clone()).await.refusal();
        assert_eq!((found, named.as_deref()), (status, field), "{new}");
    }
    let steps = format!("/manage/v1/sessions/{}/steps", site.session(&flow).await);
    for (step, field) in [
        (json!({}), "step"),
        (json!({ "step": "fly" }), "step"),
        (json!({ "step": "start", "outcome": "accepted" }), "outcome"),
        (json!({ "step": "complete", "reason": "x" }), "reason"),
    ] {
        let (status, _, named) = site.post(&steps, step.clone()).await.refusal();
        assert_eq!((status, named.as_deref()), (400, Some(field)), "{step}");
    }
    let missing = format!("/manage/v1/sessions/{}/steps", uuid::Uuid::nil());
    assert_eq!(site.post(&missing, json!({ "step": "start" })).await.refusal().0, 404);
}
