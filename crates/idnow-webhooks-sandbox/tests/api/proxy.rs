//! A sandbox behind a reverse proxy on the same machine, under the proxy's name.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{AUTHORIZATION, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use idnow_webhooks_sandbox::{Error, Sandbox};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};
use tokio::net::TcpListener;

const TOKEN: &str = "correct-horse-battery-staple";
const NAME: &str = "sandbox.example";

/// What a proxy says in `Host` when it passes a request on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// What the browser said.
    AsItCame,
    /// The same without the port.
    Name,
    /// The address that it connects to.
    Upstream,
}

#[derive(Clone)]
struct Proxy {
    client: Client,
    upstream: String,
    told: Told,
}

impl Proxy {
    fn start(listener: TcpListener, upstream: &str, told: Told) {
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        let proxy = Self { client, upstream: upstream.to_owned(), told };
        let router = Router::new().fallback(pass).with_state(proxy);
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
}

async fn pass(State(proxy): State<Proxy>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    let upstream = proxy.upstream.strip_prefix("http://").unwrap();
    match proxy.told {
        Told::AsItCame => {}
        Told::Name => drop(headers.insert(HOST, HeaderValue::from_static(NAME))),
        Told::Upstream => drop(headers.insert(HOST, upstream.parse().unwrap())),
    }
    let passed =
        proxy.client.request(parts.method, format!("http://{upstream}{}", parts.uri)).headers(headers);
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let answer = passed.body(body).send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    *response.headers_mut().unwrap() = answer.headers().clone();
    response.body(Body::from_stream(answer.bytes_stream())).unwrap()
}

/// A sandbox under the proxy's name, and somebody who knows where the name leads.
struct Site {
    sandbox: Sandbox,
    client: Client,
    proxied: String,
    direct: String,
}

impl Site {
    async fn start(told: Told) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy: SocketAddr = listener.local_addr().unwrap();
        let proxied = format!("http://{NAME}:{}", proxy.port());
        // The address that it listens on is not among what it tells any more.
        let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let direct = format!("http://{own}");
        let builder = Sandbox::builder().listen(own).base_url(&proxied).access_token(TOKEN);
        let sandbox = builder.start().await.unwrap();
        Proxy::start(listener, &direct, told);
        let client =
            Client::builder().no_proxy().redirect(Policy::none()).resolve(NAME, proxy).build().unwrap();
        Self { sandbox, client, proxied, direct }
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.proxied))
    }

    async fn status(&self, request: RequestBuilder) -> StatusCode {
        request.send().await.unwrap().status()
    }
}

const ALL: [Told; 3] = [Told::AsItCame, Told::Name, Told::Upstream];

#[tokio::test]
async fn the_proxys_name_is_the_sandboxs() {
    for told in ALL {
        let site = Site::start(told).await;
        let discovery = site.ask(Method::GET, "/oidc/.well-known/openid-configuration").send().await.unwrap();
        let discovery: serde_json::Value = serde_json::from_str(&discovery.text().await.unwrap()).unwrap();
        assert_eq!(discovery["issuer"], format!("{}/oidc", site.proxied));
        assert_eq!(discovery["jwks_uri"], format!("{}/oidc/.well-known/jwks.json", site.proxied));
        assert_eq!(discovery["token_endpoint"], format!("{}/oidc/token", site.proxied));

        // Programs.
        let flows = || site.ask(Method::GET, "/manage/v1/flows");
        assert_eq!(site.status(flows()).await, 401, "{told:?}");
        assert_eq!(site.status(flows().bearer_auth(TOKEN)).await, 200, "{told:?}");

        // A browser: it says where a form comes from.
        let page = site.ask(Method::GET, "/keys").send().await.unwrap();
        assert_eq!(
            (page.status().as_u16(), page.headers()[LOCATION].to_str().unwrap()),
            (303, "/login?next=%2Fkeys")
        );
        let form = |path| {
            site.ask(Method::POST, path).header(ORIGIN, &site.proxied).header("sec-fetch-site", "same-origin")
        };
        let signed_in = form("/login").body(format!("token={TOKEN}&next=%2Fkeys")).send().await.unwrap();
        assert_eq!(
            (signed_in.status().as_u16(), &signed_in.headers()[LOCATION]),
            (303, &HeaderValue::from_static("/keys")),
            "{told:?}"
        );
        let cookie = signed_in.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        assert_eq!(site.status(site.ask(Method::GET, "/keys").header(COOKIE, &cookie)).await, 200);
        assert_eq!(site.status(form("/keys/rotate").header(COOKIE, &cookie)).await, 303, "{told:?}");
        assert_eq!(site.sandbox.keys().await.unwrap().len(), 2);

        // Pages elsewhere do not come in by the proxy either.
        for origin in [
            "http://evil.example",
            "null",
            &format!("https://{NAME}"),
            &site.proxied.replace(NAME, "x.example"),
        ] {
            let foreign =
                site.ask(Method::POST, "/keys/rotate").header(ORIGIN, origin).header(COOKIE, &cookie);
            assert_eq!(site.status(foreign).await, 403, "{told:?} {origin}");
        }
        assert_eq!(site.sandbox.keys().await.unwrap().len(), 2);
        site.sandbox.stop().await;
    }
}

