use std::time::{Duration, Instant};

use http::Method;
use idnow_webhooks_sandbox::{Sandbox, SandboxBuilder};
use reqwest::Client;
use serde_json::{Value, json};

use super::{Answer, Contract};

/// A running sandbox, and a client whose every answer is held to the document.
pub(crate) struct Site {
    pub(crate) sandbox: Sandbox,
    pub(crate) contract: Contract,
    pub(crate) client: Client,
    /// Where this test reaches it.
    base: String,
    token: Option<String>,
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::with(Sandbox::builder(), None).await
    }

    pub(crate) async fn with(builder: SandboxBuilder, token: Option<&str>) -> Self {
        idnow_webhooks_watch::watch();
        let builder = match token {
            Some(token) => builder.access_token(token),
            None => builder,
        };
        let sandbox = builder.start().await.unwrap();
        // Its own URL may be one that only others can reach.
        let base = format!("http://127.0.0.1:{}", sandbox.local_addr().port());
        let client = Client::builder().no_proxy().build().unwrap();
        let document = client.get(format!("{base}/openapi.json")).send().await.unwrap();
        let contract = Contract::new(serde_json::from_str(&document.text().await.unwrap()).unwrap());
        Self { sandbox, contract, client, base, token: token.map(str::to_owned) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) fn port(&self) -> u16 {
        self.url("").rsplit(':').next().unwrap().parse().unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// A POST without a body.
    pub(crate) async fn poke(&self, path: &str) -> Answer {
        self.call(Method::POST, path, None).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let headers: &[(&str, &str)] =
            if body.is_some() { &[("content-type", "application/json")] } else { &[] };
        let text = body.as_ref().map(Value::to_string).unwrap_or_default();
        let answer = self.send(method.clone(), path, headers, &text).await;
        self.contract.check(method.as_str(), path, body.as_ref(), &answer);
        answer
    }

    /// With headers and a body of any kind. What is accepted is not held to the schema of the request.
    pub(crate) async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let answer = self.send(method.clone(), path, headers, body).await;
        self.contract.check(method.as_str(), path, None, &answer);
        answer
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = self.client.request(method, self.url(path));
        if !body.is_empty() {
            request = request.body(body.to_owned());
        }
        if let Some(token) = &self.token
            && !headers.iter().any(|(name, _)| *name == "authorization")
            && path.starts_with("/manage")
        {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        assert_eq!(headers.get("x-content-type-options").unwrap(), "nosniff");
        assert!(headers.contains_key("cache-control"));
        Answer { status, headers, body: response.text().await.unwrap() }
    }

    /// A flow of which sessions can be made.
    pub(crate) async fn flow(&self) -> String {
        let flow = self.post("/manage/v1/flows", json!({ "name": "identification" })).await.is(201);
        flow.json()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn endpoint(&self, flow: &str, url: &str) -> String {
        let new = json!({ "flowId": flow, "environment": "staging", "url": url });
        self.post("/manage/v1/endpoints", new).await.is(201).json()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn session(&self, flow: &str) -> String {
        let new = json!({ "flowId": flow, "environment": "staging" });
        self.post("/manage/v1/sessions", new).await.is(201).json()["id"].as_str().unwrap().to_owned()
    }

    /// A delivery that has come to this state.
    pub(crate) async fn delivery(&self, endpoint: &str, state: &str) -> Value {
        let began = Instant::now();
        loop {
            let path = format!("/manage/v1/deliveries?endpointId={endpoint}&state={state}");
            let found = self.get(&path).await.is(200).json();
            if let Some(delivery) = found["items"].get(0) {
                return delivery.clone();
            }
            assert!(began.elapsed() < Duration::from_secs(10), "no delivery is {state}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// An access token of the session API.
    pub(crate) async fn access_token(&self) -> String {
        let client = &self.sandbox.clients()[0];
        let form: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &client.id)
            .append_pair("client_secret", &client.secret)
            .finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.raw(Method::POST, "/oidc/token", &headers, &form).await.is(200);
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }
}
