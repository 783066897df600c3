//! What a stranger could put into an event, if he could sign: no text may be lost, changed or mistaken.

use super::prelude::*;

/// All are different ids, however alike they look.
pub(super) fn strange_ids() -> Vec<String> {
    let mut ids: Vec<String> = [
        "61a51c5b-480d-4f47-8334-34b0ba7ae0be",
        "61A51C5B-480D-4F47-8334-34B0BA7AE0BE",
        "61a51c5b-480d-4f47-8334-34b0ba7ae0bE",
        "61a51c5b480d4f47833434b0ba7ae0be",
        "{61a51c5b-480d-4f47-8334-34b0ba7ae0be}",
        "urn:uuid:61a51c5b-480d-4f47-8334-34b0ba7ae0be",
        " 61a51c5b-480d-4f47-8334-34b0ba7ae0be",
        "61a51c5b-480d-4f47-8334-34b0ba7ae0be ",
        "61a51c5b-480d4-f47-8334-34b0ba7ae0be",
        "61a51c5b-480d-4f47-8334-34b0ba7ae0b",
        "61a51c5b-480d-4f47-8334-34b0ba7ae0bg",
        "+1a51c5b-480d-4f47-8334-34b0ba7ae0be",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        // The bytes of the one are the text of the other.
        "61616161-6161-6161-6161-616161616161",
        "aaaaaaaaaaaaaaaa",
        "a",
        "A",
        " a",
        "a ",
        " ",
        "0",
        "00",
        "0.0",
        "-1",
        "1",
        "1.0",
        "1e0",
        "9223372036854775808",
        "NULL",
        "%",
        "_",
        "*",
        "?",
        "$1",
        "'",
        "\"",
        "\\",
        "\\x61",
        "x'61'",
        "a'); DROP TABLE idnow_webhooks_events; --",
        "é",
        "e\u{301}",
        "ﬁ",
        "fi",
        "ß",
        "ss",
        "ı",
        "i",
        "I",
        "\u{feff}a",
        "\u{200b}a",
        "\u{202e}a",
        "\u{10ffff}",
        "\u{fffd}",
        "日本",
    ]
    .map(str::to_owned)
    .into();
    ids.extend(["x".repeat(256), "y".repeat(255), format!("{}é", "x".repeat(254)), "𝒳".repeat(64)]);
    ids
}

pub(crate) async fn ids_are_taken_to_the_letter(on: Stage) {
    let names = strange_ids();
    for id in &names {
        assert_eq!(on.insert(id).await, Insertion::New, "{id:?}");
    }
    for id in &names {
        assert_eq!(on.insert(id).await, Insertion::Duplicate, "{id:?}");
        assert_eq!(on.get(id).await.id, *id);
    }
    let claimed = on.claim(1000).await;
    assert_eq!(ids(&claimed), names);
    for event in &claimed[1..] {
        on.complete(&event.lease).await;
    }
    assert_eq!(
        on.list(&EventFilter { state: Some(EventState::Running), limit: 9, ..EventFilter::default() }).await,
        [names[0].clone()]
    );
    on.bury(&claimed[0].lease).await;
    assert_eq!(on.replay(&names[1]).await, Replay::Refused(EventState::Completed));
    assert_eq!(on.replay(&names[0]).await, Replay::Queued);
}

pub(crate) async fn ids_are_taken_to_the_letter_inline(on: Stage) {
    let mut leases = Vec::new();
    for id in &strange_ids() {
        leases.push(on.begin_lease(id).await);
        assert_eq!(on.begin(id).await, Beginning::Running, "{id:?}");
    }
    for lease in &leases {
        on.complete(lease).await;
        assert_eq!(on.begin(&lease.event_id).await, Beginning::Completed);
    }
}

pub(crate) async fn sessions_are_taken_to_the_letter(on: Stage) {
    let sessions = strange_ids();
    for (number, session) in sessions.iter().enumerate() {
        let id = format!("event {number}");
        assert_eq!(on.insert_event(in_session(&id, session, 1)).await, Insertion::New);
        assert_eq!(on.get(&id).await.session_id.as_ref(), Some(session));
    }
    let claimed = on.claim(1000).await;
    assert_eq!(claimed.len(), sessions.len(), "none waits for one of another session");
    for (number, session) in sessions.iter().enumerate() {
        let of_session =
            EventFilter { session_id: Some(session.clone()), limit: 1000, ..EventFilter::default() };
        assert_eq!(on.list(&of_session).await, [format!("event {number}")]);
    }
}

