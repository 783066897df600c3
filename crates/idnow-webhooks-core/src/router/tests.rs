use std::sync::Mutex;

use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::event::{SessionCompleted, SessionCreated};

fn event(name: &str) -> Arrival {
    let data = json!({
        "eventId": "1", "eventName": name, "eventVersion": "1.0", "eventSequence": "1", "eventDeliverId": "1",
        "createdAt": "2026-01-08T08:35:37.581Z", "environment": "staging",
        "payload": {
            "flowId": "f", "sessionId": "fe1941c2-bc45-4142-b516-fa0fc9fd7754", "sessionStatus": "COMPLETED"
        },
    });
    Arrival::from(RawEvent::from_json(&data.to_string()))
}

/// Notes which handlers ran.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn add(&self, note: impl Into<String>) {
        self.0.lock().unwrap().push(note.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn noting(notes: &Notes) -> EventRouter {
    let (typed, any, unknown) = (notes.clone(), notes.clone(), notes.clone());
    EventRouter::new()
        .on(move |event: Event<SessionCompleted>| {
            typed.add(format!("completed {}", event.payload.flow_id));
            async { Ok(()) }
        })
        .on_any(move |event| {
            any.add(format!("any {}", event.name));
            async { Ok(()) }
        })
        .on_unknown(move |event| {
            unknown.add(format!("unknown {}", event.name));
            async { Ok(()) }
        })
}

#[tokio::test]
async fn events_go_to_the_handler_for_their_type_after_the_one_for_any() {
    let notes = Notes::default();
    let router = noting(&notes);
    router.dispatch(event("session.completed")).await.unwrap();
    assert_eq!(notes.take(), ["any session.completed", "completed f"]);
    router.dispatch(event("session.created")).await.unwrap();
    assert_eq!(notes.take(), ["any session.created"]);
    router.dispatch(event("session.rewound")).await.unwrap();
    assert_eq!(notes.take(), ["any session.rewound", "unknown session.rewound"]);
}

#[tokio::test]
async fn a_payload_of_ones_own_is_known() {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Rewound {
        flow_id: String,
    }
    impl EventPayload for Rewound {
        const NAME: &'static str = "session.rewound";
    }
    let notes = Notes::default();
    let own = notes.clone();
    let router = noting(&notes).on(move |event: Event<Rewound>| {
        own.add(format!("rewound {}", event.payload.flow_id));
        async { Ok(()) }
    });
    router.dispatch(event("session.rewound")).await.unwrap();
    assert_eq!(notes.take(), ["any session.rewound", "rewound f"]);
}

#[tokio::test]
async fn failures_keep_their_kind_and_their_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("no account")]
    struct NoAccount(#[source] std::num::ParseIntError);

    let notes = Notes::default();
    let router = noting(&notes).on(|_: Event<SessionCreated>| async {
        "x".parse::<u8>().map_err(NoAccount)?;
        Ok(())
    });
    let error = router.dispatch(event("session.created")).await.unwrap_err();
    assert!(!error.is_permanent());
    assert_eq!(error.to_string(), "no account: invalid digit found in string");
    let router = EventRouter::new().on_any(|_| async { Err(HandlerError::permanent("never")) });
    assert!(router.dispatch(event("session.created")).await.unwrap_err().is_permanent());
}

#[tokio::test]
async fn a_panic_before_or_after_the_first_await_is_a_failure_worth_another_try() {
    let before = EventRouter::new().on(|event: Event<SessionCreated>| {
        assert!(event.name.is_empty(), "early");
        async { Ok(()) }
    });
    let after = EventRouter::new().on(|_: Event<SessionCreated>| async {
        tokio::task::yield_now().await;
        panic!("late {}", 1)
    });
    for (router, message) in [(before, "panicked: early"), (after, "panicked: late 1")] {
        let error = router.dispatch(event("session.created")).await.unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert!(!error.is_permanent());
    }
}

#[tokio::test]
async fn a_payload_that_a_handler_cannot_read_goes_to_the_unreadable_handler() {
    #[derive(Deserialize)]
    struct Strange {
        #[serde(rename = "notThere")]
        _missing: u8,
    }
    impl EventPayload for Strange {
        const NAME: &'static str = "session.created";
    }
    let strange = || EventRouter::new().on(|_: Event<Strange>| async { Ok(()) });
    let error = strange().dispatch(event("session.created")).await.unwrap_err();
    assert!(!error.is_permanent());
    assert_eq!(error.into_unreadable().unwrap().event_id.as_deref(), Some("1"));

    let notes = Notes::default();
    let seen = notes.clone();
    let router = strange().on_unreadable(move |event| {
        seen.add(format!("unreadable {:?} {}", event.event_id, event.reason()));
        async { Ok(()) }
    });
    router.dispatch(event("session.created")).await.unwrap();
    assert!(notes.take()[0].contains("notThere"));
}

#[test]
fn a_second_handler_for_the_same_event_is_found() {
    let router = EventRouter::new()
        .on(|_: Event<SessionCreated>| async { Ok(()) })
        .on(|_: Event<SessionCreated>| async { Ok(()) });
    assert_eq!(router.check(), Err(RepeatedHandler("session.created")));
    let router = EventRouter::new().on_any(|_| async { Ok(()) }).on_any(|_| async { Ok(()) });
    assert_eq!(router.check(), Err(RepeatedHandler("on_any")));
    EventRouter::new().on_any(|_| async { Ok(()) }).check().unwrap();
}
