//! Deliveries that are accepted, in every form that the provider may choose.

use super::prelude::*;

pub(crate) async fn a_token_in_the_body(on: Target) {
    let stage = Stage::new(on);
    let event = SampleEvent::completed();
    assert_eq!(stage.deliver(&event).await, Answer::accepted());
    assert_eq!(stage.calls.ids(), [event.event_id()]);
}

pub(crate) async fn the_published_example(on: Target) {
    let stage = Stage::new(on);
    let event = SampleEvent::published();
    assert_eq!(stage.deliver(&event).await, Answer::accepted());
    assert_eq!(stage.calls.ids(), [event.event_id()]);
}

pub(crate) async fn a_duplicate_without_a_second_call(on: Target) {
    let stage = Stage::new(on);
    let event = SampleEvent::completed();
    for attempt in 1..=3 {
        let again = event.clone().with_attempt(attempt);
        assert_eq!(stage.deliver(&again).await, Answer::accepted());
    }
    assert_eq!(stage.calls.ids(), [event.event_id()]);
}

/// The provider's pages name no media type, and HTTP libraries set one of their own.
pub(crate) async fn any_media_type_or_none(on: Target) {
    let stage = Stage::new(on);
    let types = [
        "application/jwt",
        "application/jwt; charset=utf-8",
        "Application/JWT",
        "application/json",
        "application/jose",
        "application/octet-stream",
        "application/secevent+jwt",
        "application/x-www-form-urlencoded",
        "text/plain; charset=utf-8",
        "multipart/form-data",
        "\u{e9}",
        "",
    ];
    for media_type in types.map(Some).into_iter().chain([None]) {
        let mut request = stage.delivery(&SampleEvent::completed());
        request.headers_mut().remove(CONTENT_TYPE);
        if let Some(media_type) = media_type {
            set(&mut request, "content-type", media_type);
        }
        assert_eq!(stage.send(request).await, Answer::accepted(), "{media_type:?}");
    }
    let mut twice = stage.delivery(&SampleEvent::completed());
    add(&mut twice, "content-type", "text/plain");
    assert_eq!(stage.send(twice).await, Answer::accepted());
    assert_eq!(stage.calls.count(), 14);
}

/// White space, and the quotation marks of a JSON string.
pub(crate) async fn a_token_with_something_around_it(on: Target) {
    let stage = Stage::new(on);
    let token = |event: &SampleEvent| stage.provider.token(event);
    for (before, after) in
        [("", "\n"), ("", "\r\n"), (" \t", ""), ("\"", "\""), ("\n \"", "\" \r\n"), ("\"", "\\n\"")]
    {
        let body = format!("{before}{}{after}", token(&SampleEvent::completed()));
        assert_eq!(stage.send(delivery(body)).await, Answer::accepted(), "{before:?} {after:?}");
    }
    assert_eq!(stage.calls.count(), 6);
}

/// Then the header plays no part.
pub(crate) async fn a_token_in_the_body_beside_any_header(on: Target) {
    let stage = Stage::new(on);
    let other = stage.provider.token(&SampleEvent::aborted());
    for header in ["a.b", "", &other] {
        let mut request = stage.delivery(&SampleEvent::completed());
        set(&mut request, "x-idnow-signature", header);
        add(&mut request, "x-idnow-signature", "another");
        assert_eq!(stage.send(request).await, Answer::accepted());
    }
    assert_eq!(stage.calls.count(), 3);
}

pub(crate) async fn an_encoding_that_is_none(on: Target) {
    let stage = Stage::new(on);
    for encoding in ["identity", "", "identity, "] {
        let mut request = stage.delivery(&SampleEvent::completed());
        set(&mut request, "content-encoding", encoding);
        assert_eq!(stage.send(request).await, Answer::accepted(), "{encoding:?}");
    }
}

pub(crate) async fn a_query_after_the_path(on: Target) {
    let stage = Stage::new(on);
    let mut request = stage.delivery(&SampleEvent::completed());
    *request.uri_mut() = format!("{PATH}?tenant=7").parse().unwrap();
    assert_eq!(stage.send(request).await, Answer::accepted());
    assert_eq!(stage.calls.count(), 1);
}

/// The JSON beside the token is not signed, so another event in it must not matter.
pub(crate) async fn a_token_in_the_header_and_the_loose_body_ignored(on: Target) {
    let stage = Stage::new(on);
    let signed = SampleEvent::completed();
    let loose = SampleEvent::aborted();
    let request = by_header("x-idnow-signature", &stage.provider.token(&signed), loose.data().to_string());
    assert_eq!(stage.send(request).await, Answer::accepted());
    assert_eq!(stage.calls.ids(), [signed.event_id()]);
}

pub(crate) async fn a_token_in_the_header_without_a_body(on: Target) {
    let stage = Stage::new(on);
    let event = SampleEvent::completed();
    let mut request = request("POST", PATH);
    set(&mut request, "x-idnow-signature", &stage.provider.token(&event));
    assert_eq!(stage.send(request).await, Answer::accepted());
    assert_eq!(stage.calls.ids(), [event.event_id()]);
}

pub(crate) async fn a_token_in_a_header_of_another_name(on: Target) {
    let stage = Stage::with(on, |receiver, _| {
        receiver.token_header(http::HeaderName::from_static("x-bank-signature"))
    });
    let event = SampleEvent::completed();
    let token = stage.provider.token(&event);
    let usual = by_header("x-idnow-signature", &token, "{}");
    assert_eq!(stage.send(usual).await, Answer::refused(400, "malformed_token"));
    assert_eq!(stage.calls.count(), 0);
    assert_eq!(stage.send(by_header("X-Bank-Signature", &token, "{}")).await, Answer::accepted());
    assert_eq!(stage.calls.ids(), [event.event_id()]);
}

pub(crate) async fn an_event_that_nobody_knows(on: Target) {
    let stage = Stage::new(on);
    let event = SampleEvent::named("session.teleported");
    assert_eq!(stage.deliver(&event).await, Answer::accepted());
    assert_eq!(stage.calls.ids(), [event.event_id()]);
}

pub(crate) async fn an_unreadable_event_with_a_handler_for_it(on: Target) {
    let stage = Stage::with(on, |receiver, calls| {
        let calls = calls.clone();
        receiver.handlers(EventRouter::new().on_unreadable(move |event| {
            calls.note(event.event_id.unwrap_or_default());
            async { Ok(()) }
        }))
    });
    let event = SampleEvent::completed().remove("eventName");
    assert_eq!(stage.deliver(&event).await, Answer::accepted());
    assert_eq!(stage.calls.ids(), [event.event_id()]);
}

pub(crate) async fn queued_events_and_their_duplicates(on: Target) {
    let stage =
        Stage::with(on, |receiver, _| receiver.handlers(EventRouter::new()).queued(MemoryStore::new()));
    let event = SampleEvent::completed();
    assert_eq!(stage.deliver(&event).await, Answer::accepted());
    assert_eq!(stage.deliver(&event).await, Answer::accepted());
}
