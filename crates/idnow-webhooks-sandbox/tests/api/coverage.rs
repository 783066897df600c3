//! Every answer that the document promises is really given.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::{Answer, Sink, Site};

/// Ways to be refused that depend on the kind of operation alone.
async fn refusals(site: &Site, open: &Site) {
    for (method, template, operation) in open.contract.operations() {
        let method: Method = method.parse().unwrap();
        let nil = uuid::Uuid::nil().to_string();
        let path = |value: &str| {
            let parts = template.split('/').map(|part| match part {
                "{environment}" => "staging".to_owned(),
                part if part.starts_with('{') => value.to_owned(),
                part => part.to_owned(),
            });
            parts.collect::<Vec<_>>().join("/")
        };
        let promised = |status: &str| operation["responses"].get(status).is_some();
        let of_schema = |name: &str| {
            let parameters = operation["parameters"].as_array();
            parameters
                .into_iter()
                .flatten()
                .find(|parameter| parameter["name"] == name)
                .map(|parameter| &parameter["schema"])
        };
        let integer = of_schema("id").is_some_and(|schema| schema["type"] == "integer");
        let valid = path(if integer { "7777777" } else { &nil });
        let json = ("content-type", "application/json");
        if template.starts_with("/manage/") {
            let foreign = [("host", "evil.example")];
            site.raw(method.clone(), &valid, &[("authorization", "Bearer no")], "").await.is(401);
            open.raw(method.clone(), &valid, &foreign, "").await.is(403);
        } else if promised("401") && !template.starts_with("/oidc/") {
            open.raw(method.clone(), &valid, &[], "").await.is(401);
        }
        if template.starts_with("/oidc/") {
            continue;
        }
        let token = format!("Bearer {}", open.access_token().await);
        let authorized = ("authorization", token.as_str());
        if promised("415") {
            open.raw(method.clone(), &valid, &[("content-type", "text/plain")], "{}").await.is(415);
            open.raw(method.clone(), &valid, &[json], "{").await.is(400);
            open.raw(method.clone(), &valid, &[json], &" ".repeat(70_000)).await.is(413);
        } else if promised("400") {
            let wrong = if template.contains('{') { path("%FF") } else { format!("{valid}?limit=x") };
            open.raw(method.clone(), &wrong, &[authorized], "").await.is(400);
        }
        if promised("404") && operation.get("requestBody").is_none() {
            open.raw(method.clone(), &valid, &[authorized], "").await.is(404);
        }
    }
}

/// After too many wrong tokens.
async fn guesses(site: &Site) {
    let managed = site.contract.operations().filter(|(_, path, _)| path.starts_with("/manage/"));
    for (method, path, _) in managed {
        let nil = uuid::Uuid::nil().to_string();
        let parts = path.split('/').map(|part| if part.starts_with('{') { nil.as_str() } else { part });
        let (method, path): (Method, _) = (method.parse().unwrap(), parts.collect::<Vec<_>>().join("/"));
        for guess in 0.. {
            assert!(guess < 200, "there is no end");
            let token = format!("Bearer number-{guess}");
            let answer = site.raw(method.clone(), &path, &[("authorization", &token)], "").await;
            if answer.status == 429 {
                assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
                break;
            }
            answer.is(401);
        }
    }
}

/// As many keys as receivers read, and one more.
async fn keys(site: &Site) {
    for made in 0.. {
        assert!(made < 100, "there is no end");
        let answer = site.poke("/manage/v1/keys/rotate").await;
        if answer.status == 409 {
            break;
        }
        answer.is(201);
    }
}

/// Bodies that do not come, all at once: each takes as long as the sandbox waits.
async fn slow(site: &Site) {
    let operations =
        site.contract.operations().filter(|(.., operation)| operation["responses"].get("408").is_some());
    let asked = operations.map(|(method, path, _)| async move {
        let path: Vec<_> =
            path.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect();
        let (path, port) = (path.join("/"), site.port());
        // An identifier of the right kind: what is wrong with the path would be told at once.
        let path = path.replace("/1", &format!("/{}", uuid::Uuid::nil()));
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n\
             Content-Length: 9\r\nConnection: close\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let answer = Answer { status, headers, body: body.to_owned() }.is(408);
        site.contract.check(&method, &path, None, &answer);
    });
    futures_util::future::join_all(asked).await;
}

