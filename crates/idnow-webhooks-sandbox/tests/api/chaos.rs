use http::Method;
use serde_json::{Value, json};

use super::support::{Sink, Site};

const PATH: &str = "/manage/v1/chaos";

fn counted<'a>(report: &'a Value, list: &str, fault: &str) -> &'a Value {
    report[list].as_array().unwrap().iter().find(|row| row["fault"] == fault).unwrap()
}

#[tokio::test]
async fn it_is_set_and_ended() {
    let site = Site::start().await;
    let none = site.get(PATH).await.is(200).json();
    assert_eq!((&none["settings"], &none["forgeriesAccepted"]), (&Value::Null, &json!(0)));
    assert_eq!(none["faults"].as_array().unwrap().len(), 10);
    assert_eq!(none["forgeries"].as_array().unwrap().len(), 5);

    let chaos = json!({ "seed": 7, "duplicate": 0.2, "corrupt": 1 });
    let report = site.call(Method::PUT, PATH, Some(chaos)).await.is(200).json();
    let settings = &report["settings"];
    assert_eq!(
        (&settings["seed"], &settings["duplicate"], &settings["drop"]),
        (&json!(7), &json!(0.2), &json!(0.0))
    );
    assert_eq!(site.get(PATH).await.is(200).json(), report);
    // What is not named does not happen any more.
    let report = site.call(Method::PUT, PATH, Some(json!({ "seed": 8 }))).await.is(200).json();
    assert_eq!((&report["settings"]["seed"], &report["settings"]["duplicate"]), (&json!(8), &json!(0.0)));
    site.delete(PATH).await.is(204);
    site.delete(PATH).await.is(204);
    assert_eq!(site.get(PATH).await.is(200).json()["settings"], Value::Null);
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let site = Site::start().await;
    for (chaos, field) in [
        (json!({ "drop": 1.1 }), "drop"),
        (json!({ "skew": -0.1 }), "skew"),
        (json!({ "seed": -1 }), "seed"),
        (json!({ "seed": 0.5 }), "seed"),
        (json!({ "drop": "often" }), "drop"),
        (json!({ "dorp": 0.5 }), "dorp"),
        (json!({ "all": 0.5 }), "all"),
    ] {
        let refused = site.call(Method::PUT, PATH, Some(chaos.clone())).await;
        let expected = (400, "invalid_input".to_owned(), Some(field.to_owned()));
        assert_eq!(refused.refusal(), expected, "{chaos}");
    }
    assert_eq!(site.get(PATH).await.is(200).json()["settings"], Value::Null);
}

#[tokio::test]
async fn what_came_of_it_is_told() {
    let (site, sink) = (Site::start().await, Sink::start(200).await);
    let chaos = json!({ "seed": 7, "duplicate": 1, "skew": 1, "unknown": 1 });
    site.call(Method::PUT, PATH, Some(chaos)).await.is(200);
    let flow = site.flow().await;
    let endpoint = site.endpoint(&flow, &sink.url).await;
    site.session(&flow).await;
    let delivery = site.delivery(&endpoint, "delivered").await["id"].clone();
    let report = site.get(PATH).await.is(200).json();
    assert_eq!(counted(&report, "faults", "duplicate")["count"], 1);
    assert_eq!(counted(&report, "faults", "drop")["count"], 0);
    let unknown = json!({ "fault": "unknown", "sent": 1, "refused": 0, "accepted": 1, "unanswered": 0 });
    assert_eq!(counted(&report, "forgeries", "unknown"), &unknown);
    assert_eq!(report["forgeriesAccepted"], 1);
    assert_eq!(site.get("/manage/v1/overview").await.is(200).json()["forgeriesAccepted"], 1);

    let attempts = site.get(&format!("/manage/v1/deliveries/{delivery}/attempts")).await.is(200).json();
    let faults = attempts["items"][0]["faults"].as_array().unwrap();
    let names: Vec<_> = faults.iter().map(|fault| fault["fault"].as_str().unwrap()).collect();
    assert_eq!(names, ["unknown", "skew", "duplicate"]);
    assert_eq!(faults[0]["answer"]["code"], 200);
    assert!((1..=30).contains(&faults[1]["seconds"].as_i64().unwrap().abs()));
}
