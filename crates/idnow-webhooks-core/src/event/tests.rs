use super::*;
use serde_json::{Value, json};

fn published() -> Value {
    json!({
        "eventId": "61a51c5b-480d-4f47-8334-34b0ba7ae0be",
        "eventName": "session.completed",
        "eventVersion": "1.0",
        "eventSequence": "2",
        "eventDeliverId": "1",
        "createdAt": "2026-01-08T08:35:37.581Z",
        "environment": "staging",
        "payload": {
            "flowId": "bf8e2e27-2340-426f-a0bb-f1081e4a07ac",
            "sessionId": "fe1941c2-bc45-4142-b516-fa0fc9fd7754",
            "sessionStatus": "COMPLETED",
            "lastStepId": "END-ACCEPT",
            "lastStepType": "END",
            "lastStepStatus": "COMPLETED"
        }
    })
}

fn read(data: &Value) -> Result<Event<SessionCompleted>, Unreadable> {
    RawEvent::from_json(&data.to_string())?.read()
}

#[test]
fn every_documented_member_is_read() {
    let event = read(&published()).unwrap();
    assert_eq!(event.id, "61a51c5b-480d-4f47-8334-34b0ba7ae0be");
    assert_eq!(event.name, "session.completed");
    assert_eq!(event.version.as_deref(), Some("1.0"));
    assert_eq!(event.sequence, 2);
    assert_eq!(event.attempt(), Some(1));
    assert_eq!(event.created_at.unwrap().timestamp_millis(), 1_767_861_337_581);
    assert_eq!(event.environment, "staging");
    assert_eq!(event.payload.flow_id, "bf8e2e27-2340-426f-a0bb-f1081e4a07ac");
    assert_eq!(event.payload.session_id.to_string(), "fe1941c2-bc45-4142-b516-fa0fc9fd7754");
    assert_eq!(event.payload.session_status, SessionStatus::Completed);
    assert_eq!(event.payload.last_step_id.as_deref(), Some("END-ACCEPT"));
    assert_eq!(event.payload.last_step_type.as_deref(), Some("END"));
    assert_eq!(event.payload.last_step_status.as_deref(), Some("COMPLETED"));
}

#[test]
fn numbers_and_text_stand_for_each_other() {
    let mut data = published();
    data["eventSequence"] = json!(7);
    data["eventDeliverId"] = json!(3);
    data["eventVersion"] = json!(1.0);
    data["payload"]["flowId"] = json!(42);
    data["payload"]["lastStepId"] = json!(-5);
    let event = read(&data).unwrap();
    assert_eq!((event.sequence, event.attempt()), (7, Some(3)));
    data["eventSequence"] = json!(7.0);
    assert_eq!(read(&data).unwrap().sequence, 7);
    assert_eq!(event.version.as_deref(), Some("1.0"));
    assert_eq!(event.payload.flow_id, "42");
    assert_eq!(event.payload.last_step_id.as_deref(), Some("-5"));
}

#[test]
fn the_last_step_is_found_beside_the_payload_too() {
    let mut data = published();
    for member in ["lastStepId", "lastStepType", "lastStepStatus"] {
        let value = data["payload"].as_object_mut().unwrap().remove(member).unwrap();
        data[member] = value;
    }
    let event = read(&data).unwrap();
    assert_eq!(event.payload.last_step_id.as_deref(), Some("END-ACCEPT"));
    assert_eq!(event.payload.last_step_type.as_deref(), Some("END"));
    assert_eq!(event.payload.last_step_status.as_deref(), Some("COMPLETED"));

    data["payload"]["lastStepType"] = json!("INSIDE");
    assert_eq!(read(&data).unwrap().payload.last_step_type.as_deref(), Some("INSIDE"));
}

#[test]
fn absent_and_null_last_steps_are_none() {
    let mut data = published();
    data["payload"]["lastStepId"] = Value::Null;
    data["payload"].as_object_mut().unwrap().remove("lastStepType");
    let event = read(&data).unwrap();
    assert_eq!(event.payload.last_step_id, None);
    assert_eq!(event.payload.last_step_type, None);
}

