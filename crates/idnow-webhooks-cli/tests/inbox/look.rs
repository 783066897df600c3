use std::process::Stdio;

use idnow_webhooks::store::Evidence;
use idnow_webhooks_testkit::SampleEvent;
use serde_json::{Value, json};

use super::{Inbox, Ran, SESSION, command};

fn ids(events: &Value) -> Vec<&str> {
    events.as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_and_filtered() {
    let inbox = Inbox::new().await;
    let [created, completed] = SampleEvent::session(SESSION);
    let first = inbox.completed(&created).await;
    let second = inbox.dead(&completed, "the shop said no\u{1b}[2J").await;
    let third = inbox.running(&SampleEvent::aborted()).await.event_id.to_string();
    let fourth = inbox.waiting(&SampleEvent::expired()).await;

    let table = inbox.run(&["list"]).done();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 5, "{table}");
    assert!(lines[0].starts_with("STATE ") && lines[0].ends_with(" ERROR"), "{table}");
    for (line, state, id) in [
        (lines[1], "waiting", &fourth),
        (lines[2], "running", &third),
        (lines[3], "dead", &second),
        (lines[4], "completed", &first),
    ] {
        assert!(line.starts_with(state) && line.contains(id.as_str()), "{line}");
    }
    assert!(lines[3].contains(SESSION) && lines[3].contains("the shop said no"), "{table}");

    let json = |arguments: &[&str]| inbox.run(&[&["list", "--json"], arguments].concat()).json();
    assert_eq!(ids(&json(&[])), [&fourth, &third, &second, &first]);
    for (state, id) in [("waiting", &fourth), ("running", &third), ("completed", &first), ("dead", &second)] {
        assert_eq!(ids(&json(&["--state", state])), [id]);
    }
    assert_eq!(ids(&json(&["--session", SESSION])), [&second, &first]);
    assert_eq!(ids(&json(&["--session", SESSION, "--name", "session.created"])), [&first]);
    assert_eq!(json(&["--name", "session.%"]), json!([]));

    let table = inbox.run(&["list", "--limit", "3"]).done();
    let before = table.lines().last().unwrap().strip_prefix("There are more: add --before ").unwrap();
    assert_eq!(ids(&json(&["--before", before])), [&first]);
    let all = inbox.run(&["list", "--limit", "4"]).done();
    assert!(!all.contains("--before"), "these are all: {all}");
    assert_eq!(inbox.run(&["list", "--name", "nobody"]).done(), "There are no such events.\n");
}

