//! The same without a mouse.

use fantoccini::key::Key;
use idnow_webhooks_sandbox::Sandbox;
use idnow_webhooks_sandbox::model::{NewEndpoint, NewFlow};

use crate::browser::Browser;
use crate::receiver::Receiver;

/// Further away nobody presses Tab.
const MOST_TABS: usize = 60;

/// What has the focus: how it is called, and whether that can be seen.
const FOCUSED: &str = "
    const element = document.activeElement;
    const style = getComputedStyle(element);
    const label = element.labels?.[0]?.innerText ?? '';
    return {
        names: [element.getAttribute('aria-label') ?? '', element.innerText ?? '', label, element.value ?? '']
            .map((name) => name.trim().split('\\n')[0]),
        visible: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 && element.checkVisibility(),
    };";

impl Browser {
    /// Presses Tab until the element of that name has the focus, and looks whether each on the way shows it.
    async fn tab_to(&self, name: &str) {
        let mut passed = Vec::new();
        for _ in 0..MOST_TABS {
            self.press(Key::Tab).await.unwrap();
            let focused = self.run(FOCUSED).await;
            let names: Vec<&str> =
                focused["names"].as_array().unwrap().iter().filter_map(|name| name.as_str()).collect();
            assert_eq!(focused["visible"], true, "the focus on {names:?} cannot be seen");
            if names.contains(&name) {
                return;
            }
            passed.push(names.join("|"));
        }
        panic!("Tab did not get to {name:?}, but past {passed:#?}");
    }

    async fn type_text(&self, text: &str) {
        self.client.active_element().await.unwrap().send_keys(text).await.unwrap();
    }

    async fn enter(&self) {
        self.press(Key::Enter).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_added_and_a_session_driven_by_tab_and_enter() {
    let sandbox = Sandbox::start().await.unwrap();
    let receiver = Receiver::start().await;
    let browser = Browser::open().await;

    browser.go(sandbox.base_url()).await;
    browser.press(Key::Tab).await.unwrap();
    assert_eq!(browser.run("return document.activeElement.textContent").await, "Skip to the content");
    browser.enter().await;
    browser.until("the content has the focus", "return document.activeElement.id === 'content'").await;
    browser.tab_to("Add flow").await;
    browser.enter().await;
    browser.says("Add a flow").await;
    browser.tab_to("Name").await;
    browser.type_text("By keyboard").await;
    browser.enter().await;
    browser.says("The flow was added").await;

    browser.tab_to("Add webhook").await;
    browser.enter().await;
    browser.find("#url").await;
    browser.tab_to("URL").await;
    browser.type_text("nonsense").await;
    // The first button of the form is one that adds a header: Enter must save all the same.
    browser.enter().await;
    browser.says("Nothing was saved").await;
    browser.until("the focus is where the error is", "return document.activeElement.id === 'url'").await;
    browser.client.active_element().await.unwrap().clear().await.unwrap();
    browser.find("#url").await.send_keys(&receiver.url).await.unwrap();
    browser.tab_to("session.completed").await;
    browser.press(Key::Space).await.unwrap();
    browser.tab_to("Add webhook").await;
    browser.enter().await;
    browser.says("The webhook was added").await;
    browser.says("session.completed").await;

    browser.tab_to("Sessions").await;
    browser.enter().await;
    browser.says("Start a session").await;
    browser.tab_to("Start session").await;
    browser.enter().await;
    browser.says("session.created").await;
    browser.find("#link[data-state=live]").await;
    browser.tab_to("Complete: accepted").await;
    browser.enter().await;
    browser.says("200 OK").await;
    browser.tab_to("session.completed").await;
    browser.enter().await;
    browser.find("#attempt-1").await;
    browser.tab_to("Token of attempt 1").await;
    browser.enter().await;
    browser.says("\"eventName\": \"session.completed\"").await;
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_focus_stays_when_the_page_changes_under_it() {
    let sandbox = Sandbox::start().await.unwrap();
    let receiver = Receiver::start().await;
    receiver.answer(400);
    let flow = sandbox.create_flow(new_flow("Focus")).await.unwrap();
    sandbox.create_endpoint(NewEndpoint::new(flow.id, "staging", receiver.url.as_str())).await.unwrap();
    let browser = Browser::open().await;
    let start = || {
        let new = serde_json::from_value(serde_json::json!({"flowId": flow.id, "environment": "staging"}));
        sandbox.create_session(new.unwrap())
    };
    start().await.unwrap();
    browser.go(&format!("{}/dead-letters", sandbox.base_url())).await;
    browser.find("#link[data-state=live]").await;
    browser.find("input[name=delivery][value='1']").await;
    browser.tab_to("Select delivery 1").await;
    browser.press(Key::Space).await.unwrap();
    start().await.unwrap();
    browser.find("#dead-2").await;
    assert_eq!(browser.run("return document.activeElement.value").await, "1");
    assert_eq!(browser.run("return document.activeElement.checked").await, true);
    browser.tab_to("Retrigger delivery 1").await;
    receiver.answer(200);
    browser.enter().await;
    browser.says("Retriggered").await;
    browser
        .until(
            "it is gone",
            "return !document.getElementById('dead-1') && !!document.getElementById('dead-2')",
        )
        .await;
    sandbox.stop().await;
}

fn new_flow(name: &str) -> NewFlow {
    serde_json::from_value(serde_json::json!({"name": name})).unwrap()
}
