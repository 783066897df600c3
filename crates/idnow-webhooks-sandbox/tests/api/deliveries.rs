use serde_json::{Value, json};

use super::support::{Sink, Site};

#[tokio::test]
async fn a_delivery_is_found_with_its_attempts_and_tokens() {
    let site = Site::start().await;
    let sink = Sink::start(204).await;
    let flow = site.flow().await;
    let endpoint = site.endpoint(&flow, &sink.url).await;
    let session = site.session(&flow).await;
    let delivery = site.delivery(&endpoint, "delivered").await;
    assert_eq!((&delivery["sessionId"], &delivery["attempts"]), (&json!(session), &json!(1)));
    let path = format!("/manage/v1/deliveries/{}", delivery["id"]);
    assert_eq!(site.get(&path).await.is(200).json(), delivery);
    let attempts = site.get(&format!("{path}/attempts")).await.is(200).json();
    let history = attempts["items"].as_array().unwrap();
    assert_eq!((history.len(), &attempts["next"]), (1, &Value::Null));
    assert_eq!((&history[0]["number"], &history[0]["answer"]["code"]), (&json!(1), &json!(204)));
    assert_eq!(delivery["lastAnswered"], history[0]);

    let token = site.get(&format!("{path}/attempts/1/token")).await.is(200).json();
    assert_eq!(token["header"], json!({ "alg": "RS256", "kid": history[0]["keyId"], "typ": "JWT" }));
    let claims = &token["claims"];
    assert_eq!((&claims["aud"], &claims["sub"]), (&json!(sink.url), &delivery["eventId"]));
    assert_eq!(claims["iss"], site.sandbox.issuer());
    assert_eq!(claims["data"]["payload"]["sessionId"], session.as_str());
    for missing in [format!("{path}/attempts/2/token"), format!("{path}/attempts/0/token")] {
        assert_eq!(site.get(&missing).await.refusal(), (404, "not_found".to_owned(), None));
    }
}

#[tokio::test]
async fn deliveries_are_listed_by_endpoint_event_session_and_state() {
    let site = Site::start().await;
    let (good, bad) = (Sink::start(200).await, Sink::start(404).await);
    let flow = site.flow().await;
    let (well, badly) = (site.endpoint(&flow, &good.url).await, site.endpoint(&flow, &bad.url).await);
    let session = site.session(&flow).await;
    let delivered = site.delivery(&well, "delivered").await;
    let dead = site.delivery(&badly, "dead").await;
    assert_eq!(dead["deadReason"], "client_error");
    let event = delivered["eventId"].as_str().unwrap();
    for (query, expected) in [
        (String::new(), vec![&dead, &delivered]),
        (format!("?endpointId={well}"), vec![&delivered]),
        (format!("?eventId={event}"), vec![&dead, &delivered]),
        (format!("?sessionId={session}&state=dead"), vec![&dead]),
        ("?state=waiting".to_owned(), vec![]),
        (format!("?endpointId={}", uuid::Uuid::nil()), vec![]),
    ] {
        let page = site.get(&format!("/manage/v1/deliveries{query}")).await.is(200).json();
        let mut items: Vec<&Value> = page["items"].as_array().unwrap().iter().collect();
        assert!(items.is_sorted_by_key(|item| -item["id"].as_i64().unwrap()), "{query}: newest first");
        let mut expected = expected;
        for list in [&mut items, &mut expected] {
            list.sort_by_key(|item| item["id"].as_i64());
        }
        assert_eq!(items, expected, "{query}");
    }
}

