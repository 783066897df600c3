use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use super::support::Site;

#[tokio::test]
async fn the_document_is_openapi_3_1_and_whole() {
    let site = Site::start().await;
    let answer = site.get("/openapi.json").await.is(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    assert!(references.len() > 20);
    for reference in references {
        let found = document.pointer(reference.strip_prefix('#').unwrap());
        assert!(found.is_some(), "{reference} leads nowhere");
    }
    let tags: BTreeSet<_> =
        document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).map(Value::to_string).collect();
    for (method, path, operation) in site.contract.operations() {
        let parameters: BTreeSet<&str> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let named: BTreeSet<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
        assert_eq!(parameters, named, "{method} {path}");
        assert!(
            tags.contains(&operation["tags"][0].to_string()),
            "{method} {path}: {}",
            operation["tags"][0]
        );
    }
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                references.insert(reference.clone());
            }
            members.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}

#[tokio::test]
async fn each_path_has_the_documented_methods_and_no_others() {
    let site = Site::start().await;
    let paths: BTreeSet<String> = site.contract.operations().map(|(_, path, _)| path).collect();
    let token = format!("Bearer {}", site.access_token().await);
    for path in paths {
        let documented: BTreeSet<String> = site
            .contract
            .operations()
            .filter(|(_, other, _)| *other == path)
            .map(|(method, ..)| method)
            .collect();
        // An endless answer.
        if path == "/manage/v1/changes" {
            continue;
        }
        let concrete = path.split('/').map(|part| if part.starts_with('{') { "1" } else { part });
        let concrete = concrete.collect::<Vec<_>>().join("/");
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS]
        {
            let request =
                site.client.request(method.clone(), site.url(&concrete)).header("authorization", &token);
            let answer = request.send().await.unwrap();
            let refused = answer.status() == 405;
            assert_eq!(refused, !documented.contains(method.as_str()), "{method} {path}: {answer:?}");
            if refused {
                let allow = answer.headers()["allow"].to_str().unwrap();
                let mut allowed: BTreeSet<String> =
                    allow.split(',').map(|name| name.trim().to_owned()).collect();
                allowed.remove("HEAD");
                assert_eq!(allowed, documented, "{path}");
                let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
                assert_eq!(problem["code"], "method_not_allowed", "{method} {path}");
                assert_eq!(site.contract.problems("Problem", &problem), Vec::<String>::new());
            } else {
                let missing = answer.status() == 404;
                let text = answer.text().await.unwrap();
                assert!(!missing || text.contains("not_found"), "{method} {path}: {text}");
            }
        }
    }
    assert!(site.get("/manage/v1/nothing").await.refusal() == (404, "unknown_path".to_owned(), None));
}

#[tokio::test]
async fn the_schemas_refuse_what_the_sandbox_refuses() {
    let site = Site::start().await;
    for (schema, value) in [
        ("NewFlow", json!({})),
        ("NewFlow", json!({ "name": "a", "colour": "red" })),
        ("NewEndpoint", json!({ "environment": "live", "url": "https://a.example" })),
        ("EndpointChange", json!({ "flowId": uuid::Uuid::nil() })),
        ("Step", json!({ "step": "fly" })),
        ("Step", json!({ "step": "start", "outcome": "accepted" })),
        ("Scenario", json!({ "kind": "rain", "flowId": uuid::Uuid::nil(), "environment": "live" })),
        ("Problem", json!({ "code": "x" })),
    ] {
        assert!(!site.contract.problems(schema, &value).is_empty(), "{schema}: {value}");
    }
    for (schema, value) in [
        ("NewFlow", json!({ "name": "a" })),
        ("Step", json!({ "step": "start" })),
        ("Step", json!({ "step": "complete" })),
        ("EndpointChange", json!({})),
    ] {
        assert_eq!(site.contract.problems(schema, &value), Vec::<String>::new(), "{schema}: {value}");
    }
}