/// What each operation does when all is well, and what the state of things forbids.
async fn successes(site: &Site) {
    let nil = uuid::Uuid::nil();
    let sink = Sink::start(400).await;
    let flow = site.flow().await;
    let endpoint = site.endpoint(&flow, &sink.url).await;
    let session = site.session(&flow).await;
    let event =
        site.get("/manage/v1/events").await.is(200).json()["items"][0]["id"].as_str().unwrap().to_owned();
    let delivery = site.delivery(&endpoint, "dead").await["id"].clone();
    for path in [
        "/manage/v1/flows",
        "/manage/v1/endpoints",
        "/manage/v1/sessions",
        "/manage/v1/keys",
        "/manage/v1/overview",
        "/manage/v1/chaos",
        "/openapi.json",
        "/health",
        "/oidc/.well-known/jwks.json",
        "/oidc/.well-known/openid-configuration",
        &format!("/manage/v1/flows/{flow}"),
        &format!("/manage/v1/endpoints/{endpoint}"),
        &format!("/manage/v1/sessions/{session}"),
        &format!("/manage/v1/events/{event}"),
        &format!("/manage/v1/deliveries/{delivery}"),
        &format!("/manage/v1/deliveries/{delivery}/attempts"),
        &format!("/manage/v1/deliveries/{delivery}/attempts"),
        &format!("/manage/v1/deliveries/{delivery}/attempts/1/token"),
    ] {
        site.get(path).await.is(200);
    }
    let token = format!("Bearer {}", site.access_token().await);
    for prefix in ["/api", ""] {
        for path in [format!("/v1/staging/sessions/{session}"), format!("/v1/flows/{flow}/staging/sessions")]
        {
            site.raw(Method::GET, &format!("{prefix}{path}"), &[("authorization", &token)], "").await.is(200);
        }
    }
    for form in ["", "grant_type=client_credentials&client_id=x&client_secret=y"] {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        assert!(!site.raw(Method::POST, "/oidc/token", &headers, form).await.status.is_success());
    }
    site.patch(&format!("/manage/v1/endpoints/{endpoint}"), json!({ "description": "b" })).await.is(200);
    site.patch(&format!("/manage/v1/endpoints/{nil}"), json!({})).await.is(404);
    let new = |flow: &str| json!({ "flowId": flow, "environment": "live", "url": "https://a.example" });
    site.post("/manage/v1/endpoints", new(&nil.to_string())).await.is(404);
    let steps = format!("/manage/v1/sessions/{session}/steps");
    site.post(&steps, json!({ "step": "abort" })).await.is(200);
    site.post(&steps, json!({ "step": "abort" })).await.is(409);
    site.post(&format!("/manage/v1/sessions/{nil}/steps"), json!({ "step": "start" })).await.is(404);
    site.post("/manage/v1/sessions", json!({ "flowId": nil, "environment": "live" })).await.is(404);
    let scenario = |flow: Value| json!({ "kind": "error", "flowId": flow, "environment": "live" });
    site.post("/manage/v1/scenarios", scenario(json!(flow))).await.is(201);
    site.post("/manage/v1/scenarios", scenario(json!(nil))).await.is(404);
    sink.answer(200);
    site.post("/manage/v1/deliveries/retrigger", json!({ "ids": [delivery] })).await.is(200);
    site.delivery(&endpoint, "delivered").await;
    site.poke(&format!("/manage/v1/deliveries/{delivery}/retrigger")).await.is(409);
    sink.answer(400);
    site.session(&flow).await;
    let dead = site.delivery(&endpoint, "dead").await["id"].clone();
    site.poke(&format!("/manage/v1/deliveries/{dead}/retrigger")).await.is(200);
    site.poke(&format!("/manage/v1/endpoints/{endpoint}/retrigger")).await.is(200);
    site.call(Method::PUT, "/manage/v1/chaos", Some(json!({ "seed": 7 }))).await.is(200);
    site.delete("/manage/v1/chaos").await.is(204);
    let old = site.get("/manage/v1/keys").await.json()[0]["id"].as_str().unwrap().to_owned();
    let new = site.poke("/manage/v1/keys/rotate").await.is(201).json()["id"].as_str().unwrap().to_owned();
    site.poke(&format!("/manage/v1/keys/{old}/retire")).await.is(200);
    site.poke(&format!("/manage/v1/keys/{new}/retire")).await.is(409);
    site.delete(&format!("/manage/v1/flows/{flow}")).await.is(409);
    site.delete(&format!("/manage/v1/endpoints/{endpoint}")).await.is(204);
    site.delete(&format!("/manage/v1/flows/{}", site.flow().await)).await.is(204);
    site.post("/manage/v1/triggers", json!({ "eventName": "session.completed", "url": sink.url }))
        .await
        .is(200);
}

#[tokio::test]
async fn every_answer_of_the_document_is_given_as_it_says() {
    let open = Site::start().await;
    let guarded =
        Site::with(idnow_webhooks_sandbox::Sandbox::builder(), Some("correct-horse-battery-staple")).await;
    successes(&open).await;
    refusals(&guarded, &open).await;
    guesses(&guarded).await;
    // Both take their time.
    tokio::join!(slow(&open), keys(&open));
    let seen: BTreeSet<_> = open.contract.seen().union(&guarded.contract.seen()).cloned().collect();
    let missing: Vec<_> = open.contract.promised().difference(&seen).cloned().collect();
    // The database cannot be made to fail from outside; the answer has its test where it is made. A stream of
    // changes has no end, and tests of its own.
    let expected = |(name, status): &(String, u16)| {
        *status == 503 || (name.as_str(), *status) == ("follow_changes", 200)
    };
    assert_eq!(missing.into_iter().filter(|one| !expected(one)).collect::<Vec<_>>(), []);
}