#[tokio::test]
async fn dead_letters_are_retriggered_one_by_one_or_several() {
    let site = Site::start().await;
    let sink = Sink::start(400).await;
    let flow = site.flow().await;
    let endpoint = site.endpoint(&flow, &sink.url).await;
    site.session(&flow).await;
    let id = site.delivery(&endpoint, "dead").await["id"].clone();
    sink.answer(200);
    let path = format!("/manage/v1/deliveries/{id}/retrigger");
    let again = site.poke(&path).await.is(200).json();
    assert_eq!((&again["id"], &again["deadReason"]), (&id, &Value::Null));
    assert_eq!(site.delivery(&endpoint, "delivered").await["attempts"], 2);
    assert_eq!(site.poke(&path).await.refusal(), (409, "conflict".to_owned(), None));

    sink.answer(400);
    site.session(&flow).await;
    let other = site.delivery(&endpoint, "dead").await["id"].clone();
    sink.answer(200);
    let several = json!({ "ids": [id, other, 999_999] });
    let answer = site.post("/manage/v1/deliveries/retrigger", several).await.is(200);
    assert_eq!(answer.json(), json!({ "retriggered": 1 }));
    assert_eq!(site.poke("/manage/v1/deliveries/999999/retrigger").await.refusal().0, 404);
}

#[tokio::test]
async fn what_is_wrong_with_a_list_of_deliveries_is_named() {
    let site = Site::start().await;
    let many: Vec<u32> = (0..1001).collect();
    for (body, field) in [
        (json!({ "ids": [] }), "ids"),
        (json!({ "ids": many }), "ids"),
        (json!({ "ids": ["1"] }), "ids[0]"),
        (json!({}), "ids"),
        (json!({ "ids": [1], "state": "dead" }), "state"),
    ] {
        let (status, _, named) = site.post("/manage/v1/deliveries/retrigger", body.clone()).await.refusal();
        assert_eq!((status, named.as_deref()), (400, Some(field)), "{body}");
    }
    for (path, field) in [
        ("/manage/v1/deliveries/x", "id"),
        ("/manage/v1/deliveries/99999999999999999999", "id"),
        ("/manage/v1/deliveries/1/attempts/x/token", "number"),
        ("/manage/v1/deliveries/x/attempts/1/token", "id"),
        ("/manage/v1/deliveries/1/attempts/-1/token", "number"),
        ("/manage/v1/deliveries?state=DEAD", "state"),
        ("/manage/v1/deliveries?limit=0", "limit"),
        ("/manage/v1/deliveries?after=x", "after"),
    ] {
        let refused = site.get(path).await.refusal();
        assert_eq!(refused, (400, "invalid_input".to_owned(), Some(field.to_owned())), "{path}");
    }
}

#[tokio::test]
async fn attempts_are_listed_in_pages_the_last_one_first() {
    let site =
        Site::with(idnow_webhooks_sandbox::Sandbox::builder().time_scale(1000.0).max_retries(3), None).await;
    let sink = Sink::start(503).await;
    let flow = site.flow().await;
    let endpoint = site.endpoint(&flow, &sink.url).await;
    site.session(&flow).await;
    let delivery = site.delivery(&endpoint, "dead").await;
    assert_eq!((&delivery["attempts"], &delivery["lastAnswered"]["number"]), (&json!(4), &json!(4)));
    let path = format!("/manage/v1/deliveries/{}/attempts", delivery["id"]);
    let (mut numbers, mut next) = (Vec::new(), String::new());
    for left in [3, 2, 1, 0] {
        let page = site.get(&format!("{path}?limit=1{next}")).await.is(200).json();
        numbers.extend(page["items"].as_array().unwrap().iter().map(|item| item["number"].clone()));
        assert_eq!(page["next"].is_null(), left == 0, "{page}");
        next = format!("&after={}", page["next"].as_str().unwrap_or_default());
    }
    assert_eq!(numbers, [4, 3, 2, 1]);
    for (query, field) in [("limit=0", "limit"), ("limit=501", "limit"), ("after=x", "after")] {
        let refused = site.get(&format!("{path}?{query}")).await.refusal();
        assert_eq!(refused, (400, "invalid_input".to_owned(), Some(field.to_owned())), "{query}");
    }
    let missing = site.get("/manage/v1/deliveries/999/attempts").await.refusal();
    assert_eq!(missing, (404, "not_found".to_owned(), None));
}
