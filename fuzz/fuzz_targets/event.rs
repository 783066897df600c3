//! The text of `data`, read as the envelope and as each of the five documented events.

#![no_main]

use idnow_webhooks_core::event::{
    EventPayload, RawEvent, SessionAborted, SessionCompleted, SessionCreated, SessionError, SessionExpired,
    Unreadable,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fn read<P: EventPayload>(event: &RawEvent) -> bool {
    let result = event.clone().read::<P>();
    match &result {
        Ok(read) => assert_eq!((read.json(), &read.id), (event.json(), &event.id)),
        Err(unreadable) => check(unreadable, event.json()),
    }
    result.is_ok()
}

/// Another reader of JSON finds the same in the text.
fn check_against_serde(event: &RawEvent) {
    let value: Value = serde_json::from_str(event.json()).expect("what was read is JSON");
    assert_eq!(value["eventName"].as_str(), Some(&*event.name));
    assert_eq!(value["environment"].as_str(), Some(&*event.environment));
    for (member, read) in
        [("eventId", &event.id), ("eventVersion", &event.version), ("eventDeliverId", &event.deliver_id)]
    {
        assert!(value[member].as_str() == Some(&**read) || value[member].is_number(), "{member}");
    }
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
    assert!(unreadable.event_id.as_ref().is_none_or(|id| (1..=256).contains(&id.len())));
}

fuzz_target!(|text: &str| {
    let event = match RawEvent::from_json(text) {
        Ok(event) => event,
        Err(unreadable) => return check(&unreadable, text),
    };
    assert_eq!(event.json(), text);
    assert!((1..=256).contains(&event.id.len()));
    check_against_serde(&event);
    let _ = event.attempt();
    let read = [
        read::<SessionCreated>(&event),
        read::<SessionCompleted>(&event),
        read::<SessionExpired>(&event),
        read::<SessionAborted>(&event),
        read::<SessionError>(&event),
        event.session().is_ok(),
    ];
    assert!(read.iter().all(|one| *one == read[0]), "the five types disagree");
});