/// Programs of others read this: members may be added, but not changed.
#[tokio::test(flavor = "multi_thread")]
async fn the_json_of_an_event_has_all_of_it() {
    let inbox = Inbox::new().await;
    let event = SampleEvent::completed().with_session_id(SESSION).with_sequence(7);
    let evidence = Evidence::new("aaa.bbb.ccc", Some(r#"{"kty":"RSA"}"#.into()));
    let id = inbox.insert(&event, Some(evidence)).await;
    let claim = super::Claim { limit: 1, lease: super::LEASE, order: super::SessionOrder::Any };
    let lease = super::EventStore::claim(&inbox.store, claim).await.unwrap().remove(0).lease;
    super::EventStore::bury(&inbox.store, &lease, "no").await.unwrap();

    let shown = inbox.run(&["show", &id, "--json"]).json();
    assert_eq!(inbox.run(&["list", "--json"]).json(), json!([shown]));
    let time =
        |member: &str| shown[member].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert!(time("receivedAt") <= time("finishedAt"));
    assert_eq!(
        shown,
        json!({
            "position": shown["position"].as_i64().unwrap(),
            "id": id,
            "name": "session.completed",
            "sessionId": SESSION,
            "sequence": 7,
            "state": "dead",
            "runs": 1,
            "receivedAt": shown["receivedAt"],
            "dueAt": null,
            "finishedAt": shown["finishedAt"],
            "error": "no",
            "data": event.data().to_string(),
            "evidence": { "token": "aaa.bbb.ccc", "key": r#"{"kty":"RSA"}"# },
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_is_shown_with_its_document_laid_out() {
    let inbox = Inbox::new().await;
    let event = SampleEvent::completed().set("payload.note", "\u{9b}2J\u{202e}");
    let evidence = Evidence::new("aaa.bbb.ccc", Some(r#"{"kty":"RSA"}"#.into()));
    let id = inbox.insert(&event, Some(evidence)).await;
    let shown = inbox.run(&["show", &id]).done();
    for expected in [
        &format!("event      {id}\n"),
        "state      waiting\n",
        "due        20",
        "Z (0s ago)\n",
        "\ndata       \n{\n  \"",
        r#""note": "\u009b2J\u202e""#,
        "\ntoken      aaa.bbb.ccc\n",
        "\nkey        \n{\n  \"kty\": \"RSA\"\n}\n",
    ] {
        assert!(shown.contains(expected), "{expected:?} in {shown}");
    }
    let document = &shown[shown.find('{').unwrap()..=shown.find("\n}\ntoken").unwrap() + 1];
    assert_eq!(serde_json::from_str::<Value>(document).unwrap(), event.data());
}

/// The oldest first, page by page, and never the token, which is good for an hour.
#[tokio::test(flavor = "multi_thread")]
async fn parked_tokens_are_listed_and_never_shown() {
    let inbox = Inbox::new().await;
    assert_eq!(inbox.run(&["parked"]).done(), "There are no such tokens.\n");
    assert_eq!(inbox.run(&["parked", "--json"]).json(), json!([]));
    for id in ["first", "second", "third"] {
        inbox.parked(id).await;
    }
    let table = inbox.run(&["parked", "--limit", "2"]).done();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(lines[0].starts_with("AGE ") && lines[0].ends_with(" REASON"), "{table}");
    assert!(lines[1].contains("first") && lines[2].contains("second"), "{table}");
    assert!(lines[1].contains("wrong_audience") && lines[1].ends_with(r"seen b\u{1b}[2J"), "{table}");
    let after = lines[3].strip_prefix("There are more: add --after ").unwrap();

    let json = inbox.run(&["parked", "--json", "--after", after]).json();
    assert_eq!(
        json,
        json!([{
            "position": json[0]["position"].as_i64().unwrap(),
            "id": "third",
            "issuer": "https://issuer.example",
            "audience": "b",
            "eventId": "event of third",
            "eventName": null,
            "code": "wrong_audience",
            "reason": r"expected a, seen b\u{1b}[2J",
            "isExpectedFlow": false,
            "receivedAt": "2026-01-08T08:35:39Z",
        }])
    );
    for shown in [table, json.to_string(), inbox.run(&["parked"]).done()] {
        assert!(!shown.contains("aaa.bbb.ccc") && !shown.contains("RSA"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_count_what_is_there() {
    let inbox = Inbox::new().await;
    assert_eq!(
        inbox.run(&["stats", "--json"]).json(),
        json!({ "waiting": 0, "running": 0, "dead": 0, "parked": 0, "oldestWaiting": null, "completed": 0 })
    );
    inbox.completed(&SampleEvent::created()).await;
    inbox.completed(&SampleEvent::created()).await;
    inbox.dead(&SampleEvent::created(), "no").await;
    inbox.running(&SampleEvent::created()).await;
    inbox.waiting(&SampleEvent::created()).await;
    inbox.parked("1").await;
    let mut stats = inbox.run(&["--json", "stats"]).json();
    let oldest = stats["oldestWaiting"].take().as_f64().unwrap();
    assert!((0.0..60.0).contains(&oldest), "{oldest}");
    assert_eq!(
        stats,
        json!({ "waiting": 1, "running": 1, "dead": 1, "parked": 1, "oldestWaiting": null, "completed": 2 })
    );
    let text = inbox.run(&["stats"]).done();
    assert!(
        text.starts_with("waiting    1 (the oldest for ") && text.ends_with("dead       1\nparked     1\n"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let inbox = Inbox::new().await;
    inbox.waiting(&SampleEvent::created()).await;
    inbox.parked("1").await;
    for arguments in [&["list"][..], &["list", "--json"], &["parked"], &["stats"]] {
        let mut command = command();
        command.arg("--store").arg(format!("sqlite:{}", inbox.path().display())).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert!(ran.code == 0 && ran.err.is_empty(), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_printed_is_an_error() {
    let inbox = Inbox::new().await;
    inbox.waiting(&SampleEvent::created()).await;
    for arguments in [&["list"][..], &["list", "--json"], &["stats"]] {
        let mut command = command();
        command.arg("--store").arg(format!("sqlite:{}", inbox.path().display())).args(arguments);
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ran = Ran::of(command.stdout(full).output().unwrap());
        assert!(ran.failed(1).contains("standard output cannot be written: "), "{arguments:?}");
    }
}
