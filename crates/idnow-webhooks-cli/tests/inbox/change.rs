use std::time::Duration;

use idnow_webhooks::event::{Event, SessionCompleted};
use idnow_webhooks::store::{EventState, EventStore, NewEvent};
use idnow_webhooks::{EventRouter, Worker};
use idnow_webhooks_testkit::SampleEvent;
use serde_json::json;

use super::{Inbox, LEASE};

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_retried_or_the_reason_is_told() {
    let inbox = Inbox::new().await;
    let dead = inbox.dead(&SampleEvent::completed(), "no").await;
    let completed = inbox.completed(&SampleEvent::completed()).await;
    let running = inbox.running(&SampleEvent::completed()).await.event_id.to_string();

    let until = inbox.store.get(&running).await.unwrap().unwrap().due_at.unwrap();
    let ran = inbox.run(&["retry", &dead, &completed, &running, "nobody\u{9b}2J"]);
    // How long it still is depends on the machine; the lease is 30 s.
    let (_, left) = ran.out.split_once(" (in ").unwrap();
    let (left, _) = left.split_once("s)").unwrap();
    assert!((1..30).contains(&left.parse::<u64>().unwrap()), "{left}");
    assert_eq!(
        ran.out,
        format!(
            "{dead}  queued\n{completed}  not queued: it is completed\n\
             {running}  not queued: a worker holds it until {} UTC (in {left}s); if that worker is dead, it is handled \
             when this ends\n\
             nobody\\u{{9b}}2J  not queued: there is no such event in this store\n",
            until.format("%H:%M:%S")
        )
    );
    assert!(ran.code == 1 && ran.err.is_empty(), "{ran:?}");

    let event = inbox.store.get(&dead).await.unwrap().unwrap();
    assert_eq!((event.state, event.runs, event.error.as_deref()), (EventState::Waiting, 0, Some("no")));

    // One that waits is queued as well.
    let ran = inbox.run(&["retry", "--json", &dead]);
    assert_eq!(ran.json(), json!([{ "id": dead, "result": "queued" }]));
    let ran = inbox.run(&["retry", "--json", &dead, &completed, &running, "nobody"]);
    let expected = json!([
        { "id": dead, "result": "queued" },
        { "id": completed, "result": "refused", "state": "completed" },
        { "id": running, "result": "refused", "state": "running" },
        { "id": "nobody", "result": "unknown" },
    ]);
    assert_eq!((ran.code, serde_json::from_str(&ran.out).unwrap()), (1, expected));
}

/// In the file, the command and the server are two processes.
#[tokio::test(flavor = "multi_thread")]
async fn the_worker_of_a_server_handles_what_is_retried() {
    let inbox = Inbox::new().await;
    let id = inbox.dead(&SampleEvent::completed(), "no").await;
    let (handled, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let handlers = EventRouter::new().on(move |event: Event<SessionCompleted>| {
        handled.send(event.id).unwrap();
        async { Ok(()) }
    });
    let poll = Duration::from_millis(50);
    let worker = Worker::builder(inbox.store.clone(), handlers).poll_interval(poll).start().unwrap();

    inbox.run(&["retry", &id]).done();
    let seen = tokio::time::timeout(Duration::from_secs(20), seen.recv()).await.unwrap().unwrap();
    assert_eq!(*seen, *id);
    worker.stop().await;
    assert_eq!(inbox.store.get(&id).await.unwrap().unwrap().state, EventState::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_dead_letters_are_retried() {
    let inbox = Inbox::new().await;
    let mut ids = Vec::new();
    for _ in 0..205 {
        ids.push(inbox.dead(&SampleEvent::completed(), "no").await);
    }
    assert_eq!(inbox.run(&["retry-dead", "--limit", "3"]).done(), "queued 3 dead letters\n");
    for (id, state) in [(&ids[2], EventState::Waiting), (&ids[3], EventState::Dead)] {
        assert_eq!(inbox.store.get(id).await.unwrap().unwrap().state, state, "the oldest first");
    }
    assert_eq!(inbox.run(&["retry-dead", "--json"]).json(), json!({ "queued": 202 }));
    assert_eq!(inbox.store.backlog().await.unwrap().waiting, 205);
    assert_eq!(inbox.run(&["retry-dead"]).done(), "queued 0 dead letters\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_events_are_purged_and_young_ones_are_not() {
    let inbox = Inbox::new().await;
    for _ in 0..2 {
        inbox.completed(&SampleEvent::completed()).await;
    }
    inbox.dead(&SampleEvent::completed(), "no").await;
    inbox.waiting(&SampleEvent::completed()).await;

    let purge = |arguments: &[&str]| inbox.run(&[&["purge", "--yes", "--older-than"], arguments].concat());
    assert_eq!(purge(&["2h"]).done(), "purged 0 completed events\n");
    assert_eq!(purge(&["100000years"]).done(), "purged 0 completed events\n", "no time is too long");
    age(&inbox, Duration::from_hours(3)).await;
    assert_eq!(purge(&["4h"]).done(), "purged 0 completed events\n");
    assert_eq!(purge(&["150m"]).done(), "purged 2 completed events\n");
    let stats = inbox.run(&["stats", "--json"]).json();
    assert_eq!((&stats["completed"], &stats["dead"], &stats["waiting"]), (&json!(0), &json!(1), &json!(1)));

    assert_eq!(purge(&["1day 6h", "--dead"]).done(), "purged 0 dead letters\n");
    assert_eq!(purge(&["0s", "--dead", "--json"]).json(), json!({ "purged": 1 }));
    assert_eq!(inbox.store.backlog().await.unwrap().waiting, 1);
}

/// The server may keep them longer than this program knows.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_purged_unasked() {
    let inbox = Inbox::new().await;
    inbox.completed(&SampleEvent::completed()).await;
    age(&inbox, Duration::from_hours(10_000 * 24)).await;
    for _ in 0..3 {
        assert_eq!(inbox.run(&["stats", "--json"]).json()["completed"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_events_are_purged_in_steps() {
    let inbox = Inbox::new().await;
    let mut adding = tokio::task::JoinSet::new();
    for _ in 0..1201 {
        let store = inbox.store.clone();
        adding.spawn(async move {
            let event = NewEvent::from_json(&SampleEvent::completed().data().to_string());
            let idnow_webhooks::store::Beginning::Run(lease) = store.begin(event, LEASE).await.unwrap()
            else {
                panic!("the event is not new");
            };
            store.complete(&lease).await.unwrap();
        });
    }
    adding.join_all().await;
    age(&inbox, Duration::from_hours(3)).await;
    let ran = inbox.run(&["purge", "--older-than", "2h", "--yes"]);
    assert_eq!(ran.done(), "purged 1201 completed events\n");
    assert_eq!(inbox.store.completed().await.unwrap(), 0);
}

/// Makes everything older, as if so much time had passed.
async fn age(inbox: &Inbox, by: Duration) {
    use idnow_webhooks::sqlite::sqlx::{self, Connection as _};

    let url = format!("sqlite:{}", inbox.path().display());
    let mut file = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let micros = i64::try_from(by.as_micros()).unwrap();
    sqlx::query("UPDATE idnow_webhooks_events SET finished_at = finished_at - ?")
        .bind(micros)
        .execute(&mut file)
        .await
        .unwrap();
    file.close().await.unwrap();
}
