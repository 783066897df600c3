use super::*;

#[tokio::test]
async fn a_change_applies_to_the_next_attempt() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://old.example/").await;
    bench.sessions(1).await;
    let due = bench.take_one(endpoint).await;
    bench
        .change(
            endpoint,
            EndpointChange { url: Some("https://new.example/".into()), ..EndpointChange::default() },
        )
        .await;
    bench.record(&due, Verdict::Retry).await;
    let due = bench.take_one(endpoint).await;
    bench.record(&due, Verdict::Delivered).await;
    let urls: Vec<_> = bench.attempts(1).await.into_iter().map(|attempt| attempt.url).collect();
    assert_eq!(urls, ["https://old.example/", "https://new.example/"]);
}

#[tokio::test]
async fn a_disabled_endpoint_gets_nothing_new_and_keeps_what_waits() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(1).await;
    bench.change(endpoint, EndpointChange { enabled: Some(false), ..EndpointChange::default() }).await;
    bench.sessions(1).await;
    assert!(bench.take(endpoint, 10).await.due.is_empty());
    assert_eq!(bench.counts(), [1, 0, 0, 0, 0]);
    bench.change(endpoint, EndpointChange { enabled: Some(true), ..EndpointChange::default() }).await;
    assert_eq!(bench.take(endpoint, 10).await.due.len(), 1);
}

#[tokio::test]
async fn with_its_endpoint_a_delivery_ends_and_its_history_stays() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    let other = bench.endpoint("https://b.example/").await;
    bench.sessions(4).await;
    let taken = bench.take(endpoint, 3).await;
    bench.record(&taken.due[0], Verdict::Delivered).await;
    bench.record(&taken.due[1], Verdict::Dead(DeadReason::ClientError)).await;
    assert_eq!(bench.counts(), [5, 1, 1, 1, 0]);
    bench.delete(endpoint).await;
    assert_eq!(bench.counts(), [4, 0, 1, 1, 2]);
    // What was under way ends in the history alone.
    let under_way = taken.due[2].delivery;
    bench.record(&taken.due[2], Verdict::Retry).await;
    let ended = bench.delivery(under_way).await;
    assert_eq!((ended.state, ended.next_attempt_at), (DeliveryState::EndpointDeleted, None));
    assert!(ended.finished_at.is_some());
    assert_eq!(ended.endpoint_id, endpoint);
    assert_eq!(bench.attempts(under_way).await[0].answer, Some(OK));
    assert_eq!(bench.counts(), [4, 0, 1, 1, 2]);
    let dead = taken.due[1].delivery;
    let refused = bench.database().write(Retrigger(dead)).await.unwrap_err().to_string();
    assert!(refused.contains("deleted"), "{refused}");
    assert!(matches!(bench.state.take_due(endpoint, 1).await, Err(Error::NotFound { .. })));
    let flow = bench.close().await;

    // A process that ended between the two transactions of a deletion.
    let bench = open(&path, Some(flow)).await;
    bench.database().write(DeleteEndpoint(other)).await.unwrap();
    assert_eq!(bench.counts(), [4, 0, 1, 1, 2]);
    let flow = bench.close().await;
    let bench = open(&path, Some(flow)).await;
    assert_eq!(bench.counts(), [0, 0, 1, 1, 6]);
}

#[tokio::test]
async fn nothing_is_left_of_the_headers_of_a_deleted_endpoint() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let mut new = NewEndpoint::new(bench.flow, "staging", "https://a.example/");
    // As many as fill several pages of the file.
    for number in 0..20 {
        let value = format!("hush-{number:02}-").repeat(100);
        new.headers.push(crate::model::Header { name: format!("X-{number}"), value });
    }
    let kept = NewEndpoint {
        headers: vec![crate::model::Header { name: "X-Kept".into(), value: "not-deleted".into() }],
        ..new.clone()
    };
    let endpoint = bench.database().write(CreateEndpoint(new)).await.unwrap().id;
    bench.database().write(CreateEndpoint(kept)).await.unwrap();
    bench.delete(endpoint).await;
    bench.close().await;
    // Closed, everything is in the file.
    let bytes = std::fs::read(&path).unwrap();
    let holds = |part: &str| bytes.windows(part.len()).any(|window| window == part.as_bytes());
    assert!(holds("not-deleted"), "it is the right file");
    let left: Vec<_> = (0..20).filter(|number| holds(&format!("hush-{number:02}-hush"))).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn dead_letters_of_an_endpoint_come_back_in_steps() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    let other = bench.endpoint("https://b.example/").await;
    bench.sessions(7).await;
    for endpoint in [endpoint, other] {
        for due in &bench.take(endpoint, 7).await.due {
            bench.record(due, Verdict::Dead(DeadReason::InvalidUrl)).await;
        }
    }
    assert_eq!(bench.counts(), [0, 0, 0, 14, 0]);
    // As if the clock had been set back since they died.
    let later = "UPDATE deliveries SET finished_at = finished_at + 3600000000";
    bench.database().write(crate::database::tests::Raw(later)).await.unwrap();
    let mut rest = None;
    for expected in [3, 3, 1, 0] {
        let some = RetriggerSome { endpoint, limit: 3, rest };
        let (count, left) = bench.database().write(some).await.unwrap();
        assert_eq!(count, expected);
        rest = Some(left);
        // What dies again is not brought back by the same call, or that might never end.
        for due in &bench.take(endpoint, 7).await.due {
            bench.record(due, Verdict::Dead(DeadReason::InvalidUrl)).await;
        }
    }
    assert_eq!(bench.counts(), [0, 0, 0, 14, 0]);
    for due in [1, 3, 5, 7, 9, 11, 13] {
        assert_eq!(bench.delivery(due).await.attempts, 2);
    }
}

