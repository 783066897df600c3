//! What the dashboard is for, from the first flow to a dead letter that is delivered after all.

use idnow_webhooks_sandbox::Sandbox;
use idnow_webhooks_sandbox::model::{Outcome, Step};

use crate::browser::Browser;
use crate::receiver::Receiver;

/// Half a second, one and two until the retries are used up.
async fn sandbox() -> Sandbox {
    Sandbox::builder().time_scale(2.0).max_retries(3).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_first_webhook_to_a_retriggered_dead_letter() {
    let sandbox = sandbox().await;
    let receiver = Receiver::start().await;
    let browser = Browser::open().await;

    browser.go(sandbox.base_url()).await;
    browser.says("Make a flow").await;
    browser.picture("first-steps").await;
    browser.click("Add flow").await;

    add_webhook(&browser, &receiver).await;
    see_it_delivered(&browser, &sandbox).await;
    receiver.answer(503);
    let delivery = watch_the_retries(&browser).await;
    receiver.answer(200);
    retrigger(&browser).await;
    browser.go(&format!("{}{delivery}", sandbox.base_url())).await;
    browser.find("h1 + .badge.good").await;
    browser.find("#attempt-5 .badge.good").await;
    sandbox.stop().await;
}

async fn add_webhook(browser: &Browser, receiver: &Receiver) {
    // Nothing was typed: the error stands beside the field.
    browser.click("Add flow").await;
    browser.find("#name[aria-invalid=true][aria-describedby=name-error]").await;
    browser.says("1 to 200 characters").await;
    browser.type_into("#name", "Account opening").await;
    browser.click("Add flow").await;
    browser.says("The flow was added").await;
    browser.click("Add webhook").await;

    // A URL that may not be saved: everything else that was typed is still there.
    browser.type_into("#url", "http://example.com/hook").await;
    browser.type_into("#description", "Bank backend").await;
    browser.find("input[name=event][value='session.completed']").await.click().await.unwrap();
    browser.find("input[name=event][value='session.expired']").await.click().await.unwrap();
    browser.type_into("input[name=header-name]", "X-Auth-Token").await;
    browser.type_into("input[name=header-value]", "a-secret-value").await;
    browser.click("Add header").await;
    browser.until("there is a second row", "return document.querySelectorAll('.pairs').length === 2").await;
    browser.click("Add webhook").await;
    browser.says("Nothing was saved").await;
    browser.find("#url[aria-invalid=true]").await;
    browser.picture("webhook-form").await;
    let kept = "return [...document.querySelectorAll('#description, input[name=event]:checked, \
                input[name=header-name], input[name=header-value]')].map(input => input.value).join()";
    assert_eq!(
        browser.run(kept).await,
        "Bank backend,session.completed,session.expired,X-Auth-Token,a-secret-value,,"
    );
    browser.type_into("#url", &receiver.url).await;
    browser.click("Add webhook").await;
    browser.says("The webhook was added").await;
    browser.says("X-Auth-Token").await;
    assert!(!browser.client.source().await.unwrap().contains("a-secret-value"));

    // The secret is not shown, and stays when it is not typed again.
    browser.click("Edit").await;
    assert!(!browser.client.source().await.unwrap().contains("a-secret-value"));
    browser.type_into("#description", "Backend of the bank").await;
    browser.click("Save changes").await;
    browser.says("Backend of the bank").await;
    browser.picture("webhooks").await;
}

async fn see_it_delivered(browser: &Browser, sandbox: &Sandbox) {
    browser.click("Sessions").await;
    browser.click("Start session").await;
    browser.says("No webhook of staging wanted it").await;
    // From here on no page is loaded again by itself: what changes comes by the script.
    browser.find("#link[data-state=live]").await;
    let session = browser.path().await;

    // Somebody else drives the session: the page follows.
    browser.run("window.loaded = 'once'").await;
    let id = session.rsplit('/').next().unwrap().parse().unwrap();
    sandbox.drive(id, Step::Start).await.unwrap();
    browser.find("h1 + .badge.busy").await;
    sandbox.drive(id, Step::Complete { outcome: Outcome::Accepted }).await.unwrap();
    browser.find("tr .badge.good").await;
    browser.says("200 OK").await;
    browser.says("session.completed").await;
    assert_eq!(browser.run("return window.loaded").await, "once");
    browser
        .until("it is announced", "return document.getElementById('told').textContent.includes('Completed')")
        .await;
    browser.picture("session").await;
}

/// The path of the delivery, a dead letter then.
async fn watch_the_retries(browser: &Browser) -> String {
    browser.click("Sessions").await;
    browser.click("Start session").await;
    browser.click("Complete: accepted").await;
    browser.named("session.completed").await.click().await.unwrap();
    browser.find("#link[data-state=live]").await;
    browser
        .run(
            "window.loaded = 'once'; window.seen = new Set();
             const look = () => document.querySelectorAll('h1 + .badge, .timeline h3').forEach(
                 (element) => window.seen.add(element.textContent));
             look();
             new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});",
        )
        .await;
    browser.find(".timeline .badge.bad").await;
    browser.find("#attempt-next time[data-due]").await;
    browser.find("#token-1 summary").await.click().await.unwrap();
    browser.says("\"eventDeliverId\": \"1\"").await;
    browser.picture("retrying").await;
    browser.find("h1 + .badge.bad").await;
    browser.says("All retries were used up").await;
    for attempt in 1..=4 {
        browser.says(&format!("Attempt {attempt}")).await;
    }
    assert_eq!(browser.run("return window.loaded").await, "once");
    let seen = browser.run("return [...window.seen].sort().join()").await;
    for state in ["Retrying", "Dead letter", "Attempt 4"] {
        assert!(seen.as_str().unwrap().contains(state), "{state} was not seen: {seen}");
    }
    // It was opened before the other attempts were there.
    assert_eq!(browser.run("return document.getElementById('token-1').open").await, true);
    browser.picture("delivery").await;
    browser.path().await
}

async fn retrigger(browser: &Browser) {
    browser.find("a[href='/dead-letters']").await.click().await.unwrap();
    browser.says("All retries were used up").await;
    assert_eq!(browser.find("#dead-count").await.text().await.unwrap(), "1");
    browser.click("Retrigger selected").await;
    browser.says("Nothing was selected").await;
    browser.click("Back").await;
    browser.picture("dead-letters").await;
    browser.find("input[name=delivery]").await.click().await.unwrap();
    browser.click("Retrigger selected").await;
    browser.says("Retriggered").await;
    browser.says("No dead letters").await;
}