pub(crate) async fn names_with_control_characters_are_told_in_one_line(on: Stage) {
    let names = ["a\u{0}b", "a\nb", "\u{1b}[2J", "'; --", "", "é%_", "\u{202e}"];
    for (number, name) in names.iter().enumerate() {
        let sample = SampleEvent::named(name).with_event_id(format!("event {number}"));
        let event = of(&sample);
        let told = event.name().unwrap();
        assert_eq!(on.insert_event(event).await, Insertion::New);
        let stored = on.get(&format!("event {number}")).await;
        assert_eq!(stored.name.as_ref(), Some(&told));
        assert_eq!(stored.data, Some(sample.data().to_string()));
        assert_eq!(
            on.list(&EventFilter { name: Some(told), limit: 9, ..EventFilter::default() }).await,
            [stored.id]
        );
    }
    assert_eq!(on.claim(100).await.len(), names.len());
}

/// A session id that no store could hold makes no session.
pub(crate) async fn session_ids_that_cannot_be_used_make_no_session(on: Stage) {
    for (number, session) in ["", "a\u{0}b", "a\nb", &"x".repeat(257)].iter().enumerate() {
        for half in ["a", "b"] {
            let id = format!("event {number}{half}");
            assert_eq!(on.insert_event(in_session(&id, session, 1)).await, Insertion::New);
            assert_eq!(on.get(&id).await.session_id, None);
        }
    }
    assert_eq!(on.claim(100).await.len(), 8);
}

pub(crate) async fn data_comes_back_byte_for_byte(on: Stage) {
    let texts = [
        "{\"eventId\" : \"ID\",\t\"eventName\":\"n\",\r\n \"eventSequence\":\"01\",\"environment\":\"\\u0000\",\
         \"payload\":{\"sessionId\":\"s\\u0031\",\"z\":1,\"a\":2,\"n\":1.0e0,\"slash\":\"\\/\",\"e\":\"\\u00e9é\"}} ",
        "{\"eventId\":\"ID\",\"eventName\":\"\\u0000\",\"eventSequence\":1,\"environment\":\"x\",\"payload\":\
         {\"big\":123456789012345678901234567890.5,\"neg\":-0,\"deep\":[[[[{}]]]],\"lone\":\"\\ud834\\udd1e\"}}",
        "{\"eventId\":\"ID\",\"eventName\":\"$1 ? %s {}\",\"eventSequence\":1,\"environment\":\"''\",\
         \"payload\":{\"\u{10ffff}\":\"\u{feff}\u{202e}\u{7f}\"}}",
        // Unreadable, but with an id.
        "  {\"eventId\":\"ID\" , \"other\":\"\\u0000\"}\n",
    ];
    for (number, text) in texts.iter().enumerate() {
        let id = format!("event {number}");
        let text = text.replace("ID", &id);
        let event = NewEvent::from_json(&text);
        assert_eq!(on.insert_event(event).await, Insertion::New);
        assert_eq!(on.get(&id).await.data.as_ref(), Some(&text));
        assert_eq!(on.claim_only(&id).await.data, text);
    }
}

pub(crate) async fn large_data_comes_back_whole(on: Stage) {
    for size in [4 * 1024, 64 * 1024, 1024 * 1024] {
        let id = format!("event {size}");
        let sample = SampleEvent::created().with_event_id(&id).set("payload.more", "é".repeat(size / 2));
        assert_eq!(on.insert_event(of(&sample)).await, Insertion::New);
        let text = sample.data().to_string();
        assert!(on.claim_only(&id).await.data == text, "{size} bytes");
    }
}

pub(crate) async fn errors_come_back_as_they_were(on: Stage) {
    let errors = [String::new(), "it's \"bad\" \\u0000 é \u{10ffff} $1 ?".to_owned(), "é".repeat(4000)];
    on.insert("a").await;
    for error in &errors {
        let lease = on.claim_only("a").await.lease;
        on.store.retry(&lease, Duration::ZERO, error).await.unwrap();
        assert_eq!(on.get("a").await.error.as_ref(), Some(error));
        let lease = on.claim_only("a").await.lease;
        on.store.bury(&lease, error).await.unwrap();
        assert_eq!(on.get("a").await.error.as_ref(), Some(error));
        on.replay("a").await;
    }
}

/// An operator can ask for anything; what cannot be there is not there.
pub(crate) async fn questions_that_no_event_fits(on: Stage) {
    on.insert("a").await;
    for nothing in ["", "\0", "a\0", "b", "A", "a ", &"x".repeat(100_000)] {
        assert!(on.store.get(nothing).await.unwrap().is_none(), "{nothing:?}");
        assert_eq!(on.replay(nothing).await, Replay::Unknown, "{nothing:?}");
        let name = EventFilter { name: Some(nothing.to_owned()), limit: 9, ..EventFilter::default() };
        assert_eq!(on.list(&name).await, [""; 0], "{nothing:?}");
        let session =
            EventFilter { session_id: Some(nothing.to_owned()), limit: 9, ..EventFilter::default() };
        assert_eq!(on.list(&session).await, [""; 0], "{nothing:?}");
        on.assert_lost(&Lease::new(nothing, 1)).await;
    }
}
