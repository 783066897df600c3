//! The text of `data`, read as the envelope and as each of the five documented events.

#![no_main]

use idnow_webhooks_core::event::{
    EventPayload, RawEvent, SessionAborted, SessionCompleted, SessionCreated, SessionError, SessionExpired,
    Unreadable,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Its own type agrees with what any session event says, the others refuse it.
fn read_as<P: EventPayload>(event: &RawEvent) {
    let result = event.clone().read::<P>();
    match &result {
        Ok(read) => assert_eq!((read.json(), &read.id), (event.json(), &event.id)),
        Err(unreadable) => check(unreadable, event.json()),
    }
    assert_eq!(result.is_ok(), event.name == P::NAME && event.session().is_ok(), "as {}", P::NAME);
}

/// Another reader of JSON finds the same in the text.
fn check_against_serde(event: &RawEvent) {
    // What nobody reads may be more than that reader takes: a number, a depth, an escape.
    let Ok(value) = serde_json::from_str::<Value>(event.json()) else { return };
    assert_eq!(value["eventName"].as_str(), Some(&*event.name));
    assert_eq!(value["environment"].as_str(), Some(&*event.environment));
    for (member, read) in [
        ("eventId", Some(&event.id)),
        ("eventVersion", event.version.as_ref()),
        ("eventDeliverId", event.deliver_id.as_ref()),
    ] {
        let value = &value[member];
        let same = value.as_str() == read.map(String::as_str);
        assert!(same || (read.is_some() && value.is_number()), "{member}");
    }
    assert!(event.created_at.is_none() || value["createdAt"].is_string());
    let payload: Value = serde_json::from_str(event.payload.get()).expect("the payload is JSON");
    assert_eq!(payload, value["payload"]);
}

fn check(unreadable: &Unreadable, text: &str) {
    assert_eq!(unreadable.json(), text);
    let reason = unreadable.reason();
    assert!(
        !reason.is_empty() && reason.len() < 8 * 1024 && !reason.chars().any(char::is_control),
        "{reason:?}"
    );
    assert!(unreadable.event_id.as_ref().is_none_or(|id| is_usable(id)));
}

fn is_usable(id: &str) -> bool {
    (1..=256).contains(&id.len()) && !id.chars().any(char::is_control)
}

fuzz_target!(|text: &str| {
    let event = match RawEvent::from_json(text) {
        Ok(event) => event,
        Err(unreadable) => return check(&unreadable, text),
    };
    assert_eq!(event.json(), text);
    assert!(is_usable(&event.id));
    check_against_serde(&event);
    let _ = event.attempt();
    read_as::<SessionCreated>(&event);
    read_as::<SessionCompleted>(&event);
    read_as::<SessionExpired>(&event);
    read_as::<SessionAborted>(&event);
    read_as::<SessionError>(&event);
    if let Err(unreadable) = event.session() {
        check(&unreadable, event.json());
    }
});
