use serde_json::json;

use super::support::Site;

#[tokio::test]
async fn a_flow_is_made_read_listed_and_deleted() {
    let site = Site::start().await;
    let made = site.post("/manage/v1/flows", json!({ "name": "a", "sessionTtlSeconds": 60 })).await.is(201);
    let flow = made.json();
    let path = format!("/manage/v1/flows/{}", flow["id"].as_str().unwrap());
    assert_eq!(made.header("location"), Some(path.as_str()));
    assert_eq!(made.header("cache-control"), Some("no-store"));
    assert_eq!((&flow["name"], &flow["sessionTtlSeconds"]), (&json!("a"), &json!(60)));
    assert_eq!(site.get(&path).await.is(200).json(), flow);
    assert_eq!(site.get("/manage/v1/flows").await.is(200).json(), json!({ "items": [flow], "next": null }));
    assert_eq!(site.delete(&path).await.is(204).body, "");
    assert_eq!(site.get(&path).await.refusal(), (404, "not_found".to_owned(), None));
    assert_eq!(site.delete(&path).await.refusal(), (404, "not_found".to_owned(), None));
}

#[tokio::test]
async fn a_flow_with_endpoints_stays() {
    let site = Site::start().await;
    let flow = site.flow().await;
    let endpoint = site.endpoint(&flow, "https://a.example/hook").await;
    let refused = site.delete(&format!("/manage/v1/flows/{flow}")).await;
    assert_eq!(refused.refusal(), (409, "conflict".to_owned(), None));
    site.delete(&format!("/manage/v1/endpoints/{endpoint}")).await.is(204);
    site.delete(&format!("/manage/v1/flows/{flow}")).await.is(204);
}

#[tokio::test]
async fn pages_follow_each_other_without_gaps_or_repetitions() {
    let site = Site::start().await;
    let mut made = Vec::new();
    for number in 0..7 {
        let flow = site.post("/manage/v1/flows", json!({ "name": format!("flow {number}") })).await.is(201);
        made.push(flow.json()["id"].clone());
    }
    made.reverse();
    let (mut seen, mut path, mut pages) = (Vec::new(), "/manage/v1/flows?limit=3".to_owned(), 0);
    loop {
        let page = site.get(&path).await.is(200).json();
        pages += 1;
        seen.extend(page["items"].as_array().unwrap().iter().map(|flow| flow["id"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/manage/v1/flows?limit=3&after={}", urlencoded(next));
        assert!(pages < 5, "the pages have no end");
    }
    assert_eq!((seen, pages), (made, 3));
    let refused = site.get("/manage/v1/flows?after=nonsense").await;
    assert_eq!(refused.refusal(), (400, "invalid_input".to_owned(), Some("after".to_owned())));
}

fn urlencoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn what_is_wrong_with_a_flow_is_named() {
    let site = Site::start().await;
    for (flow, field) in [
        (json!({}), "name"),
        (json!({ "name": "" }), "name"),
        (json!({ "name": "x".repeat(201) }), "name"),
        (json!({ "name": null }), "name"),
        (json!({ "name": "a", "sessionTtlSeconds": 0 }), "sessionTtlSeconds"),
        (json!({ "name": "a", "sessionTtlSeconds": 1.5 }), "sessionTtlSeconds"),
        (json!({ "name": "a", "colour": "red" }), "colour"),
    ] {
        let refused = site.post("/manage/v1/flows", flow.clone()).await;
        let expected = (400, "invalid_input".to_owned(), Some(field.to_owned()));
        assert_eq!(refused.refusal(), expected, "{flow}");
    }
    assert_eq!(site.get("/manage/v1/flows").await.json()["items"], json!([]));
}
