use serde_json::{Value, json};

use super::support::{Sink, Site};

#[tokio::test]
async fn an_endpoint_is_made_read_changed_and_deleted() {
    let site = Site::start().await;
    let flow = site.flow().await;
    let new = json!({
        "flowId": flow,
        "environment": "live",
        "url": "https://receiver.example/hook",
        "description": "the one",
        "headers": [{ "name": "X-Auth-Token", "value": "s3cret-value" }],
        "events": ["session.completed"],
        "tokenPlace": "header",
        "concurrency": 3,
    });
    let made = site.post("/manage/v1/endpoints", new).await.is(201);
    let endpoint = made.json();
    let path = format!("/manage/v1/endpoints/{}", endpoint["id"].as_str().unwrap());
    assert_eq!(made.header("location"), Some(path.as_str()));
    assert_eq!(endpoint["tokenPlace"], "header");
    assert_eq!(endpoint["enabled"], true);
    assert_eq!(site.get(&path).await.is(200).json(), endpoint);

    let changed =
        site.patch(&path, json!({ "url": "http://127.0.0.1:9/hook", "enabled": false })).await.is(200);
    let changed = changed.json();
    assert_eq!((&changed["url"], &changed["enabled"]), (&json!("http://127.0.0.1:9/hook"), &json!(false)));
    assert_eq!((&changed["description"], &changed["concurrency"]), (&json!("the one"), &json!(3)));
    assert_eq!(site.patch(&path, json!({})).await.is(200).json()["url"], changed["url"]);

    site.delete(&path).await.is(204);
    for answer in [site.get(&path).await, site.patch(&path, json!({})).await, site.delete(&path).await] {
        assert_eq!(answer.refusal(), (404, "not_found".to_owned(), None));
    }
}

#[tokio::test]
async fn values_of_headers_are_never_told() {
    let site = Site::start().await;
    let flow = site.flow().await;
    let headers = json!([{ "name": "X-Auth-Token", "value": "s3cret-value" }]);
    let new =
        json!({ "flowId": flow, "environment": "live", "url": "https://a.example", "headers": headers });
    let made = site.post("/manage/v1/endpoints", new).await.is(201);
    let path = format!("/manage/v1/endpoints/{}", made.json()["id"].as_str().unwrap());
    // What was read can be written back.
    let same = site.patch(&path, json!({ "headers": made.json()["headers"] })).await.is(200);
    for answer in [&made, &same, &site.get(&path).await, &site.get("/manage/v1/endpoints").await] {
        assert!(answer.body.contains("X-Auth-Token") && !answer.body.contains("s3cret-value"), "{answer:?}");
    }
}

#[tokio::test]
async fn endpoints_are_listed_by_flow_and_environment() {
    let site = Site::start().await;
    let flows = [site.flow().await, site.flow().await];
    for flow in &flows {
        for environment in ["staging", "live"] {
            let new = json!({ "flowId": flow, "environment": environment, "url": "https://a.example" });
            site.post("/manage/v1/endpoints", new).await.is(201);
        }
    }
    for (query, expected) in [
        (String::new(), 4),
        (format!("?flowId={}", flows[0]), 2),
        ("?environment=live".to_owned(), 2),
        (format!("?flowId={}&environment=live", flows[1]), 1),
        ("?environment=test".to_owned(), 0),
        (format!("?flowId={}", uuid::Uuid::nil()), 0),
        ("?limit=3".to_owned(), 3),
    ] {
        let page = site.get(&format!("/manage/v1/endpoints{query}")).await.is(200).json();
        let items = page["items"].as_array().unwrap();
        assert_eq!(items.len(), expected, "{query}");
        let fits = |item: &Value| !query.contains("live") || item["environment"] == "live";
        assert!(items.iter().all(fits), "{query}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_endpoint_is_named() {
    let site = Site::start().await;
    let flow = site.flow().await;
    let good = json!({ "flowId": flow, "environment": "live", "url": "https://a.example/hook" });
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        changed
    };
    for (field, name, value) in [
        ("url", "url", json!("http://a.example/hook")),
        ("url", "url", json!("ftp://a.example/hook")),
        ("url", "url", json!("not a url")),
        ("url", "url", json!("")),
        ("url", "url", json!(7)),
        ("environment", "environment", json!("")),
        ("environment", "environment", json!("a/b")),
        ("flowId", "flowId", json!("x")),
        ("concurrency", "concurrency", json!(0)),
        ("concurrency", "concurrency", json!(1001)),
        ("concurrency", "concurrency", json!(70000)),
        ("headers", "headers", json!({})),
        ("headers[0].value", "headers", json!([{ "name": "a" }])),
        ("headers[0]", "headers", json!([["a", "b"]])),
        ("tokenPlace", "tokenPlace", json!("cookie")),
        ("description", "description", json!("x".repeat(501))),
        ("secret", "secret", json!("x")),
    ] {
        let refused = site.post("/manage/v1/endpoints", with(name, value.clone())).await;
        let expected = (400, "invalid_input".to_owned(), Some(field.to_owned()));
        assert_eq!(refused.refusal(), expected, "{name}: {value}");
    }
    for headers in [json!([{ "name": "a b", "value": "c" }]), json!([{ "name": "a", "value": "b\r\nc: d" }])]
    {
        let refused = site.post("/manage/v1/endpoints", with("headers", headers.clone())).await;
        let (status, code, field) = refused.refusal();
        assert_eq!((status, code.as_str()), (400, "invalid_input"), "{headers}");
        assert!(field.unwrap().starts_with("headers"), "{headers}");
    }
    let refused = site.post("/manage/v1/endpoints", with("flowId", json!(uuid::Uuid::nil()))).await;
    assert_eq!(refused.refusal().0, 404);
    let made = site.post("/manage/v1/endpoints", good).await.is(201).json();
    let path = format!("/manage/v1/endpoints/{}", made["id"].as_str().unwrap());
    for (field, change) in [
        ("url", json!({ "url": "http://a.example" })),
        ("flowId", json!({ "flowId": flow })),
        ("environment", json!({ "environment": "staging" })),
        ("concurrency", json!({ "concurrency": 0 })),
    ] {
        let refused = site.patch(&path, change.clone()).await;
        assert_eq!(refused.refusal(), (400, "invalid_input".to_owned(), Some(field.to_owned())), "{change}");
    }
    let mut now = site.get(&path).await.json();
    now["updatedAt"] = made["updatedAt"].clone();
    assert_eq!(now, made);
}

#[tokio::test]
async fn all_dead_letters_of_an_endpoint_go_again() {
    let site = Site::start().await;
    let sink = Sink::start(400).await;
    let flow = site.flow().await;
    let endpoint = site.endpoint(&flow, &sink.url).await;
    site.session(&flow).await;
    site.delivery(&endpoint, "dead").await;
    sink.answer(200);
    let path = format!("/manage/v1/endpoints/{endpoint}/retrigger");
    assert_eq!(site.poke(&path).await.is(200).json(), json!({ "retriggered": 1 }));
    assert_eq!(site.delivery(&endpoint, "delivered").await["attempts"], 2);
    assert_eq!(site.poke(&path).await.is(200).json(), json!({ "retriggered": 0 }));
    let missing = format!("/manage/v1/endpoints/{}/retrigger", uuid::Uuid::nil());
    assert_eq!(site.poke(&missing).await.refusal().0, 404);
}
