//! Who may see and change what.

use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::{LOCATION, ORIGIN, SET_COOKIE};
use idnow_webhooks_sandbox::Sandbox;

use crate::browser::{Browser, PATIENCE};

const TOKEN: &str = "a-s3cret-of-this-test";

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

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_kept_out_of_other_sites() {
    let sandbox = Sandbox::start().await.unwrap();
    let guarded = Sandbox::builder().access_token(TOKEN).start().await.unwrap();
    let pages =
        ["/", "/flows", "/sessions", "/nothing/here", "/flows/x", "/keys/rotate", "/manage/v1/nothing"];
    let others = ["/openapi.json", "/manage/v1/flows", "/oidc/.well-known/jwks.json"];
    let asset = |part: &str| part.starts_with("/assets/");
    let text = client().get(sandbox.base_url()).send().await.unwrap().text().await.unwrap();
    let assets: Vec<String> = text.split('"').filter(|part| asset(part)).map(str::to_owned).collect();
    assert_eq!(assets.len(), 3, "{assets:?}");
    let of = |sandbox: &Sandbox, path: &str| format!("{}{path}", sandbox.base_url());
    let mut asked: Vec<(String, bool)> = pages.map(|path| (of(&sandbox, path), true)).into();
    asked.extend(others.map(|path| (of(&sandbox, path), false)));
    asked.extend(assets.iter().map(|path| (of(&sandbox, path), false)));
    asked.extend(
        [("/login", true), ("/flows", false), ("/manage/v1/flows", false)]
            .map(|(path, page)| (of(&guarded, path), page)),
    );
    for (url, is_page) in asked {
        let answer = client().get(&url).header("accept", "text/html").send().await.unwrap();
        let header =
            |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let policy = header("content-security-policy");
        for directive in ["default-src 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(directive), "{url}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{url}: {policy}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{url}");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin", "{url}");
        // With none at all, browsers would not say where a form comes from.
        assert_eq!(header("referrer-policy"), if is_page { "same-origin" } else { "no-referrer" }, "{url}");
        if is_page {
            assert_eq!(header("x-frame-options"), "DENY", "{url}");
            assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{url}");
            assert_eq!(header("cache-control"), "no-store", "{url}");
            assert_eq!(header("content-type"), "text/html; charset=utf-8", "{url}");
            let body = answer.text().await.unwrap();
            assert!(
                !body.contains("<style") && !body.contains(" style=") && !body.contains(" onclick="),
                "{url}"
            );
        }
    }
    sandbox.stop().await;
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_has_to_wait() {
    let sandbox = Sandbox::builder().access_token(TOKEN).start().await.unwrap();
    let login =
        |token: &str| client().post(format!("{}/login", sandbox.base_url())).body(format!("token={token}"));
    let signed_in = login(TOKEN).send().await.unwrap();
    let cookie = signed_in.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let (began, mut guesses) = (Instant::now(), 0);
    // The right token would be told apart from wrong ones. A wait that ends just before it is sent says nothing.
    let answer = loop {
        let answer = login(&format!("guess-guess-guess-{guesses}")).send().await.unwrap();
        if answer.status() == StatusCode::UNPROCESSABLE_ENTITY {
            guesses += 1;
        } else if login(TOKEN).send().await.unwrap().status() == StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
        assert!(began.elapsed() < PATIENCE, "there is no end: {guesses}");
    };
    assert!(guesses >= 60, "{guesses}");
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!((1..=2).contains(&answer.headers()["retry-after"].to_str().unwrap().parse().unwrap()));
    let page = answer.text().await.unwrap();
    assert!(page.contains("too many wrong ones") && !page.contains("guess-guess"), "{page}");
    // Who is signed in notices nothing.
    let keys = client().get(format!("{}/keys", sandbox.base_url())).header("cookie", cookie);
    assert_eq!(keys.send().await.unwrap().status(), StatusCode::OK);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(login(TOKEN).send().await.unwrap().status(), StatusCode::SEE_OTHER);
    sandbox.stop().await;
}
