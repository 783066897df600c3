//! What operators see.

use super::prelude::*;

fn all() -> EventFilter {
    EventFilter { limit: 100, ..EventFilter::default() }
}

/// One event of each state, and one of inline mode.
async fn one_of_each(on: &Stage) {
    on.completed("completed").await;
    on.dead("dead").await;
    on.insert("running").await;
    on.claim_only("running").await;
    on.begin_lease("begun").await;
    on.insert("waiting").await;
}

pub(crate) async fn the_latest_first(on: Stage) {
    assert_eq!(on.all().await, [""; 0]);
    one_of_each(&on).await;
    assert_eq!(on.all().await, ["waiting", "begun", "running", "dead", "completed"]);
    on.replay("dead").await;
    assert_eq!(on.all().await, ["waiting", "begun", "running", "dead", "completed"], "it keeps its place");
}

pub(crate) async fn by_state(on: Stage) {
    one_of_each(&on).await;
    for (state, expected) in [
        (EventState::Waiting, &["waiting"][..]),
        (EventState::Running, &["begun", "running"]),
        (EventState::Completed, &["completed"]),
        (EventState::Dead, &["dead"]),
    ] {
        assert_eq!(on.list(&EventFilter { state: Some(state), ..all() }).await, expected);
    }
}

pub(crate) async fn by_name_and_session(on: Stage) {
    for (id, name, session) in [("a", "n", "s"), ("b", "m", "s"), ("c", "n", "t"), ("d", "n", "s")] {
        let sample = SampleEvent::named(name).with_event_id(id).with_session_id(session);
        on.insert_event(of(&sample)).await;
    }
    on.insert_event(without_session("e")).await;
    let by = |name: Option<&str>, session: Option<&str>| EventFilter {
        name: name.map(str::to_owned),
        session_id: session.map(str::to_owned),
        ..all()
    };
    assert_eq!(on.list(&by(Some("n"), None)).await, ["d", "c", "a"]);
    assert_eq!(on.list(&by(None, Some("s"))).await, ["d", "b", "a"]);
    assert_eq!(on.list(&by(Some("n"), Some("s"))).await, ["d", "a"]);
    assert_eq!(on.list(&by(Some("n"), Some("u"))).await, [""; 0]);
    for no_pattern in ["%", "N", "n%", "_", "*", "session.%"] {
        assert_eq!(on.list(&by(Some(no_pattern), None)).await, [""; 0]);
        assert_eq!(on.list(&by(None, Some(no_pattern))).await, [""; 0]);
    }
    let all_at_once = EventFilter { state: Some(EventState::Waiting), limit: 1, ..by(Some("n"), Some("s")) };
    assert_eq!(on.list(&all_at_once).await, ["d"]);
}

pub(crate) async fn page_by_page(on: Stage) {
    let names: Vec<_> = (0..25).map(|number| format!("event {number}")).collect();
    for id in &names {
        on.insert(id).await;
    }
    let mut seen = Vec::new();
    let mut page = EventFilter { limit: 4, ..EventFilter::default() };
    loop {
        let events = on.store.list(&page).await.unwrap();
        assert!(events.len() <= 4);
        let Some(last) = events.last() else { break };
        page.before = Some(last.position);
        seen.extend(events.into_iter().map(|event| event.id));
        // What arrives meanwhile does not shift the pages.
        on.insert(&format!("new {}", seen.len())).await;
    }
    seen.reverse();
    assert_eq!(seen, names);
}

/// A page of a filtered list is as full as can be.
pub(crate) async fn pages_of_what_fits(on: Stage) {
    for number in 0..30 {
        let session = if number % 3 == 0 { "s" } else { "t" };
        on.insert_event(in_session(&format!("event {number}"), session, number)).await;
    }
    let of_session = EventFilter { session_id: Some("s".into()), limit: 4, ..EventFilter::default() };
    let first = on.store.list(&of_session).await.unwrap();
    let names: Vec<_> = first.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(names, ["event 27", "event 24", "event 21", "event 18"]);
    let second = EventFilter { before: Some(first[3].position), ..of_session };
    assert_eq!(on.list(&second).await, ["event 15", "event 12", "event 9", "event 6"]);
}

pub(crate) async fn what_is_unknown(on: Stage) {
    assert!(on.store.get("a").await.unwrap().is_none());
    on.insert("a").await;
    assert!(on.store.get("b").await.unwrap().is_none());
}

pub(crate) async fn how_much_is_to_be_done(on: Stage) {
    assert_eq!(on.store.backlog().await.unwrap(), Backlog::default());
    assert_eq!(on.store.completed().await.unwrap(), 0);
    one_of_each(&on).await;
    on.at(10);
    on.insert("later").await;
    on.at(15);
    let backlog = Backlog { waiting: 2, running: 2, dead: 1, parked: 0, oldest_waiting: Some(seconds(15)) };
    assert_eq!(on.store.backlog().await.unwrap(), backlog);
    assert_eq!(on.store.completed().await.unwrap(), 1);
    on.complete(&on.claim(1).await[0].lease).await;
    on.at(16);
    let backlog = Backlog { waiting: 1, running: 2, dead: 1, parked: 0, oldest_waiting: Some(seconds(6)) };
    assert_eq!(on.store.backlog().await.unwrap(), backlog);
    assert_eq!(on.store.completed().await.unwrap(), 2);
}

/// By its arrival, and not by when it is due.
pub(crate) async fn the_age_of_what_waits_to_run_again(on: Stage) {
    on.insert("a").await;
    on.at(5);
    on.retry(&on.claim_only("a").await.lease, 600).await;
    on.at(20);
    on.insert("b").await;
    let backlog = on.store.backlog().await.unwrap();
    assert_eq!((backlog.waiting, backlog.oldest_waiting), (2, Some(seconds(20))));
    assert_eq!(on.replay("a").await, Replay::Queued);
    assert_eq!(on.store.backlog().await.unwrap().oldest_waiting, Some(seconds(20)));
}

pub(crate) async fn by_session_wherever_they_stand(on: Stage) {
    on.insert_session("s", [1, 2, 3]).await;
    on.complete(&on.claim_only("s1").await.lease).await;
    on.bury(&on.claim_only("s2").await.lease).await;
    on.claim_only("s3").await;
    on.insert_session("s", [4]).await;
    on.claim_nothing().await;
    on.insert_session("s", [5]).await;
    let filter = EventFilter { session_id: Some("s".to_owned()), limit: 9, ..EventFilter::default() };
    assert_eq!(on.list(&filter).await, ["s5", "s4", "s3", "s2", "s1"]);
    let filter = EventFilter { state: Some(EventState::Waiting), ..filter };
    assert_eq!(on.list(&filter).await, ["s5", "s4"]);
}
