use std::collections::{BTreeMap, HashSet};

use idnow_webhooks_sandbox::Error;
use idnow_webhooks_sandbox::live::Change;
use idnow_webhooks_sandbox::model::{
    DeliveryFilter, EventKind, NewEndpoint, NewSession, Outcome, PageRequest, Scenario, ScenarioKind,
    SessionFilter, SessionStatus, Step,
};
use uuid::Uuid;

use super::{NOBODY, endpoint, field, flow, session, start};

const COMPLETE: Step = Step::Complete { outcome: Outcome::Accepted };

#[tokio::test]
async fn a_session_runs_and_each_end_has_its_event() {
    let sandbox = start().await;
    let flow = flow(&sandbox).await;
    for (step, status, kind, last) in [
        (COMPLETE, SessionStatus::Completed, EventKind::Completed, "END-ACCEPT"),
        (
            Step::Complete { outcome: Outcome::Rejected },
            SessionStatus::Completed,
            EventKind::Completed,
            "END-REJECT",
        ),
        (Step::Expire, SessionStatus::Expired, EventKind::Expired, "START"),
        (Step::Abort, SessionStatus::Aborted, EventKind::Aborted, "START"),
        (Step::Error, SessionStatus::Error, EventKind::Error, "START"),
    ] {
        let created = session(&sandbox, flow.id).await;
        assert_eq!((created.status, created.events, created.started_at), (SessionStatus::Created, 1, None));
        let running = sandbox.drive(created.id, Step::Start).await.unwrap();
        assert_eq!(
            (running.status, running.events),
            (SessionStatus::Running, 1),
            "there is no event for the beginning"
        );
        let ended = sandbox.drive(created.id, step).await.unwrap();
        assert_eq!((ended.status, ended.events), (status, 2));
        assert!(ended.completed_at.is_some());
        assert_eq!(sandbox.session(created.id).await.unwrap(), ended);
        let events = sandbox.events(Some(created.id), PageRequest::default()).await.unwrap();
        assert_eq!(events.next, None);
        let [second, first] = &events.items[..] else { panic!("{events:?}") };
        assert_eq!(
            (first.name, first.sequence, first.session_status),
            (EventKind::Created, 1, SessionStatus::Created)
        );
        assert_eq!(first.last_step, None);
        assert_eq!((second.name, second.sequence, second.session_status), (kind, 2, status));
        assert_eq!(second.last_step.as_ref().map(|step| step.id.as_str()), Some(last));
        assert_eq!((second.session_id, second.flow_id), (created.id, flow.id));
        assert_eq!(sandbox.event(second.id).await.unwrap(), *second);
        let again = sandbox.drive(created.id, Step::Abort).await.unwrap_err();
        assert!(matches!(&again, Error::Conflict { reason } if reason.contains("has ended")), "{again:?}");
        assert_eq!(sandbox.session(created.id).await.unwrap(), ended, "what was refused changes nothing");
    }
}

#[tokio::test]
async fn unknown_ids_find_nothing() {
    let sandbox = start().await;
    let flow = flow(&sandbox).await;
    let known = session(&sandbox, flow.id).await.id;
    // Only the random part differs.
    let similar = Uuid::from_u128(known.as_u128() ^ 1);
    for id in [Uuid::nil(), Uuid::max(), Uuid::new_v4(), similar] {
        assert!(matches!(sandbox.session(id).await, Err(Error::NotFound { what: "session", .. })));
        assert!(matches!(sandbox.drive(id, Step::Start).await, Err(Error::NotFound { what: "session", .. })));
        assert!(matches!(sandbox.event(id).await, Err(Error::NotFound { what: "event", .. })));
        let events = sandbox.events(Some(id), PageRequest::default()).await;
        assert!(matches!(events, Err(Error::NotFound { what: "session", .. })));
    }
    for id in [0, -1, 1, i64::MAX] {
        assert!(matches!(sandbox.delivery(id).await, Err(Error::NotFound { what: "delivery", .. })));
        assert!(matches!(
            sandbox.attempts(id, PageRequest::default()).await,
            Err(Error::NotFound { what: "delivery", .. })
        ));
        assert!(matches!(sandbox.claims(id, 1).await, Err(Error::NotFound { what: "delivery", .. })));
        assert!(matches!(sandbox.retrigger(id).await, Err(Error::NotFound { what: "delivery", .. })));
    }
    assert_eq!(sandbox.retrigger_many(&[1, 2, 3]).await.unwrap(), 0);
}

