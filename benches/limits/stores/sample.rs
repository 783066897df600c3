//! Events of the size that the provider publishes, each with ids of its own.

use std::sync::Arc;

use idnow_webhooks_core::store::NewEvent;
use idnow_webhooks_testkit::SampleEvent;
use uuid::Uuid;

pub const NAME: &str = "session.completed";
pub const SEQUENCE: i64 = 2;

/// An event as it is written by hand: the values of its row.
pub struct Row {
    pub event_id: Uuid,
    pub session: Uuid,
    pub data: Arc<str>,
}

impl Row {
    pub fn random() -> Self {
        let (event_id, session) = (Uuid::new_v4(), Uuid::new_v4());
        Self { event_id, session, data: data(&event_id, &session).into() }
    }

    pub fn several(rows: usize) -> Vec<Self> {
        (0..rows).map(|_| Self::random()).collect()
    }
}

/// The same as the store takes it.
pub fn event() -> NewEvent {
    NewEvent::from_json(&data(&Uuid::new_v4(), &Uuid::new_v4()))
}

pub fn events(number: usize) -> Vec<NewEvent> {
    (0..number).map(|_| event()).collect()
}

/// The published example, under other ids.
pub fn data(event_id: &Uuid, session: &Uuid) -> String {
    thread_local! {
        static TEMPLATE: String =
            SampleEvent::published().with_event_id("<event>").with_session_id("<session>").data().to_string();
    }
    let (event_id, session) = (event_id.to_string(), session.to_string());
    TEMPLATE.with(|template| template.replace("<event>", &event_id).replace("<session>", &session))
}
