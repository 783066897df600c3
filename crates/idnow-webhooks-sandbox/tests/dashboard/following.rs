//! Pages that follow what changes.

use idnow_webhooks_sandbox::Sandbox;
use idnow_webhooks_sandbox::model::{NewEndpoint, Step};
use serde_json::json;

use crate::browser::Browser;
use crate::receiver::Receiver;

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_before_the_page_listened_is_shown_all_the_same() {
    let sandbox = Sandbox::start().await.unwrap();
    let flow = sandbox.create_flow(serde_json::from_value(json!({"name": "Late"})).unwrap()).await.unwrap();
    let new = json!({"flowId": flow.id, "environment": "staging"});
    let session = sandbox.create_session(serde_json::from_value(new).unwrap()).await.unwrap();
    let browser = Browser::open().await;
    // The page begins to listen only when the test lets it.
    let late = "const Real = EventSource;
        window.EventSource = class {
            constructor(url) {
                window.listen = () => {
                    const source = new Real(url);
                    source.onopen = () => this.onopen();
                    source.onmessage = (event) => this.onmessage(event);
                };
            }
            close() {}
        };";
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": late})).await;
    browser.go(&format!("{}/sessions/{}", sandbox.base_url(), session.id)).await;
    browser.find("h1 + .badge.wait").await;
    sandbox.drive(session.id, Step::Start).await.unwrap();
    browser.run("window.listen()").await;
    browser.find("h1 + .badge.busy").await;
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_is_followed_and_listed_in_parts() {
    let (bank, crm, audit) = tokio::join!(Receiver::start(), Receiver::start(), Receiver::start());
    crm.answer(503);
    audit.answer(400);
    let sandbox = Sandbox::start().await.unwrap();
    let new = json!({"name": "Account opening"});
    let flow = sandbox.create_flow(serde_json::from_value(new).unwrap()).await.unwrap();
    let add = async |environment, url: String, description: &str, kinds: &[&str], header: Option<&str>| {
        let mut new = NewEndpoint::new(flow.id, environment, url);
        new.description = description.to_owned();
        new.events = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let headers = header.map(|name| json!([{"name": name, "value": "a-secret"}])).unwrap_or(json!([]));
        new.headers = serde_json::from_value(headers).unwrap();
        sandbox.create_endpoint(new).await.unwrap().id
    };
    add("staging", bank.url.clone(), "Core banking", &[], Some("Authorization")).await;
    let ends = ["session.completed", "session.error"];
    add("staging", crm.at("/hooks/crm"), "Customer records, down at the moment", &ends, None).await;
    add(
        "staging",
        audit.at("/audit/events"),
        "Refuses everything",
        &["session.aborted"],
        Some("X-Auth-Token"),
    )
    .await;
    let live = add("live", bank.at("/webhooks/idnow-live"), "Production", &[], Some("Authorization")).await;
    let off = serde_json::from_value(json!({"enabled": false})).unwrap();
    sandbox.change_endpoint(live, off).await.unwrap();

    let browser = Browser::open().await;
    browser.go(&format!("{}/flows/{}", sandbox.base_url(), flow.id)).await;
    browser.says("2 kinds").await;

    browser.go(&format!("{}/deliveries", sandbox.base_url())).await;
    browser.find("#link[data-state=live]").await;
    browser.run("window.loaded = 'once'").await;
    let storm = json!({"kind": "storm", "flowId": flow.id, "environment": "staging", "sessions": 60});
    sandbox.play(serde_json::from_value(storm).unwrap()).await.unwrap();
    // Two events of each session to the bank; what was aborted has one more, and is refused; the rest is retried.
    browser.says("120 delivered").await;
    browser.says("6 dead letters").await;
    assert_eq!(browser.run("return window.loaded").await, "once");
    browser
        .until("one page full", "return document.querySelectorAll('#delivery-rows tr').length === 50")
        .await;
    browser.picture("storm").await;
    let first = browser.run("return document.querySelector('#delivery-rows tr').id").await;
    browser.click("Older").await;
    browser.named("Newest").await;
    assert_ne!(browser.run("return document.querySelector('#delivery-rows tr').id").await, first);
    browser.click("Newest").await;
    browser
        .until(
            "the newest again",
            &format!("return document.querySelector('#delivery-rows tr').id === {first}"),
        )
        .await;

    // Only what is asked for, and by the page of the dead letters all of one webhook at once.
    browser.find("#state option[value=dead]").await.click().await.unwrap();
    browser.click("Filter").await;
    browser
        .until(
            "six dead",
            "return document.querySelectorAll('#delivery-rows .badge.bad').length === 6
        && document.querySelectorAll('#delivery-rows tr').length === 6",
        )
        .await;
    browser.find("a[href='/dead-letters']").await.click().await.unwrap();
    browser.find("#endpoint option:nth-child(3)").await.click().await.unwrap();
    browser.click("Filter").await;
    audit.answer(200);
    browser.click("Retrigger all of this webhook").await;
    browser.says("No dead letters of this webhook").await;
    assert_eq!(sandbox.counts().await.unwrap().deliveries.dead, 0);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_finds_no_place_to_listen_looks_by_itself_and_tries_again() {
    let sandbox = Sandbox::start().await.unwrap();
    let changes = format!("{}/manage/v1/changes", sandbox.base_url());
    let mut listeners = Vec::new();
    for _ in 0..64 {
        let mut answer = reqwest::get(&changes).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.chunk().await.unwrap();
        listeners.push(answer);
    }
    let browser = Browser::open().await;
    browser.go(&format!("{}/keys", sandbox.base_url())).await;
    browser.find("#link[data-state=lost]").await;
    browser.run("window.loaded = 'once'").await;
    let key = sandbox.rotate_keys().await.unwrap();
    browser.find(&format!("[id='key-{}']", key.id)).await;
    drop(listeners);
    browser.find("#link[data-state=live]").await;
    assert_eq!(browser.run("return window.loaded").await, "once");
    sandbox.stop().await;
}
