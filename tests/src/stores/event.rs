use idnow_webhooks_core::store::NewEvent;
use idnow_webhooks_testkit::SampleEvent;

/// The first event of a session of its own.
pub fn event(id: &str) -> NewEvent {
    of(&SampleEvent::created().with_event_id(id))
}

/// An event of this session, with this number.
pub fn in_session(id: &str, session: &str, sequence: u64) -> NewEvent {
    of(&SampleEvent::completed().with_event_id(id).with_session_id(session).with_sequence(sequence))
}

/// An event that belongs to no session.
pub fn without_session(id: &str) -> NewEvent {
    of(&SampleEvent::created().with_event_id(id).remove("payload.sessionId"))
}

/// What the store gets of a delivery of this sample.
pub fn of(sample: &SampleEvent) -> NewEvent {
    NewEvent::from_json(&sample.data().to_string())
}
