//! Who may see and change what.

use http::StatusCode;
use http::header::{LOCATION, ORIGIN, SET_COOKIE};
use idnow_webhooks_sandbox::Sandbox;

use crate::browser::Browser;

const TOKEN: &str = "a-token-of-this-test";

fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_access_token_one_signs_in_and_out() {
    let sandbox = Sandbox::builder().access_token(TOKEN).start().await.unwrap();
    let browser = Browser::open().await;
    browser.go(&format!("{}/deliveries?state=dead", sandbox.base_url())).await;
    assert_eq!(browser.path().await, "/login");
    browser.type_into("#token", "not the token").await;
    browser.click("Sign in").await;
    browser.says("This is not the access token").await;
    browser.type_into("#token", TOKEN).await;
    browser.click("Sign in").await;
    browser.says("No delivery is like that").await;
    assert_eq!(browser.path().await, "/deliveries");
    // The stream of changes takes the cookie, too.
    browser.find("#link[data-state=live]").await;
    let cookies = browser.client.get_all_cookies().await.unwrap();
    assert_eq!(cookies.len(), 1);
    assert_eq!(cookies[0].http_only(), Some(true));
    assert!(cookies[0].same_site().unwrap().is_strict());
    assert!(!cookies[0].value().contains(TOKEN));
    browser.click("Sign out").await;
    browser.says("Access token").await;
    browser.go(sandbox.base_url()).await;
    assert_eq!(browser.path().await, "/login");
    assert_eq!(browser.console().await.iter().filter(|line| !line.contains("/login")).count(), 0);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_is_shown_and_nothing_done_without_the_token() {
    let sandbox = Sandbox::builder().access_token(TOKEN).start().await.unwrap();
    for path in ["/", "/flows", "/sessions", "/deliveries", "/dead-letters", "/keys"] {
        let answer = client().get(format!("{}{path}", sandbox.base_url())).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
        assert!(answer.headers()[LOCATION].to_str().unwrap().starts_with("/login"), "{path}");
    }
    let rotate = format!("{}/keys/rotate", sandbox.base_url());
    let answer = client().post(&rotate).send().await.unwrap();
    assert_eq!(answer.headers()[LOCATION], "/login");
    assert_eq!(sandbox.keys().await.unwrap().len(), 1);
    // A stranger's form cannot sign somebody in either.
    let login = client().post(format!("{}/login", sandbox.base_url())).body(format!("token={TOKEN}"));
    let answer = login.header(ORIGIN, "https://evil.example").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(!answer.headers().contains_key(SET_COOKIE));
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_change_nothing() {
    let sandbox = Sandbox::start().await.unwrap();
    let rotate = format!("{}/keys/rotate", sandbox.base_url());
    let keys = async || sandbox.keys().await.unwrap().len();
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("host", "evil.example"),
    ] {
        let answer = client().post(&rotate).header(name, value).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{name}: {value}: {}", answer.status());
        assert_eq!(keys().await, 1, "{name}: {value}");
    }
    let own =
        client().post(&rotate).header(ORIGIN, sandbox.base_url()).header("sec-fetch-site", "same-origin");
    assert_eq!(own.send().await.unwrap().status(), StatusCode::SEE_OTHER);
    assert_eq!(keys().await, 2);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_take_nothing_from_elsewhere_and_cannot_be_framed() {
    let sandbox = Sandbox::start().await.unwrap();
    let page = client().get(sandbox.base_url()).send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    assert_eq!(page.headers()["cache-control"], "no-store");
    let body = page.text().await.unwrap();
    for asset in body.split('"').filter(|part| part.starts_with("/assets/")) {
        let asset = client().get(format!("{}{asset}", sandbox.base_url())).send().await.unwrap();
        assert_eq!(asset.status(), StatusCode::OK);
        assert!(asset.headers()["cache-control"].to_str().unwrap().contains("immutable"));
        assert!(asset.bytes().await.unwrap().len() < 24 * 1024);
    }
    sandbox.stop().await;
}