#[tokio::test]
async fn lists_are_read_by_their_indexes() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    let other = bench.endpoint("https://b.example/").await;
    let sessions = bench.sessions(3).await;
    let list = async |filter: &DeliveryFilter| {
        let mut reader = bench.database().reader().await.unwrap();
        let found = rows::list(&mut reader, filter, i64::MAX, 100).await.unwrap();
        found.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>()
    };
    let all = DeliveryFilter::default();
    assert_eq!(list(&all).await, [6, 5, 4, 3, 2, 1]);
    assert_eq!(list(&DeliveryFilter { endpoint_id: Some(other), ..all.clone() }).await, [6, 4, 2]);
    let of_session = DeliveryFilter { session_id: Some(sessions[1].id), ..all.clone() };
    assert_eq!(list(&of_session).await, [4, 3]);
    let event = bench.delivery(5).await.event_id;
    let of_event = DeliveryFilter { event_id: Some(event), ..all.clone() };
    assert_eq!(list(&of_event).await, [6, 5]);
    assert!(list(&DeliveryFilter { event_id: Some(event), ..of_session.clone() }).await.is_empty());
    assert_eq!(list(&DeliveryFilter { endpoint_id: Some(endpoint), ..of_event }).await, [5]);
    for nothing in [
        DeliveryFilter { session_id: Some(Uuid::new_v4()), ..all.clone() },
        DeliveryFilter { event_id: Some(Uuid::new_v4()), ..all.clone() },
        DeliveryFilter { endpoint_id: Some(Uuid::new_v4()), ..all.clone() },
    ] {
        assert!(list(&nothing).await.is_empty(), "{nothing:?}");
    }
    let taken = bench.take(endpoint, 2).await;
    bench.record(&taken.due[0], Verdict::Dead(DeadReason::ClientError)).await;
    let in_state = |state| DeliveryFilter { state: Some(state), ..all.clone() };
    assert_eq!(list(&in_state(DeliveryState::Dead)).await, [1]);
    assert_eq!(list(&in_state(DeliveryState::Sending)).await, [3]);
    assert_eq!(list(&in_state(DeliveryState::Waiting)).await, [6, 5, 4, 2]);
    assert!(list(&in_state(DeliveryState::Delivered)).await.is_empty());
}

#[tokio::test]
async fn the_key_that_signs_is_the_one_that_is_noted() {
    let (_folder, path) = file();
    let bench = open(&path, None).await;
    let endpoint = bench.endpoint("https://a.example/").await;
    bench.sessions(1).await;
    let first = bench.take(endpoint, 1).await;
    let (kid, pkcs8) = key();
    bench.database().write(Activate { kid: kid.clone(), pkcs8 }).await.unwrap();
    bench.record(&first.due[0], Verdict::Retry).await;
    let due = bench.take_one(endpoint).await;
    bench.record(&due, Verdict::Delivered).await;
    let keys: Vec<_> = bench.attempts(1).await.into_iter().map(|attempt| attempt.key_id).collect();
    assert_eq!(keys, [first.key.id.clone(), kid]);
    assert_eq!(first.key.header(), json!({ "alg": "RS256", "kid": first.key.id, "typ": "JWT" }));
}

#[tokio::test]
async fn an_id_that_tells_a_row_but_is_not_its_id_finds_nothing() {
    use crate::database::ids::{id_of, row_of};
    use crate::database::sessions::{self, Drive};
    use crate::model::Step;

    let (_folder, path) = file();
    let bench = open(&path, None).await;
    bench.endpoint("https://a.example/").await;
    let session = bench.sessions(1).await.remove(0);
    let event = bench.delivery(1).await.event_id;
    let forged = id_of(row_of(session.id));
    let driven = bench.database().write(Drive { session: forged, step: Step::Start }).await;
    assert!(matches!(driven, Err(Error::NotFound { what: "session", .. })), "{driven:?}");
    let mut reader = bench.database().reader().await.unwrap();
    assert!(sessions::by_id(&mut reader, forged).await.unwrap().is_none());
    assert!(sessions::by_id(&mut reader, session.id).await.unwrap().is_some());
    let forged_event = id_of(row_of(event));
    assert!(crate::database::events::by_id(&mut reader, forged_event).await.unwrap().is_none());
    for filter in [
        DeliveryFilter { session_id: Some(forged), ..DeliveryFilter::default() },
        DeliveryFilter { event_id: Some(forged_event), ..DeliveryFilter::default() },
        DeliveryFilter {
            session_id: Some(session.id),
            event_id: Some(forged_event),
            ..DeliveryFilter::default()
        },
    ] {
        assert!(rows::list(&mut reader, &filter, i64::MAX, 10).await.unwrap().is_empty(), "{filter:?}");
    }
}
