use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use serde_json::{Value, json};

use super::process::{Ended, Running, command, run};
use super::sandbox::Sandbox;
use super::target::Target;

const SESSION: &str = "6f1d4a1e-22c7-4b57-9a5b-0d4f1f0f2c11";

fn trigger(sandbox: &Sandbox, to: &str, arguments: &[&str]) -> Ended {
    run(&[&["trigger", "session.completed", "--sandbox", &sandbox.url, "--to", to], arguments].concat())
}

#[track_caller]
fn json_of(ended: &Ended, code: i32) -> Value {
    assert_eq!((ended.code, ended.err.as_str()), (Some(code), ""), "{ended:?}");
    serde_json::from_str(&ended.out).unwrap()
}

/// Nothing but the sandbox's keys connects the two.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_trusts_the_sandbox_accepts_it() {
    let sandbox = Sandbox::start(&["--in-memory"]);
    let mut listening = command(&["listen", "--listen", "127.0.0.1:0", "--json", "--sandbox", &sandbox.url]);
    let mut listener = Running::start(&mut listening);
    let url = listener.json()["url"].as_str().unwrap().to_owned();
    for (name, status) in [
        ("session.created", "CREATED"),
        ("session.completed", "COMPLETED"),
        ("session.expired", "EXPIRED"),
        ("session.aborted", "ABORTED"),
        ("session.error", "ERROR"),
    ] {
        let ended = run(&["trigger", name, "--sandbox", &sandbox.url, "--to", &url]);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
        assert!(ended.out.starts_with("✓ answered 200 (") && ended.out.contains(&url), "{ended:?}");
        let printed = listener.json();
        let data = &printed["data"];
        assert_eq!((&data["eventName"], &data["payload"]["sessionStatus"]), (&json!(name), &json!(status)));
        assert!(ended.out.contains(data["eventId"].as_str().unwrap()), "{ended:?}");
    }

    // Each field can be set, and what is printed is what was sent.
    let set = [
        "--set=eventId=0f5a4f0e-93f5-4a52-8c0e-6a3e5d1c7b90",
        "--set=eventName=document.renewed",
        "--set=eventSequence=41",
        "--set=eventDeliverId=3",
        "--set=createdAt=2026-01-08T08:35:37.581Z",
        "--set=environment=live",
        "--set=payload.flowId=my=flow",
        &format!("--set=payload.sessionId={SESSION}"),
        "--set=payload.sessionStatus=RUNNING",
        "--set=payload.lastStepId=SELFIE",
        "--json",
    ];
    let ended = trigger(&sandbox, &url, &set);
    let triggered = json_of(&ended, 0);
    let data = listener.json()["data"].clone();
    assert_eq!(
        data,
        json!({
            "eventId": "0f5a4f0e-93f5-4a52-8c0e-6a3e5d1c7b90",
            "eventName": "document.renewed",
            "eventVersion": "1.0",
            "eventSequence": "41",
            "eventDeliverId": "3",
            "createdAt": "2026-01-08T08:35:37.581Z",
            "environment": "live",
            "payload": {
                "flowId": "my=flow",
                "sessionId": SESSION,
                "sessionStatus": "RUNNING",
                "lastStepId": "SELFIE",
                "lastStepType": "END",
                "lastStepStatus": "COMPLETED",
            },
        })
    );
    let claims = &triggered["claims"];
    assert_eq!((&claims["data"], &claims["sub"], &claims["aud"]), (&data, &data["eventId"], &json!(url)));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    assert_eq!(triggered["header"]["alg"], "RS256");
    assert_eq!(triggered["eventId"], data["eventId"]);
    assert_eq!((&triggered["delivered"], &triggered["answer"]["code"]), (&json!(true), &json!(200)));
    assert_eq!(ended.out.lines().count(), 1, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_tells_whether_it_was_taken() {
    let sandbox = Sandbox::start(&["--in-memory", "--answer-deadline", "500ms"]);
    let target = Target::start().await;
    for (status, code) in [(200, 0), (204, 0), (302, 1), (401, 1), (422, 1), (503, 1)] {
        target.answer(move || {
            let body = if status == 204 { "" } else { "so it is\u{1b}[2J" };
            Response::builder().status(status).body(Body::from(body)).unwrap()
        });
        let triggered = json_of(&trigger(&sandbox, &target.url, &["--json"]), code);
        assert_eq!(
            (&triggered["delivered"], &triggered["answer"]["code"]),
            (&json!(code == 0), &json!(status))
        );
        let shown = trigger(&sandbox, &target.url, &[]);
        assert!(
            shown.code == Some(code) && shown.out.contains(&format!(" answered {status} (")),
            "{shown:?}"
        );
        assert!(!shown.out.contains('\u{1b}'), "{shown:?}");
    }
    assert_eq!(target.got().len(), 12, "each was sent once, whatever the answer");

    target.wait(Duration::from_secs(30));
    let triggered = json_of(&trigger(&sandbox, &target.url, &["--json"]), 1);
    assert_eq!(triggered["answer"], json!({ "kind": "timed_out" }));
    let triggered = json_of(&trigger(&sandbox, "http://127.0.0.1:1/", &["--json"]), 1);
    assert_eq!(triggered["answer"]["kind"], "connection_failed");
    // The guard is that of deliveries.
    let triggered = json_of(&trigger(&sandbox, "https://10.1.2.3/", &["--json"]), 1);
    assert_eq!(triggered["answer"]["kind"], "not_sent");
    let shown = trigger(&sandbox, "https://10.1.2.3/", &[]);
    assert!(
        shown.code == Some(1) && shown.out.starts_with("✗ not sent: 10.1.2.3 is not allowed"),
        "{shown:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_sent_and_their_values_never_printed() {
    let sandbox = Sandbox::start(&["--in-memory"]);
    let target = Target::start().await;
    let ended = trigger(
        &sandbox,
        &target.url,
        &[
            "--header",
            "X-Auth-Token: hunter2",
            "--header",
            "Authorization:Basic aHVudGVyMg==",
            "--header",
            "X-C: a: b",
        ],
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let got = target.got().pop().unwrap();
    assert_eq!(got.headers["x-auth-token"], "hunter2");
    assert_eq!(got.headers["authorization"], "Basic aHVudGVyMg==");
    assert_eq!(got.headers["x-c"], "a: b");
    assert_eq!(got.headers["content-type"], "application/jwt");
    assert!(!ended.out.contains("hunter2") && !ended.out.contains("aHVudGVyMg"), "{ended:?}");

    for header in ["Content-Type: text/plain", "Host: hunter2", "X: hunter2\r\nY: z", "hunter2", "ä: hunter2"]
    {
        let error = trigger(&sandbox, &target.url, &["--header", header]).failed(2);
        assert!(error.contains("--header") && !error.contains("\nY: z"), "{header:?}: {error}");
    }
    assert!(target.got().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_wrong_usage() {
    let sandbox = Sandbox::start(&["--in-memory"]);
    let target = Target::start().await;
    for (set, expected) in [
        (
            "payload.flowid=x",
            "there is no field \"payload.flowid\": the nearest is `payload.flowId`; known are eventId, eventName,",
        ),
        ("sessionId=x", "the nearest is `payload.sessionId`"),
        ("iss=https://elsewhere.example", "there is no field"),
        ("=x", "there is no field"),
        ("eventSequence=two", "eventSequence: expected a whole number from 1"),
        ("payload.sessionId=1", "payload.sessionId: expected a UUID"),
        (
            "payload.sessionStatus=DONE",
            "expected one of CREATED, RUNNING, COMPLETED, ABORTED, EXPIRED, ERROR",
        ),
        ("environment=", "environment: expected a text that is not empty"),
        ("eventSequence", "expected FIELD=VALUE"),
    ] {
        let error = trigger(&sandbox, &target.url, &["--set", set]).failed(2);
        assert!(error.contains(expected) && error.contains("--set"), "{set}: {error}");
    }
    let error =
        trigger(&sandbox, &target.url, &["--set", "eventVersion=1", "--set", "eventVersion=2"]).failed(2);
    assert!(error.contains("--set eventVersion is given twice"), "{error}");
    for url in ["here", "ftp://127.0.0.1/", "http://10.0.0.1/", "https://user:hunter2@127.0.0.1/"] {
        let error = trigger(&sandbox, url, &[]).failed(2);
        assert!(error.contains("--to: ") && !error.contains("hunter2"), "{url}: {error}");
    }
    let error = run(&["trigger", "session.complete", "--to", &target.url]).failed(2);
    assert!(error.contains("a similar value exists: 'session.completed'"), "{error}");
    assert!(target.got().is_empty(), "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_sandbox_it_says_how_to_start_one() {
    let error = run(&[
        "trigger",
        "session.created",
        "--to",
        "http://127.0.0.1:1/",
        "--sandbox",
        "http://127.0.0.1:1",
    ])
    .failed(1);
    assert!(
        error.contains("no sandbox answers at http://127.0.0.1:1/")
            && error.contains("idnow-webhooks sandbox"),
        "{error}"
    );
    // Something else listens there.
    let target = Target::start().await;
    for status in [200, 404] {
        target.answer(move || Response::builder().status(status).body(Body::from("hello")).unwrap());
        let error =
            run(&["trigger", "session.created", "--to", "http://127.0.0.1:1/", "--sandbox", &target.url])
                .failed(1);
        assert!(error.contains("version"), "{error}");
    }
}