#[tokio::test]
async fn beside_the_proxy_it_is_reached_as_before_and_under_no_other_name() {
    let site = Site::start(Told::AsItCame).await;
    let direct = |host: Option<&str>| {
        let request = site.client.get(format!("{}/manage/v1/flows", site.direct)).bearer_auth(TOKEN);
        match host {
            Some(host) => request.header(HOST, host),
            None => request,
        }
    };
    assert_eq!(site.status(direct(None)).await, 200);
    for host in ["SANDBOX.example", "sandbox.example:1"] {
        assert_eq!(site.status(direct(Some(host))).await, 200, "{host}");
    }
    for host in ["evil.example", "sandbox.example.evil.example", "xsandbox.example", "user@sandbox.example"] {
        let refused = direct(Some(host)).send().await.unwrap();
        assert_eq!(refused.status(), 403, "{host}");
        let said = refused.text().await.unwrap();
        assert!(said.contains("host_not_allowed") && said.contains("--base-url"), "{said}");
    }
    let own = site.client.post(format!("{}/manage/v1/keys/rotate", site.direct));
    assert_eq!(
        site.status(own.header(AUTHORIZATION, format!("Bearer {TOKEN}")).header(ORIGIN, &site.direct)).await,
        201
    );
    site.sandbox.stop().await;
}

#[tokio::test]
async fn a_name_for_others_needs_a_token() {
    for base in ["http://sandbox.example", "https://10.0.0.1:8443", "http://sandbox.localhost:8080"] {
        match Sandbox::builder().base_url(base).start().await {
            Err(Error::Invalid { field, reason }) => {
                assert_eq!(field, "access_token");
                assert!(reason.contains(base), "{reason}");
            }
            other => panic!("{base}: {other:?}"),
        }
    }
    for base in ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"] {
        Sandbox::builder().base_url(base).start().await.unwrap().stop().await;
    }
}

#[tokio::test]
async fn behind_tls_the_cookie_travels_by_tls_only() {
    let builder = Sandbox::builder().base_url("https://sandbox.example").access_token(TOKEN);
    let sandbox = builder.start().await.unwrap();
    let own = sandbox.local_addr();
    let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    let here = format!("http://{own}");
    for (host, origin, secure) in [
        ("sandbox.example", "https://sandbox.example", true),
        ("sandbox.example", "", true),
        (own.to_string().as_str(), "https://sandbox.example", true),
        (own.to_string().as_str(), &here, false),
    ] {
        let mut login =
            client.post(format!("{here}/login")).header(HOST, host).body(format!("token={TOKEN}"));
        if !origin.is_empty() {
            login = login.header(ORIGIN, origin);
        }
        let answer = login.send().await.unwrap();
        assert_eq!(answer.status(), 303, "{host} {origin}");
        let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
        for flag in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
            assert!(cookie.contains(flag), "{cookie}");
        }
        assert_eq!(cookie.contains("; Secure"), secure, "{host} {origin}: {cookie}");
        assert!(
            !cookie.contains(TOKEN) && !cookie.contains("Max-Age") && !cookie.contains("Domain"),
            "{cookie}"
        );
    }
    // A page that came without TLS is another site.
    let foreign = client.post(format!("{here}/login")).header(HOST, "sandbox.example");
    let foreign = foreign.header(ORIGIN, "http://sandbox.example").body(format!("token={TOKEN}"));
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    sandbox.stop().await;
}
