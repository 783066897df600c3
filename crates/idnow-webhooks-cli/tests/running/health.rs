use std::net::TcpListener;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use idnow_webhooks_sandbox::Sandbox;
use serde_json::{Value, json};

use super::process::run;
use super::target::Target;

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_is_ready_or_is_waited_for() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{address}/health");
    let error = run(&["health", &url]).failed(1);
    assert!(error.contains(&format!("{url} is not ready: no connection")), "{error}");

    let waiting = {
        let url = url.clone();
        std::thread::spawn(move || run(&["health", &url, "--wait", "60s", "--json"]))
    };
    std::thread::sleep(Duration::from_millis(300));
    assert!(!waiting.is_finished(), "it waits");
    let sandbox = Sandbox::builder().listen(address).start().await.unwrap();
    let ready = waiting.join().unwrap();
    assert_eq!(ready.code, Some(0), "{ready:?}");
    assert_eq!(serde_json::from_str::<Value>(&ready.out).unwrap(), json!({ "url": url, "ready": true }));

    let ready = run(&["health", &url]);
    assert_eq!((ready.code, ready.out, ready.err), (Some(0), format!("ready {url}\n"), String::new()));
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_anything_but_2xx_is_not_ready() {
    let target = Target::start().await;
    target.answer(|| Response::builder().status(503).body(Body::empty()).unwrap());
    let begun = Instant::now();
    let refused = run(&["health", &target.url, "--json", "--wait", "200ms"]);
    assert!(begun.elapsed() >= Duration::from_millis(200), "it asks again until the time is up");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let said: Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(
        (&said["ready"], &said["reason"]),
        (&json!(false), &json!("it answers 503 Service Unavailable"))
    );
    assert!(run(&["health", "sandbox:4390"]).failed(2).contains("expected http://"));
}