#[test]
fn an_event_is_not_lost_for_want_of_what_only_describes_the_attempt() {
    for value in [None, Some(Value::Null), Some(json!([1])), Some(json!({ "a": "b" })), Some(json!(true))] {
        let mut data = published();
        for member in ["eventVersion", "eventDeliverId", "createdAt"] {
            data.as_object_mut().unwrap().remove(member);
            if let Some(value) = &value {
                data[member] = value.clone();
            }
        }
        let event = read(&data).unwrap();
        assert_eq!((event.version.as_ref(), event.attempt(), event.created_at), (None, None, None));
    }
    let mut data = published();
    data["createdAt"] = json!("yesterday");
    data["payload"]["lastStepId"] = json!({ "id": 7 });
    let event = read(&data).unwrap();
    assert_eq!((event.created_at, event.payload.last_step_id.as_deref()), (None, None));
}

#[test]
fn a_payload_that_is_no_object_is_unreadable() {
    let mut data = published();
    data["payload"] = json!(["flow", "fe1941c2-bc45-4142-b516-fa0fc9fd7754", "COMPLETED", null, null, null]);
    assert_eq!(read(&data).unwrap_err().reason(), "`payload` is not an object");
}

#[test]
fn a_payload_is_read_only_under_its_own_name() {
    let mut data = published();
    data["eventName"] = json!("session.aborted");
    let error = read(&data).unwrap_err();
    assert_eq!(error.reason(), r#"the event is "session.aborted", and not "session.completed""#);
    assert_eq!(error.event_name.as_deref(), Some("session.aborted"));
}

#[test]
fn unknown_members_and_statuses_are_kept() {
    let mut data = published();
    data["eventPriority"] = json!("high");
    data["payload"]["sessionStatus"] = json!("PAUSED");
    data["payload"]["reviewer"] = json!({ "team": 4 });
    let event = read(&data).unwrap();
    assert_eq!(event.payload.session_status, SessionStatus::Other("PAUSED".into()));
    assert!(!event.payload.session_status.is_final());
    let kept: Value = serde_json::from_str(event.json()).unwrap();
    assert_eq!(kept, data);
}

#[test]
fn statuses_are_read_in_any_case_and_written_as_documented() {
    assert_eq!(SessionStatus::from("completed"), SessionStatus::Completed);
    assert_eq!(SessionStatus::Completed.to_string(), "COMPLETED");
    assert_eq!(SessionStatus::Other("PAUSED".into()).to_string(), "PAUSED");
}

#[test]
fn times_are_read_in_each_form_of_iso_8601_that_servers_write() {
    for text in [
        "2026-01-08T08:35:37.581Z",
        "2026-01-08T09:35:37.581+01:00",
        "2026-01-08T09:35:37.581+0100",
        "2026-01-08T08:35:37.581",
    ] {
        let mut data = published();
        data["createdAt"] = json!(text);
        assert_eq!(read(&data).unwrap().created_at.unwrap().timestamp_millis(), 1_767_861_337_581, "{text}");
    }
}

#[test]
fn what_cannot_be_read_names_the_member_and_keeps_the_text() {
    for (member, value) in [
        ("eventSequence", json!("second")),
        ("eventSequence", json!(-1)),
        ("environment", json!(["staging"])),
        ("eventName", Value::Null),
    ] {
        let mut data = published();
        data[member] = value;
        let error = read(&data).unwrap_err();
        assert_eq!(error.event_id.as_deref(), data["eventId"].as_str(), "{member}");
        assert_eq!(serde_json::from_str::<Value>(error.json()).unwrap(), data);
    }
    let mut data = published();
    data.as_object_mut().unwrap().remove("payload");
    assert!(read(&data).unwrap_err().reason().contains("payload"));
    for id in ["", "a\0b", "a\nb", &"x".repeat(257)] {
        let mut data = published();
        data["eventId"] = json!(id);
        assert_eq!(read(&data).unwrap_err().event_id, None, "{id:?}");
    }
    assert_eq!(RawEvent::from_json("null").unwrap_err().reason(), "not a JSON object");
    let positional = json!(["1", "n", "1", 1, "1", "2026-01-08T08:35:37Z", "e", {}]);
    assert_eq!(RawEvent::from_json(&positional.to_string()).unwrap_err().reason(), "not a JSON object");
}

#[test]
fn a_session_id_that_is_no_uuid_is_unreadable_but_keeps_its_event_id() {
    let mut data = published();
    data["payload"]["sessionId"] = json!("not-a-uuid");
    let error = read(&data).unwrap_err();
    assert_eq!(error.event_id.as_deref(), data["eventId"].as_str());
    assert_eq!(error.event_name.as_deref(), Some("session.completed"));
}
