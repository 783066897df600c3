//! `data`: genuine tokens whose event cannot be read are genuine all the same.

use serde_json::{Value, json};

use crate::{claims, claims_with, claims_without, header_with, signed, signed_claims, verify};

#[test]
fn strange_data_is_unreadable_and_not_forged() {
    for value in [
        Value::Null,
        json!([]),
        json!([1, 2]),
        json!(["not-an-id"]),
        json!("text"),
        json!(""),
        json!(7),
        json!(1.5),
        json!(true),
        json!({}),
        json!({ "eventId": "only-the-id" }),
        json!([claims()["data"]]),
        json!(claims()["data"].to_string()),
    ] {
        let verified = verify(signed_claims(&claims_with(&json!({ "data": value })))).unwrap();
        assert_eq!(serde_json::from_str::<Value>(verified.json()).unwrap(), value);
        let unreadable = verified.event().unwrap_err();
        assert_eq!(unreadable.json(), verified.json());
        assert_eq!(unreadable.event_id.as_deref(), value["eventId"].as_str());
    }
    let missing = verify(signed_claims(&claims_without("data"))).unwrap();
    assert_eq!(missing.json(), "null");
    assert!(missing.event().is_err());
}

#[test]
fn each_member_that_handlers_need_is_required_and_its_absence_named() {
    let needed = ["eventId", "eventName", "eventSequence", "environment", "payload"];
    let optional = ["eventVersion", "eventDeliverId", "createdAt"];
    for name in needed.into_iter().chain(optional) {
        for value in [None, Some(Value::Null), Some(json!([])), Some(json!({ "a": 1 })), Some(json!(true))] {
            if name == "payload" && value.is_some() {
                continue; // read only together with the type that is wanted
            }
            let mut claims = claims();
            let data = claims["data"].as_object_mut().unwrap();
            match value {
                Some(value) => data.insert(name.into(), value),
                None => data.remove(name),
            };
            let removed = !data.contains_key(name);
            let event = verify(signed_claims(&claims)).unwrap().into_event();
            if optional.contains(&name) {
                event.unwrap();
                continue;
            }
            let unreadable = event.unwrap_err();
            let reason = unreadable.reason();
            assert!(!removed || reason.contains(name), "{name}: {reason}");
            assert_eq!(unreadable.event_id.is_some(), name != "eventId", "{name}");
            assert_eq!(unreadable.event_name.is_some(), name != "eventName", "{name}");
        }
    }
}

#[test]
fn an_event_id_has_bounds() {
    for (id, readable) in [
        (json!("i".repeat(256)), true),
        (json!("i".repeat(257)), false),
        (json!(""), false),
        (json!(7), true),
        (json!("i".repeat(60_000)), false),
        // A database may not hold it, or a log may be forged with it.
        (json!("a\0b"), false),
        (json!("a\nb"), false),
        (json!("a\u{7f}b"), false),
        (json!("a\u{85}b"), false),
        (json!("a \"ü\""), true),
    ] {
        let mut claims = claims();
        claims["data"]["eventId"] = id.clone();
        match verify(signed_claims(&claims)).unwrap().event() {
            Ok(event) => assert!(readable && !event.id.is_empty(), "{id}"),
            Err(unreadable) => assert!(!readable && unreadable.event_id.is_none(), "{id}"),
        }
    }
}

/// Whoever keeps the text for a proof needs the very bytes that were signed.
#[test]
fn the_text_is_kept_to_the_letter() {
    let data = "{ \"eventId\" :\t\"\\u0061\\/b\",\n\"eventName\":\"x.y\" ,\"eventVersion\":1.0,\"eventSequence\":1,
        \"eventDeliverId\":\"1\",\"createdAt\":\"2026-01-08T08:35:37Z\",\"environment\":\"live\",\"payload\":{ \"a\" : 1e2 } }";
    let mut wrapped = claims();
    wrapped["data"] = json!(0);
    let text = wrapped.to_string().replace("\"data\":0", &format!("\"data\":{data}"));
    let verified = verify(signed(&header_with(&json!({})).to_string(), &text)).unwrap();
    assert_eq!(verified.json(), data);
    let event = verified.event().unwrap();
    assert_eq!(event.json(), data);
    assert_eq!(event.id, "a/b");
    assert_eq!(event.payload.get(), "{ \"a\" : 1e2 }");
}

/// The reason stands in one line of a log, whatever the text holds.
#[test]
fn reasons_are_one_short_line() {
    for strange in ["a\nforged line", "\u{1b}[31m", "x\r\ny", "\u{2028}", &"long ".repeat(5000)] {
        for member in
            ["payload/sessionId", "payload/flowId", "createdAt", "eventSequence", "environment", "eventName"]
        {
            for value in [json!(strange), json!([strange]), json!({ strange: strange })] {
                let mut claims = claims();
                *claims["data"].pointer_mut(&format!("/{member}")).unwrap() = value;
                let read = verify(signed_claims(&claims)).unwrap().event().and_then(|event| event.session());
                if let Err(unreadable) = read {
                    let text = unreadable.to_string();
                    assert!(!text.chars().any(char::is_control), "{text:?}");
                    assert!(text.len() < 1000, "{} bytes for {member}", text.len());
                }
            }
        }
    }
}
