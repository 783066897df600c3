use http::Method;
use serde_json::{Value, json};

use super::support::{Answer, Site};

async fn get(site: &Site, token: &str, path: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    site.raw(Method::GET, path, &[("authorization", &bearer), ("host", "api.example.com")], "").await
}

#[tokio::test]
async fn a_receiver_reads_a_session_on_both_paths() {
    let site = Site::start().await;
    let (flow, token) = (site.flow().await, site.access_token().await);
    let session = site.session(&flow).await;
    for prefix in ["/api/v1", "/v1"] {
        let path = format!("{prefix}/staging/sessions/{session}");
        let details = get(&site, &token, &path).await.is(200).json();
        assert_eq!(
            (&details["sessionId"], &details["flowId"], &details["environment"]),
            (&json!(session), &json!(flow), &json!("staging"))
        );
        assert!(details.get("lastStep").is_none_or(Value::is_object), "{details}");
        for (name, value) in details.as_object().unwrap() {
            assert!(!value.is_null(), "{name}: what there is not is left out");
        }
        let elsewhere = format!("{prefix}/live/sessions/{session}");
        assert_eq!(get(&site, &token, &elsewhere).await.refusal(), (404, "not_found".to_owned(), None));
    }
}

#[tokio::test]
async fn the_details_follow_the_session() {
    let site = Site::start().await;
    let (flow, token) = (site.flow().await, site.access_token().await);
    let session = site.session(&flow).await;
    let path = format!("/api/v1/staging/sessions/{session}");
    let steps = format!("/manage/v1/sessions/{session}/steps");
    let details = get(&site, &token, &path).await.json();
    assert_eq!((&details["sessionStatus"], &details["outcome"]), (&json!("CREATED"), &json!("NO_OUTCOME")));
    assert!(details.get("startedAt").is_none() && details.get("completedAt").is_none());
    site.post(&steps, json!({ "step": "start" })).await.is(200);
    let details = get(&site, &token, &path).await.json();
    assert!(details["startedAt"].is_string());
    assert_eq!(details["sessionStatus"], "RUNNING");
    site.post(&steps, json!({ "step": "complete", "outcome": "rejected" })).await.is(200);
    let details = get(&site, &token, &path).await.json();
    assert_eq!((&details["sessionStatus"], &details["outcome"]), (&json!("COMPLETED"), &json!("rejected")));
    assert!(details["completedAt"].is_string() && details["lastStep"]["status"].is_string(), "{details}");
}

#[tokio::test]
async fn a_receiver_lists_the_sessions_of_a_flow() {
    let site = Site::start().await;
    let (flow, token) = (site.flow().await, site.access_token().await);
    let mut made = Vec::new();
    for _ in 0..5 {
        made.insert(0, json!(site.session(&flow).await));
    }
    site.session(&site.flow().await).await;
    for prefix in ["/api/v1", "/v1"] {
        let path = format!("{prefix}/flows/{flow}/staging/sessions");
        let all = get(&site, &token, &path).await.is(200).json();
        let page = json!({ "size": 20, "number": 0, "totalElements": 5, "totalPages": 1 });
        assert_eq!(all["page"], page);
        let mut seen = Vec::new();
        for number in 0..4 {
            let part = get(&site, &token, &format!("{path}?page={number}&size=2")).await.is(200).json();
            let page = json!({ "size": 2, "number": number, "totalElements": 5, "totalPages": 3 });
            assert_eq!(part["page"], page);
            seen.extend(
                part["content"].as_array().unwrap().iter().map(|session| session["sessionId"].clone()),
            );
        }
        assert_eq!(seen, made);
        let none = get(&site, &token, &format!("{prefix}/flows/{flow}/live/sessions")).await.is(200).json();
        assert_eq!((&none["content"], &none["page"]["totalPages"]), (&json!([]), &json!(0)));
        let missing = format!("{prefix}/flows/{}/live/sessions", uuid::Uuid::nil());
        assert_eq!(get(&site, &token, &missing).await.refusal(), (404, "not_found".to_owned(), None));
        let far = get(&site, &token, &format!("{path}?page=4294967295&size=500")).await.is(200).json();
        assert_eq!(far["content"], json!([]));
        for (query, field) in
            [("size=0", "size"), ("size=501", "size"), ("page=-1", "page"), ("size=x", "size")]
        {
            let refused = get(&site, &token, &format!("{path}?{query}")).await.refusal();
            assert_eq!(refused, (400, "invalid_input".to_owned(), Some(field.to_owned())), "{query}");
        }
    }
}

#[tokio::test]
async fn an_environment_may_be_called_flows() {
    let site = Site::start().await;
    let (flow, token) = (site.flow().await, site.access_token().await);
    let new = json!({ "flowId": flow, "environment": "flows" });
    let session =
        site.post("/manage/v1/sessions", new).await.is(201).json()["id"].as_str().unwrap().to_owned();
    let details = get(&site, &token, &format!("/api/v1/flows/sessions/{session}")).await.is(200).json();
    assert_eq!(details["sessionId"], session.as_str());
}

#[tokio::test]
async fn nobody_reads_without_a_token_of_this_sandbox() {
    let (site, other) = (Site::start().await, Site::start().await);
    let flow = site.flow().await;
    let session = site.session(&flow).await;
    let theirs = format!("Bearer {}", other.access_token().await);
    let ours = site.access_token().await;
    let basic = format!("Basic {ours}");
    let changed = format!("Bearer {ours}x");
    for prefix in ["/api/v1", "/v1"] {
        for path in [
            format!("{prefix}/staging/sessions/{session}"),
            format!("{prefix}/flows/{flow}/staging/sessions"),
            // Whether something exists is not told either.
            format!("{prefix}/staging/sessions/{}", uuid::Uuid::nil()),
            format!("{prefix}/staging/sessions/nonsense"),
        ] {
            for headers in [
                &[][..],
                &[("authorization", theirs.as_str())],
                &[("authorization", &basic)],
                &[("authorization", &changed)],
            ] {
                let refused = site.raw(Method::GET, &path, headers, "").await;
                assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
                assert_eq!(refused.refusal(), (401, "unauthorized".to_owned(), None), "{path}");
            }
        }
    }
    let wrong = get(&site, &ours, "/api/v1/staging/sessions/nonsense").await;
    assert_eq!(wrong.refusal(), (400, "invalid_input".to_owned(), Some("sessionId".to_owned())));
}
