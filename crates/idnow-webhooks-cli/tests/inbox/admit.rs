use std::process::Command;
use std::time::Duration;

use idnow_webhooks::store::{EventState, EventStore};
use idnow_webhooks::{Clock, SystemClock};
use idnow_webhooks_testkit::{FixedClock, Provider, SampleEvent, SigningKey};
use serde_json::{Value, json};

use super::{Inbox, Ran, command};

const OLD: &str = "https://old.example/hook";

/// The command in an environment with these settings, and with the provider's keys in a file.
fn admit(inbox: &Inbox, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let keys = inbox.path().with_extension("jwks.json");
    if !keys.exists() {
        std::fs::write(&keys, Provider::new().key().jwks().to_string()).unwrap();
    }
    let mut command: Command = command();
    command.env("IDNOW_JWKS_FILE", keys);
    command
        .env("IDNOW_STORE", format!("sqlite:{}", inbox.path().display()))
        .env("IDNOW_ISSUER", Provider::ISSUER)
        .env("IDNOW_AUDIENCE", Provider::AUDIENCE)
        .envs(variables.iter().copied())
        .arg("admit")
        .args(arguments);
    Ran::of(command.output().unwrap())
}

/// What a receiver parks that believes in another audience than the provider.
async fn parked(inbox: &Inbox, provider: &Provider, events: &[SampleEvent]) {
    let receiver = Provider::new().receiver().queued(inbox.store.clone()).build().unwrap();
    for event in events {
        assert_eq!(provider.deliver(&receiver, event).await.status(), 503);
    }
}

/// A wrong setting that is found on Monday loses nothing of Friday.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_parked_is_queued_once_the_settings_are_right() {
    let inbox = Inbox::new().await;
    let events = [SampleEvent::created(), SampleEvent::completed(), SampleEvent::expired()];
    parked(&inbox, &Provider::new().with_audience(OLD), &events).await;

    // Still the wrong audience.
    let ran = admit(&inbox, &[], &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.out.contains("stays parked: audience: expected one of [https://bank.example/webhooks/idnow]"),
        "{ran:?}"
    );
    assert!(ran.out.ends_with("0 admitted, 3 still parked\n"), "{ran:?}");

    let right = [("IDNOW_AUDIENCE", OLD)];
    let dry = admit(&inbox, &right, &["--dry-run"]).done();
    assert!(dry.ends_with("3 would be admitted, 0 still parked\n"), "{dry}");
    assert_eq!(inbox.store.backlog().await.unwrap().parked, 3, "nothing was changed");

    let one = admit(&inbox, &right, &[events[1].event_id(), "--json"]).json();
    assert_eq!(
        (&one[0]["eventId"], &one[0]["result"], &one[1]),
        (&json!(events[1].event_id()), &json!("stored"), &Value::Null)
    );
    let rest = admit(&inbox, &right, &[]).done();
    assert!(rest.ends_with("2 admitted, 0 still parked\n"), "{rest}");
    for event in &events {
        assert_eq!(inbox.store.get(event.event_id()).await.unwrap().unwrap().state, EventState::Waiting);
    }
    let backlog = inbox.store.backlog().await.unwrap();
    assert_eq!((backlog.parked, backlog.waiting), (0, 3));

    let gone = admit(&inbox, &right, &[events[0].event_id()]);
    assert!(gone.code == 1 && gone.out.contains("nothing of this id is parked"), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_wrong_clock_are_judged_by_the_providers() {
    let inbox = Inbox::new().await;
    let hours_ago = FixedClock::at(SystemClock.now() - Duration::from_hours(3));
    parked(&inbox, &Provider::new().with_clock(hours_ago), &[SampleEvent::completed()]).await;
    let ran = admit(&inbox, &[], &[]);
    assert!(ran.code == 1 && ran.out.contains("--as-of-issue"), "{ran:?}");
    let all = admit(&inbox, &[], &["--as-of-issue"]);
    assert_eq!(all.code, 2, "an old token that was sent again looks the same, so they are named: {all:?}");
    let id = inbox.store.parked(0, 1).await.unwrap()[0].event_id.clone().unwrap();
    let done = admit(&inbox, &[], &["--as-of-issue", &id]).done();
    assert!(done.ends_with("1 admitted, 0 still parked\n"), "{done}");
}

/// Keys are withdrawn because others know them.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_published_any_more_is_believed_only_when_that_is_said() {
    let inbox = Inbox::new().await;
    let event = SampleEvent::completed();
    parked(&inbox, &Provider::new().with_audience(OLD), std::slice::from_ref(&event)).await;
    let keys = SigningKey::shared_other().jwks().to_string();
    std::fs::write(inbox.path().with_extension("jwks.json"), keys).unwrap();
    let right = [("IDNOW_AUDIENCE", OLD)];
    let ran = admit(&inbox, &right, &[]);
    assert!(ran.code == 1 && ran.out.contains("--trust-stored-key"), "{ran:?}");
    let done = admit(&inbox, &right, &["--trust-stored-key"]).done();
    assert!(done.ends_with("1 admitted, 0 still parked\n"), "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_somebody_elses_is_unparked() {
    let inbox = Inbox::new().await;
    let events = [SampleEvent::created(), SampleEvent::completed()];
    parked(&inbox, &Provider::new().with_audience(OLD), &events).await;
    let done = inbox.run(&["unpark", events[0].event_id()]).done();
    assert_eq!(done, "1 unparked\n");
    assert_eq!(inbox.store.backlog().await.unwrap().parked, 1);
    let gone = inbox.run(&["unpark", events[0].event_id()]);
    assert!(gone.code == 1 && gone.out.contains("nothing of this id is parked"), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_settings_it_says_which_are_missing() {
    let inbox = Inbox::new().await;
    let error = admit(&inbox, &[("IDNOW_AUDIENCE", " ")], &[]).failed(1);
    assert!(error.contains("IDNOW_AUDIENCE"), "{error}");
}
