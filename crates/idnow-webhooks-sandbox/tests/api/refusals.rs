//! What is refused before anything is looked at, as one table.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::time::timeout;

use super::support::Site;

const JSON: (&str, &str) = ("content-type", "application/json");
const FLOWS: &str = "/manage/v1/flows";
const FLOW: &str = r#"{"name":"a"}"#;

#[derive(Clone)]
struct Row {
    method: Method,
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    body: String,
    refusal: (u16, &'static str, Option<&'static str>),
}

fn row<const N: usize>(
    method: Method,
    path: &'static str,
    headers: [(&'static str, &str); N],
    body: &str,
    refusal: (u16, &'static str, Option<&'static str>),
) -> Row {
    let headers = headers.map(|(name, value)| (name, value.to_owned())).to_vec();
    Row { method, path, headers, body: body.to_owned(), refusal }
}

fn bodies() -> Vec<Row> {
    let post = Method::POST;
    vec![
        row(post.clone(), FLOWS, [], FLOW, (415, "unsupported_media_type", None)),
        row(
            post.clone(),
            FLOWS,
            [("content-type", "text/plain")],
            FLOW,
            (415, "unsupported_media_type", None),
        ),
        row(
            post.clone(),
            FLOWS,
            [("content-type", "application/x-www-form-urlencoded")],
            "name=a",
            (415, "unsupported_media_type", None),
        ),
        row(
            post.clone(),
            FLOWS,
            [("content-type", "multipart/form-data; boundary=x")],
            FLOW,
            (415, "unsupported_media_type", None),
        ),
        row(post.clone(), FLOWS, [JSON], "", (400, "malformed_json", None)),
        row(post.clone(), FLOWS, [JSON], "{", (400, "malformed_json", None)),
        row(post.clone(), FLOWS, [JSON], "name=a", (400, "malformed_json", None)),
        row(post.clone(), FLOWS, [JSON], r#"{"name":"a"}{}"#, (400, "malformed_json", None)),
        row(post.clone(), FLOWS, [JSON], &"[".repeat(60_000), (400, "malformed_json", None)),
        row(post.clone(), FLOWS, [JSON], "[]", (400, "invalid_input", None)),
        row(post.clone(), FLOWS, [JSON], r#"["a",60]"#, (400, "invalid_input", None)),
        row(post.clone(), FLOWS, [JSON], r#""a""#, (400, "invalid_input", None)),
        row(post.clone(), FLOWS, [JSON], "null", (400, "invalid_input", None)),
        row(post.clone(), FLOWS, [JSON], "{}", (400, "invalid_input", Some("name"))),
        row(post.clone(), FLOWS, [JSON], r#"{"name":"a","name":"b"}"#, (400, "invalid_input", Some("name"))),
        row(post.clone(), FLOWS, [JSON], r#"{"name":"a","more":1}"#, (400, "invalid_input", Some("more"))),
        row(post.clone(), FLOWS, [JSON], r#"{"name":["a"]}"#, (400, "invalid_input", Some("name"))),
        row(
            post.clone(),
            FLOWS,
            [JSON],
            &format!(r#"{{"name":"{}"}}"#, "x".repeat(65_536)),
            (413, "body_too_large", None),
        ),
        row(post.clone(), FLOWS, [JSON], &" ".repeat(900_000), (413, "body_too_large", None)),
    ]
}

fn paths_and_queries() -> Vec<Row> {
    vec![
        row(Method::GET, "/manage/v1/flows/x", [], "", (400, "invalid_input", Some("id"))),
        row(Method::GET, "/manage/v1/flows/%FF", [], "", (400, "invalid_input", Some("id"))),
        row(Method::DELETE, "/manage/v1/endpoints/1", [], "", (400, "invalid_input", Some("id"))),
        row(Method::GET, "/manage/v1/flows?limit=0", [], "", (400, "invalid_input", Some("limit"))),
        row(Method::GET, "/manage/v1/flows?limit=501", [], "", (400, "invalid_input", Some("limit"))),
        row(Method::GET, "/manage/v1/flows?limit=x", [], "", (400, "invalid_input", Some("limit"))),
        row(Method::GET, "/manage/v1/flows?offset=1", [], "", (400, "invalid_input", Some("offset"))),
        row(
            Method::GET,
            "/manage/v1/sessions?status=created",
            [],
            "",
            (400, "invalid_input", Some("status")),
        ),
        row(Method::GET, "/manage/v1/endpoints?flowId=x", [], "", (400, "invalid_input", Some("flowId"))),
        row(Method::GET, "/manage/v1/events?sessionId=", [], "", (400, "invalid_input", Some("sessionId"))),
        row(Method::GET, "/manage", [], "", (404, "unknown_path", None)),
        row(Method::GET, "/manage/v1", [], "", (404, "unknown_path", None)),
        row(Method::GET, "/manage/v2/flows", [], "", (404, "unknown_path", None)),
        row(Method::GET, "/manage/v1/flows/", [], "", (404, "unknown_path", None)),
        row(Method::GET, "/manage//v1/flows", [], "", (404, "unknown_path", None)),
        row(Method::POST, "/manage/v1/nothing", [JSON], "{}", (404, "unknown_path", None)),
        row(Method::PUT, FLOWS, [JSON], FLOW, (405, "method_not_allowed", None)),
        row(Method::DELETE, FLOWS, [], "", (405, "method_not_allowed", None)),
        row(Method::GET, "/manage/v1/keys/rotate", [], "", (405, "method_not_allowed", None)),
        row(Method::GET, "/oidc/token", [], "", (405, "method_not_allowed", None)),
    ]
}

/// Nothing is read and nothing is changed.
fn other_hosts(port: u16) -> Vec<Row> {
    let other_port = format!("localhost:{}", port.wrapping_add(1));
    vec![
        row(Method::GET, FLOWS, [("host", &other_port)], "", (403, "host_not_allowed", None)),
        row(Method::GET, FLOWS, [("host", "localhost")], "", (403, "host_not_allowed", None)),
        row(
            Method::GET,
            FLOWS,
            [("host", &format!("evil.example:{port}"))],
            "",
            (403, "host_not_allowed", None),
        ),
        row(
            Method::GET,
            FLOWS,
            [("host", &format!("localhost.evil.example:{port}"))],
            "",
            (403, "host_not_allowed", None),
        ),
        row(
            Method::GET,
            "/manage/v1/changes",
            [("host", &format!("evil.example:{port}"))],
            "",
            (403, "host_not_allowed", None),
        ),
        row(
            Method::POST,
            FLOWS,
            [JSON, ("host", &format!("evil.example:{port}"))],
            FLOW,
            (403, "host_not_allowed", None),
        ),
    ]
}

/// Nothing is changed.
fn other_sites(port: u16) -> Vec<Row> {
    let mut rows = Vec::new();
    let here = format!("http://127.0.0.1:{port}");
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", &here.replace(&port.to_string(), "1")),
        ("origin", &here.replace("127.0.0.1", "localhost")),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
    ] {
        let refusal = (403, "cross_site", None);
        rows.push(row(Method::POST, FLOWS, [JSON, (name, value)], FLOW, refusal));
        rows.push(row(Method::POST, "/manage/v1/keys/rotate", [(name, value)], "", refusal));
        rows.push(row(Method::PATCH, "/manage/v1/endpoints/1", [JSON, (name, value)], "{}", refusal));
        rows.push(row(Method::DELETE, "/manage/v1/flows/1", [(name, value)], "", refusal));
    }
    rows
}

#[tokio::test]
async fn each_refusal_has_its_code_and_changes_nothing() {
    let site = Site::start().await;
    let keys = site.get("/manage/v1/keys").await.json();
    let port = site.port();
    let table = [bodies(), paths_and_queries(), other_hosts(port), other_sites(port)].concat();
    for Row { method, path, headers, body, refusal } in table {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = site.raw(method.clone(), path, &headers, &body).await;
        let (status, code, field) = answer.refusal();
        let short: String = body.chars().take(40).collect();
        assert_eq!((status, code.as_str(), field.as_deref()), refusal, "{method} {path} {headers:?} {short}");
        assert!(answer.body.len() < 2000, "{answer:?}");
    }
    assert_eq!(site.get(FLOWS).await.json()["items"], json!([]));
    assert_eq!(site.get("/manage/v1/keys").await.json(), keys);
}

#[tokio::test]
async fn pages_of_the_sandbox_itself_and_programs_are_let_in() {
    let site = Site::start().await;
    let port = site.port();
    let (host, origin) = (format!("localhost:{port}"), format!("http://localhost:{port}"));
    for headers in [
        vec![JSON],
        vec![("content-type", "application/json; charset=utf-8")],
        vec![JSON, ("host", host.as_str())],
        vec![JSON, ("host", &host), ("origin", &origin), ("sec-fetch-site", "same-origin")],
    ] {
        site.raw(Method::POST, FLOWS, &headers, FLOW).await.is(201);
    }
    // A link on another site may be followed.
    let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "document")];
    site.raw(Method::GET, FLOWS, &link, "").await.is(200);
    site.raw(Method::GET, FLOWS, &[("sec-fetch-site", "none")], "").await.is(200);
}

/// They cannot read it, but each could take one of the places for those who follow changes.
#[tokio::test]
async fn pages_of_other_sites_cannot_follow_changes() {
    let site = Site::start().await;
    for from in ["cross-site", "same-site"] {
        for destination in ["empty", "iframe"] {
            let headers = [("sec-fetch-site", from), ("sec-fetch-dest", destination)];
            // What is not refused goes on for ever.
            let answer = site.raw(Method::GET, "/manage/v1/changes", &headers, "");
            timeout(Duration::from_secs(10), answer).await.expect("it may follow them").is(403);
        }
    }
}

#[tokio::test]
async fn what_the_provider_publishes_is_open_to_every_host() {
    let site = Site::start().await;
    for path in ["/oidc/.well-known/jwks.json", "/oidc/.well-known/openid-configuration", "/openapi.json"] {
        for host in ["auth.example.com", "host.docker.internal:8080"] {
            site.raw(Method::GET, path, &[("host", host)], "").await.is(200);
        }
    }
}

#[tokio::test]
async fn a_person_gets_a_page_where_a_program_gets_a_problem() {
    let site = Site::start().await;
    for (method, path, status, told) in [
        (Method::GET, "/nothing/here", 404, "There is no such path"),
        (Method::GET, "/manage/v2", 404, "There is no such path"),
        (Method::GET, "/%3Cscript%3E", 404, "There is no such path"),
        (Method::GET, "/keys/rotate", 405, "The path does not have this method"),
    ] {
        let ask =
            |accept| site.client.request(method.clone(), site.url(path)).header("accept", accept).send();
        let page = ask("text/html,application/xhtml+xml,*/*;q=0.8").await.unwrap();
        assert_eq!(page.status(), status, "{path}");
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
        assert_eq!(page.headers().contains_key("allow"), status == 405);
        let text = page.text().await.unwrap();
        assert!(
            text.contains(told) && text.contains("<nav aria-label=\"Pages\"") && !text.contains("<script>"),
            "{text}"
        );
        for accept in ["*/*", "application/json"] {
            let problem = ask(accept).await.unwrap();
            assert_eq!(problem.status(), status, "{path}");
            assert_eq!(problem.headers()["content-type"], "application/problem+json", "{path}");
        }
    }
}
