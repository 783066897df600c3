use super::*;

const TIME: &str = "2026-01-08T08:35:37.581Z";

fn set(kind: EventKind, values: &[(&str, &str)]) -> Result<String, String> {
    let mut data = Data::new(kind, TIME.to_owned());
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    data.set(values.collect()).map_err(|error| error.to_string())?;
    Ok(serde_json::to_string(&data).unwrap())
}

/// Every field set: the provider's published example comes out, member by member.
#[test]
fn all_fields_can_be_set() {
    let published = r#"{"eventId":"61a51c5b-480d-4f47-8334-34b0ba7ae0be","eventName":"session.completed","eventVersion":"1.0","eventSequence":"2","eventDeliverId":"1","createdAt":"2026-01-08T08:35:37.581Z","environment":"staging","payload":{"flowId":"bf8e2e27-2340-426f-a0bb-f1081e4a07ac","sessionId":"fe1941c2-bc45-4142-b516-fa0fc9fd7754","sessionStatus":"COMPLETED","lastStepId":"END-ACCEPT","lastStepType":"END","lastStepStatus":"COMPLETED"}}"#;
    let values = [
        ("eventId", "61A51C5B-480d-4f47-8334-34b0ba7ae0be"),
        ("eventName", "session.completed"),
        ("eventVersion", "1.0"),
        ("eventSequence", "02"),
        ("eventDeliverId", "1"),
        ("createdAt", TIME),
        ("environment", "staging"),
        ("payload.flowId", "bf8e2e27-2340-426f-a0bb-f1081e4a07ac"),
        ("payload.sessionId", "fe1941c2-bc45-4142-b516-fa0fc9fd7754"),
        ("payload.sessionStatus", "COMPLETED"),
        ("payload.lastStepId", "END-ACCEPT"),
        ("payload.lastStepType", "END"),
        ("payload.lastStepStatus", "COMPLETED"),
    ];
    assert_eq!(values.map(|(name, _)| name), FIELDS.map(|(name, _)| name));
    assert_eq!(set(EventKind::Error, &values).unwrap(), published);
}

#[test]
fn each_kind_has_what_belongs_to_it() {
    for (kind, sequence, status, step) in [
        (EventKind::Created, "1", "CREATED", false),
        (EventKind::Completed, "2", "COMPLETED", true),
        (EventKind::Expired, "2", "EXPIRED", false),
        (EventKind::Aborted, "2", "ABORTED", false),
        (EventKind::Error, "2", "ERROR", false),
    ] {
        let data: serde_json::Value = serde_json::from_str(&set(kind, &[]).unwrap()).unwrap();
        assert_eq!(data["eventName"], kind.name());
        assert_eq!(data["eventSequence"], sequence);
        assert_eq!(data["payload"]["sessionStatus"], status);
        assert_eq!(data["payload"].get("lastStepId").is_some(), step, "{data}");
    }
    let data = Data::new(EventKind::Created, TIME.to_owned());
    assert!(set(EventKind::Created, &[("eventId", data.id())]).unwrap().contains(data.id()));
}

#[test]
fn an_unknown_field_is_refused_with_the_nearest_and_all_known_ones() {
    for (name, nearest) in [
        ("payload.flowid", "payload.flowId"),
        ("flowId", "payload.flowId"),
        ("sessionstatus", "payload.sessionStatus"),
        ("eventid", "eventId"),
        ("sequence", "eventSequence"),
        ("payload.environment", "environment"),
        ("iss", ""),
        ("", ""),
    ] {
        let error = set(EventKind::Created, &[(name, "x")]).unwrap_err();
        assert!(
            error.starts_with(&format!("set: there is no field {name:?}: the nearest is `{nearest}")),
            "{error}"
        );
        for (known, _) in FIELDS {
            assert!(error.contains(known), "{known} in {error}");
        }
    }
    let long = "x\u{1b}".repeat(10_000);
    let error = set(EventKind::Created, &[(&long, "x")]).unwrap_err();
    assert!(error.len() < 1500 && !error.contains('\u{1b}'), "{}", error.len());
}

#[test]
fn a_value_that_does_not_fit_is_refused_with_what_does() {
    let long = "x".repeat(LONGEST_VALUE + 1);
    for (name, value, expected) in [
        ("eventId", "1", "a UUID"),
        ("payload.sessionId", "fe1941c2", "a UUID"),
        ("eventSequence", "two", "a whole number from 1"),
        ("eventSequence", "0", "a whole number from 1"),
        ("eventSequence", "-1", "a whole number from 1"),
        ("eventSequence", "1.5", "a whole number from 1"),
        ("eventSequence", "18446744073709551616", "a whole number from 1"),
        ("eventDeliverId", "", "a whole number from 1"),
        ("createdAt", "yesterday", "a time"),
        ("eventName", "completed", "resource.action"),
        ("eventName", ".completed", "resource.action"),
        ("eventName", "session.com pleted", "resource.action"),
        ("payload.sessionStatus", "DONE", "one of CREATED, RUNNING, COMPLETED, ABORTED, EXPIRED, ERROR"),
        ("payload.sessionStatus", "completed", "one of CREATED"),
        ("environment", "", "a text that is not empty"),
        ("payload.flowId", &long, "at most 1024 bytes"),
    ] {
        let error = set(EventKind::Created, &[(name, value)]).unwrap_err();
        assert!(error.starts_with(&format!("set: {name}: expected {expected}")), "{error}");
    }
    for (name, value) in [
        ("eventName", "document.renewed"),
        ("payload.sessionStatus", "RUNNING"),
        ("payload.flowId", "\"\u{e4}\n"),
    ] {
        set(EventKind::Created, &[(name, value)]).unwrap();
    }
}
