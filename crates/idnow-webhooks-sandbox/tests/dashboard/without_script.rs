//! The pages without their script: links, forms and redirects.

use http::StatusCode;
use http::header::LOCATION;
use idnow_webhooks_sandbox::Sandbox;
use idnow_webhooks_sandbox::model::{PageRequest, SessionStatus};

use crate::receiver::Receiver;

struct Plain {
    base: String,
    client: reqwest::Client,
}

impl Plain {
    async fn get(&self, path: &str) -> String {
        let answer = self.client.get(format!("{}{path}", self.base)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }

    /// The status, and where it leads to or what it says.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> (StatusCode, String) {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.client.post(format!("{}{path}", self.base)).body(body);
        let answer =
            request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        let status = answer.status();
        match answer.headers().get(LOCATION) {
            Some(to) => (status, to.to_str().unwrap().to_owned()),
            None => (status, answer.text().await.unwrap()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_done_by_forms_that_are_answered_with_a_redirect() {
    let sandbox = Sandbox::start().await.unwrap();
    let receiver = Receiver::start().await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
    let plain = Plain { base: sandbox.base_url().to_owned(), client: client.unwrap() };

    let (status, flow) = plain.post("/flows", &[("name", "Plain"), ("sessionTtlSeconds", "60")]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let flow = flow.strip_suffix("?done=flow-added").unwrap().to_owned();
    let (status, said) = plain.post("/flows", &[("name", "Plain"), ("sessionTtlSeconds", "soon")]).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(said.contains("value=\"soon\"") && said.contains("id=\"sessionTtlSeconds-error\""), "{said}");

    let form = [
        ("url", receiver.url.as_str()),
        ("environment", "staging"),
        ("concurrency", "8"),
        ("enabled", "yes"),
    ];
    let webhooks = format!("{flow}/webhooks");
    let (status, again) = plain.post(&webhooks, &[&form[..], &[("add-header", "1")]].concat()).await;
    assert_eq!((status, again.matches("name=\"header-name\"").count()), (StatusCode::OK, 1));
    let headers = [("header-name", "X-A"), ("header-value", "one"), ("header-saved", "")];
    let two = [("header-name", "X-B"), ("header-value", "two"), ("header-saved", "")];
    let (_, again) =
        plain.post(&webhooks, &[&form[..], &headers, &two, &[("remove-header", "0")]].concat()).await;
    assert!(!again.contains("X-A") && again.contains("X-B"), "{again}");
    let (status, to) = plain.post(&webhooks, &[&form[..], &headers, &two].concat()).await;
    assert_eq!((status, to), (StatusCode::SEE_OTHER, format!("{flow}?done=webhook-added")));
    assert!(plain.get(&format!("{flow}?done=webhook-added")).await.contains("The webhook was added"));
    let endpoint = sandbox.endpoints(None, None, PageRequest::default()).await.unwrap().items.remove(0);

    // One header is removed, one keeps its value, which the form does not know, and one cannot be renamed blindly.
    let edit = format!("/webhooks/{}", endpoint.id);
    assert!(!plain.get(&edit).await.contains("two"));
    let renamed = [("header-name", "X-C"), ("header-value", ""), ("header-saved", "X-B")];
    let (status, said) = plain.post(&edit, &[&form[..], &renamed].concat()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(said.contains("id=\"headers-error\""), "{said}");
    let kept = [("header-name", "X-B"), ("header-value", ""), ("header-saved", "X-B")];
    assert_eq!(plain.post(&edit, &[&form[..], &kept].concat()).await.0, StatusCode::SEE_OTHER);
    let endpoint = sandbox.endpoint(endpoint.id).await.unwrap();
    assert_eq!(endpoint.headers.iter().map(|header| header.name.as_str()).collect::<Vec<_>>(), ["X-B"]);

    let id = flow.strip_prefix("/flows/").unwrap();
    let (_, session) = plain.post("/sessions", &[("flowId", id), ("environment", "staging")]).await;
    for (step, status) in [("start", SessionStatus::Running), ("abort", SessionStatus::Aborted)] {
        let answer = plain.post(&format!("{session}/steps"), &[("step", step)]).await;
        assert_eq!(answer, (StatusCode::SEE_OTHER, session.clone()));
        let id = session.strip_prefix("/sessions/").unwrap().parse().unwrap();
        assert_eq!(sandbox.session(id).await.unwrap().status, status);
    }
    let (status, said) = plain.post(&format!("{session}/steps"), &[("step", "start")]).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(said.contains(&format!("href=\"{session}\"")), "{said}");

    // Times are told in full.
    let page = plain.get(&session).await;
    let time = page.split("<time datetime=\"").nth(1).unwrap();
    assert!(time.split('<').next().unwrap().ends_with(" UTC"), "{time}");

    let (status, said) = plain.post(&format!("{flow}/delete"), &[]).await;
    assert_eq!(status, StatusCode::CONFLICT, "{said}");
    let delete = format!("/webhooks/{}/delete", endpoint.id);
    assert!(plain.get(&delete).await.contains("Delete this webhook?"));
    assert_eq!(plain.post(&delete, &[]).await.1, format!("{flow}?done=webhook-deleted"));
    assert_eq!(plain.post(&format!("{flow}/delete"), &[]).await.1, "/flows?done=flow-deleted");
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_is_given_the_changing_part_alone() {
    let sandbox = Sandbox::start().await.unwrap();
    for path in ["/", "/sessions", "/deliveries", "/dead-letters", "/keys"] {
        let url = format!("{}{path}", sandbox.base_url());
        let whole = reqwest::get(&url).await.unwrap().text().await.unwrap();
        let request = reqwest::Client::new().get(&url).header("X-Fragment", "live");
        let part = request.send().await.unwrap().text().await.unwrap();
        assert!(part.starts_with("<span id=\"dead-count\""), "{path}: {part}");
        assert!(!part.contains("<html") && !part.contains("<nav aria-label=\"Pages\""), "{path}: {part}");
        let element =
            part.split("<span id=\"dead-count\"").nth(1).unwrap().split_once("</span>").unwrap().1.trim();
        if path != "/sessions" {
            assert!(whole.contains(element), "{path}: the page does not have {element}");
        }
    }
    sandbox.stop().await;
}