#[tokio::test]
async fn invalid_sessions_and_scenarios_are_refused() {
    let sandbox = start().await;
    let flow = flow(&sandbox).await;
    let new = |environment: &str, ttl_seconds| NewSession {
        flow_id: flow.id,
        environment: environment.into(),
        ttl_seconds,
    };
    assert_eq!(field(&sandbox.create_session(new("", None)).await.unwrap_err()), "environment");
    assert_eq!(field(&sandbox.create_session(new("live", Some(0))).await.unwrap_err()), "ttlSeconds");
    let stranger = NewSession { flow_id: Uuid::new_v4(), ..new("live", Some(1)) };
    assert!(matches!(sandbox.create_session(stranger).await, Err(Error::NotFound { what: "flow", .. })));
    for sessions in [0, 10_001] {
        let mut scenario = Scenario::new(ScenarioKind::HappyPath, flow.id, "live");
        scenario.sessions = Some(sessions);
        assert_eq!(field(&sandbox.play(scenario).await.unwrap_err()), "sessions");
    }
    assert_eq!(sandbox.counts().await.unwrap().sessions.created, 0);
}

#[tokio::test]
async fn a_storm_is_a_thousand_sessions_with_mixed_ends() {
    let sandbox = start().await;
    let flow = flow(&sandbox).await;
    let ids = sandbox.play(Scenario::new(ScenarioKind::Storm, flow.id, "staging")).await.unwrap();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 1000);
    let counts = sandbox.counts().await.unwrap().sessions;
    assert_eq!((counts.completed, counts.expired, counts.aborted, counts.error), (700, 100, 100, 100));
    let (page, all) = sandbox.sessions_at(SessionFilter::default(), 990, 100).await.unwrap();
    assert_eq!((page.len(), all), (10, 1000));
    let mut filter = SessionFilter::default();
    filter.status = Some(SessionStatus::Expired);
    filter.environment = Some("staging".into());
    filter.flow_id = Some(flow.id);
    let (page, all) = sandbox.sessions_at(filter.clone(), 0, 1000).await.unwrap();
    assert_eq!((page.len(), all), (100, 100));
    assert!(
        page.iter()
            .all(|session| session.status == SessionStatus::Expired
                && session.expires_at <= session.updated_at)
    );
    filter.environment = Some("live".into());
    assert_eq!(sandbox.sessions_at(filter, 0, 10).await.unwrap().1, 0);
    // Every one has two events, in order.
    let (mut seen, mut after) = (BTreeMap::<Uuid, Vec<u64>>::new(), None);
    loop {
        let page = sandbox.events(None, PageRequest { limit: 500, after }).await.unwrap();
        for event in page.items {
            seen.entry(event.session_id).or_default().push(event.sequence);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 1000);
    assert!(seen.values().all(|sequences| *sequences == [2, 1]));
}

#[tokio::test]
async fn an_event_goes_to_each_endpoint_that_wants_it() {
    let sandbox = start().await;
    let (here, elsewhere) = (flow(&sandbox).await, flow(&sandbox).await);
    let make = async |flow: &idnow_webhooks_sandbox::model::Flow, environment: &str, events: &[&str]| {
        let mut new = NewEndpoint::new(flow.id, environment, NOBODY);
        new.events = events.iter().map(ToString::to_string).collect();
        sandbox.create_endpoint(new).await.unwrap().id
    };
    let all = make(&here, "staging", &[]).await;
    let completed = make(&here, "staging", &["session.completed", "session.error"]).await;
    make(&here, "staging", &["session.aborted"]).await;
    make(&here, "live", &[]).await;
    make(&elsewhere, "staging", &[]).await;
    endpoint(&sandbox, &here).await;
    let id = session(&sandbox, here.id).await.id;
    sandbox.drive(id, COMPLETE).await.unwrap();
    let deliveries =
        sandbox.deliveries(DeliveryFilter::default(), PageRequest::default()).await.unwrap().items;
    let found: Vec<_> = deliveries.iter().map(|one| (one.endpoint_id, one.event_name.as_str())).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.contains(&(all, "session.created")));
    assert!(found.contains(&(all, "session.completed")));
    assert!(found.contains(&(completed, "session.completed")));
}

#[tokio::test]
async fn changes_are_told_once_they_are_durable() {
    let sandbox = start().await;
    let mut changes = sandbox.changes();
    let flow = flow(&sandbox).await;
    assert_eq!(changes.next().await, Some(Change::Flow { id: flow.id }));
    let endpoint = endpoint(&sandbox, &flow).await;
    assert_eq!(changes.next().await, Some(Change::Endpoint { id: endpoint.id }));
    let session = session(&sandbox, flow.id).await;
    assert_eq!(changes.next().await, Some(Change::Session { id: session.id }));
    let key = sandbox.rotate_keys().await.unwrap();
    let told = [changes.next().await.unwrap(), changes.next().await.unwrap()];
    assert!(told.contains(&Change::Key { id: key.id }), "{told:?}");
    let many =
        Scenario { sessions: Some(5000), ..Scenario::new(ScenarioKind::HappyPath, flow.id, "staging") };
    sandbox.play(many).await.unwrap();
    assert_eq!(changes.next().await, Some(Change::Missed), "who is too slow is told so");
    drop(sandbox);
    while changes.next().await.is_some() {}
}
