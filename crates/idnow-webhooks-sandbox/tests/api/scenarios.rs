use serde_json::json;

use super::support::Site;

#[tokio::test]
async fn scenarios_run_to_their_end() {
    let site = Site::start().await;
    let flow = site.flow().await;
    for (kind, status) in
        [("happy_path", "COMPLETED"), ("expired", "EXPIRED"), ("aborted", "ABORTED"), ("error", "ERROR")]
    {
        let scenario = json!({ "kind": kind, "flowId": flow, "environment": "staging" });
        let played = site.post("/manage/v1/scenarios", scenario).await.is(201).json();
        let sessions = played["sessions"].as_array().unwrap();
        assert_eq!(sessions.len(), 1, "{kind}");
        let session =
            site.get(&format!("/manage/v1/sessions/{}", sessions[0].as_str().unwrap())).await.is(200);
        assert_eq!(session.json()["status"], status, "{kind}");
    }
    let storm = json!({ "kind": "storm", "flowId": flow, "environment": "staging", "sessions": 20 });
    let played = site.post("/manage/v1/scenarios", storm).await.is(201).json();
    assert_eq!(played["sessions"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn what_is_wrong_with_a_scenario_is_named() {
    let site = Site::start().await;
    let flow = site.flow().await;
    for (scenario, status, field) in [
        (json!({ "kind": "rain", "flowId": flow, "environment": "live" }), 400, Some("kind")),
        (
            json!({ "kind": "storm", "flowId": flow, "environment": "live", "sessions": 0 }),
            400,
            Some("sessions"),
        ),
        (
            json!({ "kind": "storm", "flowId": flow, "environment": "live", "sessions": 10_001 }),
            400,
            Some("sessions"),
        ),
        (json!({ "kind": "storm", "flowId": flow }), 400, Some("environment")),
        (json!({ "kind": "error", "flowId": uuid::Uuid::nil(), "environment": "live" }), 404, None),
    ] {
        let (found, _, named) = site.post("/manage/v1/scenarios", scenario.clone()).await.refusal();
        assert_eq!((found, named.as_deref()), (status, field), "{scenario}");
    }
}
