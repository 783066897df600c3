use std::time::Duration;

use futures_util::StreamExt as _;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::support::Site;

/// What a stream of server-sent events has told.
struct Stream {
    response: reqwest::Response,
    text: String,
}

impl Stream {
    async fn open(site: &Site) -> Self {
        let response = site.client.get(site.url("/manage/v1/changes")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        let mut stream = Self { response, text: String::new() };
        // From then on no change is missed.
        while !stream.text.contains("listening") {
            assert!(stream.more().await);
        }
        stream
    }

    async fn more(&mut self) -> bool {
        let chunk = tokio::time::timeout(Duration::from_secs(10), self.response.chunk()).await.unwrap();
        let Ok(Some(chunk)) = chunk else { return false };
        self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        true
    }

    fn changes(&self) -> Vec<Value> {
        let lines = self.text.lines().filter_map(|line| line.strip_prefix("data: "));
        lines.map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    async fn until(&mut self, wanted: &Value) {
        while !self.changes().contains(wanted) {
            assert!(self.more().await, "the stream ended without {wanted}: {}", self.text);
        }
    }
}

#[tokio::test]
async fn changes_are_told_as_they_happen_and_as_documented() {
    let site = Site::start().await;
    let mut stream = Stream::open(&site).await;
    let flow = site.flow().await;
    stream.until(&json!({ "kind": "flow", "id": flow })).await;
    let endpoint = site.endpoint(&flow, "http://127.0.0.1:9/hook").await;
    stream.until(&json!({ "kind": "endpoint", "id": endpoint })).await;
    let session = site.session(&flow).await;
    stream.until(&json!({ "kind": "session", "id": session })).await;
    let rotated = site.poke("/manage/v1/keys/rotate").await.json();
    stream.until(&json!({ "kind": "key", "id": rotated["id"] })).await;
    let deliveries = site.get("/manage/v1/deliveries").await.json();
    stream.until(&json!({ "kind": "delivery", "id": deliveries["items"][0]["id"] })).await;
    for change in stream.changes() {
        assert_eq!(site.contract.problems("Change", &change), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_stop_ends_the_stream() {
    let site = Site::start().await;
    let mut stream = Stream::open(&site).await;
    let Site { sandbox, .. } = site;
    let stopping = tokio::spawn(sandbox.stop());
    // To its end: it is not cut off.
    while stream.response.chunk().await.unwrap().is_some() {}
    tokio::time::timeout(Duration::from_secs(10), stopping).await.unwrap().unwrap();
}

#[tokio::test]
async fn too_many_are_told_to_come_later_and_keep_nobody_else_waiting() {
    let site = Site::start().await;
    let mut streams: Vec<Stream> =
        futures_util::stream::iter(0..64).then(|_| Stream::open(&site)).collect().await;
    for _ in 0..50 {
        let asked = tokio::time::timeout(Duration::from_secs(5), site.get("/manage/v1/changes")).await;
        let refused = asked.expect("there was another place");
        assert_eq!(refused.refusal(), (503, "too_many_listeners".to_owned(), None));
        assert_eq!(refused.header("retry-after"), Some("10"));
    }
    // Receivers and programs notice nothing of it.
    let session = site.session(&site.flow().await).await;
    let token = format!("Bearer {}", site.access_token().await);
    let path = format!("/api/v1/staging/sessions/{session}");
    site.raw(http::Method::GET, &path, &[("authorization", &token)], "").await.is(200);
    // Who goes makes room.
    drop(streams.pop());
    let began = std::time::Instant::now();
    while site.client.get(site.url("/manage/v1/changes")).send().await.unwrap().status() == 503 {
        assert!(began.elapsed() < Duration::from_secs(10), "no place became free");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn many_can_listen() {
    let site = Site::start().await;
    let mut streams: Vec<Stream> =
        futures_util::stream::iter(0..50).then(|_| Stream::open(&site)).collect().await;
    let flow = site.flow().await;
    for stream in &mut streams {
        stream.until(&json!({ "kind": "flow", "id": flow })).await;
    }
}
