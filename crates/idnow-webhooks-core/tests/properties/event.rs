use idnow_webhooks_core::event::{
    Event, EventPayload, RawEvent, SessionAborted, SessionCompleted, SessionCreated, SessionError,
    SessionExpired, Unreadable,
};
use idnow_webhooks_testkit::SampleEvent;
use proptest::prelude::*;

use crate::any_json;

const PATHS: [&str; 14] = [
    "eventId",
    "eventName",
    "eventVersion",
    "eventSequence",
    "eventDeliverId",
    "createdAt",
    "environment",
    "payload",
    "payload.flowId",
    "payload.sessionId",
    "payload.sessionStatus",
    "payload.lastStepId",
    "lastStepType",
    "unknown",
];

fn read<P: EventPayload>(text: &str) -> Result<Event<P>, Unreadable> {
    RawEvent::from_json(text)?.read()
}

fn read_as<P: EventPayload>(text: &str) -> (&'static str, Result<(), Unreadable>) {
    (P::NAME, read::<P>(text).map(drop))
}

/// Reads it as each type: the one whose name it bears agrees with what any session event says, the others refuse
/// it, and whatever is refused can still be kept and logged.
fn read_all(text: &str) -> bool {
    let event = RawEvent::from_json(text);
    let name = event.as_ref().map(|event| event.name.clone()).unwrap_or_default();
    let session = event.and_then(|event| event.session()).map(drop);
    let readable = session.is_ok();
    let typed = [
        read_as::<SessionCreated>(text),
        read_as::<SessionCompleted>(text),
        read_as::<SessionExpired>(text),
        read_as::<SessionAborted>(text),
        read_as::<SessionError>(text),
    ];
    for (its_name, result) in &typed {
        assert_eq!(result.is_ok(), readable && name == *its_name, "{its_name}: {text}");
    }
    for unreadable in typed.into_iter().map(|(_, result)| result).chain([session]).filter_map(Result::err) {
        assert_eq!(unreadable.json(), text);
        let reason = unreadable.reason();
        assert!(!reason.is_empty() && !reason.chars().any(char::is_control), "{reason:?}");
    }
    readable
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text: String, json in any_json()) {
        read_all(&text);
        read_all(&json.to_string());
    }

    #[test]
    fn any_value_of_any_member_is_read_or_refused(path in prop::sample::select(&PATHS[..]), value in any_json()) {
        let event = SampleEvent::completed().set(path, value.clone());
        let readable = read_all(&event.data().to_string());
        let free = ["unknown", "eventVersion", "eventDeliverId", "createdAt", "payload.lastStepId", "lastStepType"]
            .contains(&path);
        let flexible = ["payload.flowId", "payload.sessionStatus"].contains(&path);
        if free || (flexible && (value.is_string() || value.is_number())) {
            prop_assert!(readable, "{}: {}", path, value);
        }
        if !free && (value.is_array() || value.is_boolean()) {
            prop_assert!(!readable, "{}: {}", path, value);
        }
    }

    #[test]
    fn what_is_valid_comes_back_as_it_went_in(
        id in r"[^\p{Cc}]{1,64}", name in ".{0,40}", version in ".{0,10}", sequence: u64, attempt: u64, millis in 0_i64..4_000_000_000_000,
        environment in ".{0,20}", flow in ".{0,40}", session: u128, status in "[A-Z]{1,12}", step in prop::option::of(".{0,20}"),
        as_number: bool,
    ) {
        let created = chrono::DateTime::from_timestamp_millis(millis).unwrap();
        let session = uuid::Uuid::from_u128(session);
        let mut event = SampleEvent::named(&name)
            .with_event_id(&id)
            .with_created_at(created)
            .with_environment(&environment)
            .with_flow_id(&flow)
            .with_session_id(session.to_string())
            .with_status(&status)
            .set("eventVersion", version.clone());
        event = if as_number {
            event.set("eventSequence", sequence).set("eventDeliverId", attempt)
        } else {
            event.with_sequence(sequence).with_attempt(attempt)
        };
        event = event.remove("payload.lastStepId");
        if let Some(step) = &step {
            event = event.set("payload.lastStepId", step.clone());
        }
        let text = event.data().to_string();
        let raw = RawEvent::from_json(&text).unwrap();
        prop_assert_eq!((&raw.name, raw.json()), (&name, &*text));
        let text = event.set("eventName", SessionCompleted::NAME).data().to_string();
        let read: Event<SessionCompleted> = read(&text).unwrap();
        prop_assert_eq!(&read.id, &id);
        prop_assert_eq!(read.version.as_ref(), Some(&version));
        prop_assert_eq!(read.sequence, sequence);
        prop_assert_eq!(read.attempt(), Some(attempt));
        prop_assert_eq!(read.created_at, Some(created));
        prop_assert_eq!(&read.environment, &environment);
        prop_assert_eq!(&read.payload.flow_id, &flow);
        prop_assert_eq!(read.payload.session_id, session);
        prop_assert_eq!(read.payload.session_status.as_str(), &status);
        prop_assert_eq!(&read.payload.last_step_id, &step);
        prop_assert_eq!(read.json(), &text);
    }

    #[test]
    fn members_that_are_not_known_are_kept(extra in any_json()) {
        let event = SampleEvent::completed().set("future", extra.clone()).set("payload.future", extra.clone());
        let text = event.data().to_string();
        let read: Event<SessionCompleted> = read(&text).unwrap();
        prop_assert_eq!(read.json(), &text);
    }
}
