//! New events, and how they are recognised again.

use super::prelude::*;

pub(crate) async fn a_new_event_is_there_as_it_came(on: Stage) {
    let sample = SampleEvent::completed().with_event_id("a").with_session_id("s").with_sequence(7);
    let text = sample.data().to_string();
    assert_eq!(on.insert_event(of(&sample)).await, Insertion::New);
    let stored = on.get("a").await;
    assert_eq!(stored.id, "a");
    assert_eq!(stored.name.as_deref(), Some("session.completed"));
    assert_eq!(stored.session_id.as_deref(), Some("s"));
    assert_eq!(stored.sequence, 7);
    assert_eq!(stored.state, EventState::Waiting);
    assert_eq!(stored.runs, 0);
    assert_eq!(stored.received_at, on.now());
    assert_eq!(stored.due_at, Some(on.now()));
    assert_eq!(stored.finished_at, None);
    assert_eq!(stored.error, None);
    assert_eq!(stored.data, Some(text));
    assert_eq!(stored.evidence, None);
}

pub(crate) async fn a_duplicate_changes_nothing(on: Stage) {
    let first = SampleEvent::completed().with_event_id("a");
    assert_eq!(on.insert_event(of(&first)).await, Insertion::New);
    let before = on.get("a").await;
    on.advance(seconds(5));
    let second = SampleEvent::created().with_event_id("a").with_attempt(2);
    assert_eq!(on.insert_event(of(&second)).await, Insertion::Duplicate);
    assert_eq!(format!("{:?}", on.get("a").await), format!("{before:?}"));
    assert_eq!(on.claim_only("a").await.data, first.data().to_string());
}

pub(crate) async fn a_duplicate_whatever_became_of_the_first(on: Stage) {
    assert_eq!(on.insert("a").await, Insertion::New);
    let first = on.claim_only("a").await.lease;
    assert_eq!(on.insert("a").await, Insertion::Duplicate, "while it runs");
    on.retry(&first, 60).await;
    assert_eq!(on.insert("a").await, Insertion::Duplicate, "while it waits to run again");
    on.claim_nothing().await;
    on.advance(seconds(60));
    let second = on.claim_only("a").await.lease;
    on.advance(LEASE);
    assert_eq!(on.insert("a").await, Insertion::Duplicate, "after its lease ran out");
    assert_eq!(on.state("a").await, Some(EventState::Running));
    on.complete(&second).await;
    assert_eq!(on.insert("a").await, Insertion::Duplicate, "after completion");
    on.dead("b").await;
    assert_eq!(on.insert("b").await, Insertion::Duplicate, "after burial");
    assert_eq!(on.replay("b").await, Replay::Queued);
    assert_eq!(on.insert("b").await, Insertion::Duplicate, "after a replay");
    assert_eq!(ids(&on.claim(9).await), ["b"]);
}

pub(crate) async fn a_completed_event_is_known_for_long(on: Stage) {
    on.completed("a").await;
    on.advance(seconds(29 * 24 * 3600));
    assert_eq!(on.insert("a").await, Insertion::Duplicate);
    on.claim_nothing().await;
}

/// Whether it can be read is for the handlers to say.
pub(crate) async fn an_unreadable_event_waits_like_any_other(on: Stage) {
    let text = r#"{ "eventId":"a", "eventName":"session.created", "payload":[] }"#;
    let unreadable = NewEvent::from_json(text);
    assert_eq!(on.insert_event(unreadable.clone()).await, Insertion::New);
    assert_eq!(on.insert_event(unreadable).await, Insertion::Duplicate);
    let stored = on.get("a").await;
    assert_eq!((stored.state, stored.error), (EventState::Waiting, None));
    assert_eq!(stored.name.as_deref(), Some("session.created"));
    assert_eq!((stored.session_id, stored.sequence, stored.runs), (None, 0, 0));
    assert_eq!((stored.due_at, stored.finished_at), (Some(on.now()), None));
    assert_eq!(stored.data.as_deref(), Some(text));
    assert_eq!(on.claim_only("a").await.data, text);
}

pub(crate) async fn evidence_is_given_back(on: Stage) {
    let key = r#"{"kty":"RSA","kid":"one"}"#.to_owned();
    let with_key = Evidence::new("head.claims.signature", Some(key));
    let without_key = Evidence::new("x".repeat(90_000), None);
    for (id, evidence) in [("a", &with_key), ("b", &without_key)] {
        let mut event = event(id);
        event.evidence = Some(Arc::new(evidence.clone()));
        on.insert_event(event).await;
    }
    assert_eq!(on.get("a").await.evidence, Some(with_key.clone()));
    assert_eq!(on.get("b").await.evidence, Some(without_key));
    on.bury(&on.claim(1).await[0].lease).await;
    let dead = EventFilter { state: Some(EventState::Dead), limit: 9, ..EventFilter::default() };
    assert_eq!(on.store.list(&dead).await.unwrap()[0].evidence, Some(with_key));
}

pub(crate) async fn one_id_a_hundred_times_at_once(on: Stage) {
    let stores = [Arc::clone(&on.store), on.another().await];
    for round in ["a", "b", "c"] {
        let attempts = (0..100).map(|index| {
            let store = Arc::clone(&stores[index % 2]);
            async move { store.insert(event(round)).await.unwrap() }
        });
        let insertions = at_once(attempts).await;
        assert_eq!(insertions.iter().filter(|insertion| **insertion == Insertion::New).count(), 1);
        assert_eq!(on.claim_only(round).await.run, 1);
    }
    assert_eq!(on.all().await, ["c", "b", "a"]);
}

pub(crate) async fn a_thousand_ids_at_once(on: Stage) {
    let stores = [Arc::clone(&on.store), on.another().await];
    let names: Vec<_> = (0..1000).map(|number| format!("event {number}")).collect();
    // Each twice, so that duplicates meet in one batch with the first of them.
    let attempts = names.iter().chain(&names).enumerate().map(|(index, id)| {
        let (store, id) = (Arc::clone(&stores[index % 2]), id.clone());
        async move { (store.insert(event(&id)).await.unwrap(), id) }
    });
    let insertions = at_once(attempts).await;
    let new: BTreeSet<_> = insertions
        .iter()
        .filter(|(insertion, _)| *insertion == Insertion::New)
        .map(|(_, id)| id.clone())
        .collect();
    assert_eq!(insertions.iter().filter(|(insertion, _)| *insertion == Insertion::New).count(), 1000);
    assert_eq!(new, names.iter().cloned().collect());
    assert_eq!(on.all().await.into_iter().collect::<BTreeSet<_>>(), new);
    let events = on.store.list(&EventFilter { limit: 2000, ..EventFilter::default() }).await.unwrap();
    assert!(events.is_sorted_by(|a, b| a.position > b.position), "each has a position of its own");
}
